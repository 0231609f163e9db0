//! One SQLite value -> the bytes of one field of PostgreSQL's binary COPY format, by the *target's*
//! type.
//!
//! Owns every conversion between storage classes and types, and the names of the repairs. Pure: asks
//! neither database. Leaves to its caller to ask PostgreSQL about the types that only its own input
//! functions know ([`Kind::Other`]), and to keep the original of whatever is reported here.
//!
//! What is read as what:
//!
//! | target | INTEGER, REAL | TEXT, BLOB |
//! | --- | --- | --- |
//! | `boolean` | 0 and 1; any other number is true, reported | PostgreSQL's spellings, or a number |
//! | integers | in range, rounded half away from zero | a decimal number, likewise |
//! | floats | the nearest | PostgreSQL's spellings |
//! | `text`, `varchar` | as Python prints them | the text, UTF-8 |
//! | `json`, `jsonb` | as Python prints them | the text, mended by [`crate::convert::json`] |
//! | `date`, `timestamp`, `timestamptz` | an epoch, or YYYYMMDD | ISO 8601, an epoch, or YYYYMMDD |
//! | `uuid` | - | PostgreSQL's spellings, or 16 bytes |
//! | `bytea` | as Python prints them | the bytes |
//! | any other | as Python prints them, then PostgreSQL's own input function | PostgreSQL's own input function |

mod encode;
mod kind;
mod number;
mod repair;
mod scan;
#[cfg(test)]
mod tests;
mod text;
mod time;

pub(crate) use encode::as_text;
pub use encode::encode;
pub use kind::{ColumnRule, InputResults, Kind};
pub use repair::{Refusal, Repair, Repairs};

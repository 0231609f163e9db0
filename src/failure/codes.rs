//! Owns the exit codes: those of sysexits, and the shell's for a command that does not start.

/// Wrong usage of the command line.
pub(crate) const EX_USAGE: u8 = 64;
/// The data is at fault.
pub(crate) const EX_DATAERR: u8 = 65;
/// PostgreSQL cannot be reached.
pub(crate) const EX_UNAVAILABLE: u8 = 69;
/// A fault of this program.
pub(crate) const EX_SOFTWARE: u8 = 70;
/// No space for the scratch copy.
pub(crate) const EX_CANTCREAT: u8 = 73;
/// An I/O error on the way.
pub(crate) const EX_IOERR: u8 = 74;
/// Another instance, or process, was in the way too long.
pub(crate) const EX_TEMPFAIL: u8 = 75;
/// The app's own schema step failed.
pub(crate) const EX_PROTOCOL: u8 = 76;
/// Refused: password, role or privilege.
pub(crate) const EX_NOPERM: u8 = 77;
/// Configuration.
pub(crate) const EX_CONFIG: u8 = 78;
/// The command to exec cannot be run.
pub(crate) const CANNOT_RUN: u8 = 126;
/// The command to exec is not there.
pub(crate) const NOT_FOUND: u8 = 127;

//! Owns the first hundred bytes of a database file: what SQLite would only call "not a database" is told apart by them.

use std::fs::{self, File};
use std::io::Read;

use crate::sqlite::error::SourceError;
use crate::sqlite::locate::Location;

impl Location {
    /// Recognises by its header what SQLite would only call "not a database".
    pub(super) fn check_header(&self) -> Result<(), SourceError> {
        let mut header = [0; 100];
        let mut file = File::open(&self.real).map_err(self.unreadable())?;
        let size = file.metadata().map_err(self.unreadable())?.len();
        let has_wal = fs::metadata(self.beside("-wal")).is_ok_and(|wal| wal.len() > 0);
        if size == 0 {
            return if has_wal {
                Err(self.not_usable(
                    "is empty, but has a write-ahead log beside it: it was a SQLite database once",
                ))
            } else {
                Ok(())
            };
        }
        let read = file.read(&mut header).map_err(self.unreadable())?;
        if read < 100 {
            return Err(self.not_usable(format!(
                "is not a SQLite database, or cut off: {size} bytes are less than its header"
            )));
        }
        if &header[..16] != b"SQLite format 3\0" {
            // SQLCipher encrypts whole pages, so its files are a multiple of a page of what looks like noise.
            let noise = header
                .iter()
                .filter(|byte| !byte.is_ascii_graphic() && **byte != 0)
                .count()
                > 30;
            return Err(self.not_usable(if size.is_multiple_of(512) && noise {
                "is not a plain SQLite database: its header is not readable, as in a file encrypted with SQLCipher"
            } else {
                "is not a SQLite database: its header says something else"
            }));
        }
        let page_size = match u64::from(u16::from_be_bytes([header[16], header[17]])) {
            1 => 65536,
            size => size,
        };
        let word = |at: usize| {
            u32::from_be_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]])
        };
        let pages_valid = word(24) == word(92);
        if pages_valid && !has_wal && u64::from(word(28)) * page_size > size {
            return Err(self.not_usable(format!(
                "is cut off: its header speaks of {} bytes, there are {size}",
                u64::from(word(28)) * page_size
            )));
        }
        Ok(())
    }
}

//! Owns one question about a write-ahead log: how large was the database after its last commit? SQLite
//! believes a WAL whoever wrote it; a WAL that was left beside a restored database speaks of another size.
//! Format: SQLite's "Database File Format", 4.

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::Path;

const HEADER: usize = 32;
const FRAME_HEADER: usize = 24;

/// Pages of the database after the last whole commit in the WAL; none if it holds no commit.
///
/// # Errors
/// The file cannot be read.
pub(crate) fn pages_after_last_commit(path: &Path) -> io::Result<Option<u32>> {
    let mut reader = BufReader::with_capacity(1 << 20, File::open(path)?);
    let mut header = [0; HEADER];
    if !filled(&mut reader, &mut header)? {
        return Ok(None);
    }
    let big_endian = match word(&header, 0) {
        0x377f_0682 => false,
        0x377f_0683 => true,
        _ => return Ok(None),
    };
    let mut sum = Checksum {
        big_endian,
        a: 0,
        b: 0,
    };
    sum.add(&header[..24]);
    let page = word(&header, 8) as usize;
    if !sum.is(&header[24..]) || !(512..=65536).contains(&page) {
        return Ok(None);
    }
    let mut frame = vec![0; FRAME_HEADER + page];
    let mut pages = None;
    while filled(&mut reader, &mut frame)? && frame[8..16] == header[16..24] {
        sum.add(&frame[..8]);
        sum.add(&frame[FRAME_HEADER..]);
        if !sum.is(&frame[16..FRAME_HEADER]) {
            break;
        }
        if word(&frame, 4) != 0 {
            pages = Some(word(&frame, 4));
        }
    }
    Ok(pages)
}

/// Fills the buffer; `false` at the end of the file, also in its middle.
fn filled(reader: &mut impl Read, buffer: &mut [u8]) -> io::Result<bool> {
    match reader.read_exact(buffer) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
        Err(error) => Err(error),
    }
}

fn word(bytes: &[u8], at: usize) -> u32 {
    u32::from_be_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

/// The running checksum of a WAL: two sums that feed each other, over pairs of words.
struct Checksum {
    big_endian: bool,
    a: u32,
    b: u32,
}

impl Checksum {
    fn add(&mut self, bytes: &[u8]) {
        for pair in bytes.chunks_exact(8) {
            let read = |at: usize| {
                let word = word(pair, at);
                if self.big_endian {
                    word
                } else {
                    word.swap_bytes()
                }
            };
            let (first, second) = (read(0), read(4));
            self.a = self.a.wrapping_add(first).wrapping_add(self.b);
            self.b = self.b.wrapping_add(second).wrapping_add(self.a);
        }
    }

    fn is(&self, stored: &[u8]) -> bool {
        (word(stored, 0), word(stored, 4)) == (self.a, self.b)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rusqlite::Connection;

    #[test]
    fn the_last_whole_commit_counts() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.db");
        let connection = Connection::open(&path).unwrap();
        connection
            .execute_batch(
                "PRAGMA journal_mode = wal; PRAGMA wal_autocheckpoint = 0; CREATE TABLE t (x)",
            )
            .unwrap();
        let wal = folder.path().join("a.db-wal");
        let pages = |connection: &Connection| -> u32 {
            connection
                .query_row("PRAGMA page_count", [], |row| row.get(0))
                .unwrap()
        };
        let before = pages(&connection);
        assert_eq!(pages_after_last_commit(&wal).unwrap(), Some(before));
        connection
            .execute("INSERT INTO t VALUES (zeroblob(50000))", [])
            .unwrap();
        let whole = std::fs::read(&wal).unwrap();
        assert_eq!(
            pages_after_last_commit(&wal).unwrap(),
            Some(pages(&connection))
        );
        assert_ne!(before, pages(&connection));
        // A byte of the last commit's page is torn: the commit before it is the last.
        let torn = folder.path().join("torn");
        let mut bytes = whole;
        let last = bytes.len() - 1;
        bytes[last] ^= 1;
        std::fs::write(&torn, bytes).unwrap();
        assert_eq!(pages_after_last_commit(&torn).unwrap(), Some(before));
        std::fs::write(&torn, [7; 100]).unwrap();
        assert_eq!(pages_after_last_commit(&torn).unwrap(), None);
    }
}

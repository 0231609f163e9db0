//! Owns what a write-ahead log holds: how large the database was after its last commit, and whether commits lie behind
//! a frame that cannot be read. SQLite believes a WAL whoever wrote it, up to the first frame that does not verify, and
//! passes over the rest without a word. Format: SQLite's "Database File Format", 4, and "WAL-mode File Format", 2.

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::Path;

const HEADER: usize = 32;
const FRAME_HEADER: usize = 24;

/// What SQLite reads of a WAL, and what it passes over.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Reading {
    /// Pages of the database after the last whole commit; none without one.
    pub pages: Option<u32>,
    /// Frames up to the last whole commit.
    pub frames: u32,
    /// Commits in which, or before which, something is damaged, so that SQLite passes over them.
    pub lost: u64,
    /// A frame at the end says that it ends a transaction, and was not written whole, or is damaged.
    pub torn: bool,
    /// The salts of the header: what this WAL has in common with its index.
    pub salts: [u8; 8],
}

/// What the index of a WAL (`-shm`) says of it: written by those who had the database open, and left by who was killed.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Index {
    /// Frames up to the last commit.
    pub frames: u32,
    /// Frames whose pages are in the database already.
    pub copied: u32,
    /// The salts of the WAL that it belongs to.
    pub salts: [u8; 8],
}

/// Reads a WAL from its beginning to its end. `page` is the size of a page in the database's header, in bytes.
///
/// # Errors
/// The file cannot be read.
pub(crate) fn read(path: &Path, page: usize) -> io::Result<Reading> {
    let mut reader = open(path)?;
    let mut header = [0; HEADER];
    if !filled(&mut reader, &mut header)? {
        return Ok(Reading::default());
    }
    let own = word(&header, 8) as usize;
    let valid = |page: &usize| (512..=65536).contains(page) && page.is_power_of_two();
    let big_endian = match word(&header, 0) {
        0x377f_0682 => Some(false),
        0x377f_0683 => Some(true),
        _ => None,
    };
    if let Some(big_endian) = big_endian.filter(|_| valid(&own)) {
        let sum = Checksum::of(big_endian, &header[..24]);
        if sum.is(&header[24..]) {
            return frames(&mut reader, &header, sum, own);
        }
    }
    // SQLite takes such a file for one without content. Whether it has some is told by its frames alone: each one's
    // checksum goes on from the one before.
    let mut lost = 0;
    for page in [page, own].into_iter().filter(valid) {
        for big_endian in [false, true] {
            lost = lost.max(chained(path, big_endian, page)?);
        }
    }
    Ok(Reading {
        lost,
        ..Reading::default()
    })
}

fn open(path: &Path) -> io::Result<BufReader<File>> {
    Ok(BufReader::with_capacity(1 << 20, File::open(path)?))
}

/// Reads the frames behind a header that verifies.
fn frames(
    reader: &mut impl Read,
    header: &[u8; HEADER],
    mut sum: Checksum,
    page: usize,
) -> io::Result<Reading> {
    let salts = &header[16..24];
    let mut reading = Reading {
        salts: salts.try_into().unwrap_or_default(),
        ..Reading::default()
    };
    let mut frame = vec![0; FRAME_HEADER + page];
    let mut number = 0;
    let mut damaged = loop {
        if !filled(reader, &mut frame)? {
            return Ok(reading);
        }
        let (ours, commit) = (&frame[8..16] == salts, word(&frame, 4) != 0);
        sum.add_frame(&frame);
        let verifies = sum.is(&frame[16..FRAME_HEADER]);
        if !(ours && verifies) {
            reading.torn = ours && commit;
            // The checksum goes on from the frame before, so this one is of this WAL; its salts are damaged.
            reading.lost = u64::from(verifies && commit);
            break u64::from(ours && commit);
        }
        number += 1;
        if commit {
            (reading.pages, reading.frames) = (Some(word(&frame, 4)), number);
        }
    };
    // What an earlier use of this file left behind has other salts.
    while filled(reader, &mut frame)? {
        if &frame[8..16] == salts && word(&frame, 4) != 0 {
            reading.lost += 1 + damaged;
            damaged = 0;
        }
    }
    reading.torn &= reading.lost == 0;
    Ok(reading)
}

/// The commits in frames whose checksum goes on from the one that is stored before them.
fn chained(path: &Path, big_endian: bool, page: usize) -> io::Result<u64> {
    let mut reader = open(path)?;
    let mut header = [0; HEADER];
    if !filled(&mut reader, &mut header)? {
        return Ok(0);
    }
    let mut before = vec![
        Checksum::of(big_endian, &header[..24]),
        Checksum::stored(big_endian, &header[24..]),
    ];
    let mut commits = 0;
    let mut frame = vec![0; FRAME_HEADER + page];
    while filled(&mut reader, &mut frame)? {
        let stored = &frame[16..FRAME_HEADER];
        let goes_on = before.iter_mut().any(|sum| {
            sum.add_frame(&frame);
            sum.is(stored)
        });
        // Zeros add up to zeros.
        let real = word(&frame, 0) != 0 && word(&frame, 4) != 0;
        commits += u64::from(goes_on && real);
        before = vec![Checksum::stored(big_endian, stored)];
    }
    Ok(commits)
}

/// Reads the index of a WAL from the beginning of `-shm`; none unless it is whole.
pub(crate) fn index(bytes: &[u8]) -> Option<Index> {
    const COPY: usize = 48;
    let (first, rest) = bytes.split_at_checked(COPY)?;
    let (second, progress) = rest.split_at_checked(COPY)?;
    // In the byte order of the machine that wrote it: this one's, or the checksum does not fit.
    let sum = Checksum::of(cfg!(target_endian = "big"), &first[..40]);
    let native = |bytes: &[u8], at: usize| {
        let word = bytes.get(at..at + 4)?;
        Some(u32::from_ne_bytes(word.try_into().ok()?))
    };
    let whole = first == second
        && first[12] == 1
        && (native(first, 40), native(first, 44)) == (Some(sum.a), Some(sum.b));
    whole.then_some(Index {
        frames: native(first, 16)?,
        copied: native(progress, 0)?,
        salts: first[32..40].try_into().ok()?,
    })
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
    fn of(big_endian: bool, bytes: &[u8]) -> Self {
        let mut sum = Self {
            big_endian,
            a: 0,
            b: 0,
        };
        sum.add(bytes);
        sum
    }

    /// One that goes on from what was stored.
    fn stored(big_endian: bool, stored: &[u8]) -> Self {
        let (a, b) = (word(stored, 0), word(stored, 4));
        Self { big_endian, a, b }
    }

    /// A frame's checksum covers its page and the first half of its header, without the salts.
    fn add_frame(&mut self, frame: &[u8]) {
        self.add(&frame[..8]);
        self.add(&frame[FRAME_HEADER..]);
    }

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
    use std::fs;

    use rusqlite::Connection;
    use tempfile::TempDir;

    use super::*;

    const PAGE: usize = 4096;
    const FRAME: usize = FRAME_HEADER + PAGE;

    /// A WAL of four commits: the first makes a table, each other one adds pages.
    struct Four {
        folder: TempDir,
        connection: Connection,
        /// Pages of the database after each commit.
        pages: Vec<u32>,
        bytes: Vec<u8>,
    }

    impl Four {
        fn new() -> Self {
            let folder = tempfile::tempdir().unwrap();
            let connection = Connection::open(folder.path().join("a.db")).unwrap();
            connection
                .execute_batch("PRAGMA journal_mode = wal; PRAGMA wal_autocheckpoint = 0")
                .unwrap();
            let add = "INSERT INTO t VALUES (randomblob(20000))";
            let pages = ["CREATE TABLE t (x)", add, add, add]
                .map(|sql| {
                    connection.execute(sql, []).unwrap();
                    let count = |row: &rusqlite::Row<'_>| row.get(0);
                    connection.query_row("PRAGMA page_count", [], count)
                })
                .map(Result::unwrap)
                .to_vec();
            let bytes = fs::read(folder.path().join("a.db-wal")).unwrap();
            Self {
                folder,
                connection,
                pages,
                bytes,
            }
        }

        /// The frames that are commits, from 0.
        fn commits(&self) -> Vec<usize> {
            (0..(self.bytes.len() - HEADER) / FRAME)
                .filter(|n| word(&self.bytes, HEADER + n * FRAME + 4) != 0)
                .collect()
        }

        /// What is read where `change` has been at these bytes.
        fn changed(&self, change: impl FnOnce(&mut Vec<u8>)) -> Reading {
            let mut bytes = self.bytes.clone();
            change(&mut bytes);
            let path = self.folder.path().join("changed");
            fs::write(&path, bytes).unwrap();
            read(&path, PAGE).unwrap()
        }
    }

    #[test]
    fn the_last_whole_commit_counts() {
        let wal = Four::new();
        let whole = wal.changed(|_| {});
        assert_eq!(whole.pages, Some(wal.pages[3]));
        assert_eq!((whole.lost, whole.torn), (0, false));
        // The last frame is cut: nobody can tell whether there was a commit.
        let cut = wal.changed(|bytes| bytes.truncate(bytes.len() - 1));
        assert_eq!(
            (cut.pages, cut.lost, cut.torn),
            (Some(wal.pages[2]), 0, false)
        );
        // A byte of the last commit's page is torn: the commit before it is the last.
        let torn = wal.changed(|bytes| *bytes.last_mut().unwrap() ^= 1);
        assert_eq!(
            (torn.pages, torn.lost, torn.torn),
            (Some(wal.pages[2]), 0, true)
        );
        assert_eq!(wal.changed(|bytes| *bytes = vec![7; 100_000]).lost, 0);
        assert_eq!(wal.changed(|bytes| *bytes = vec![0; 100_000]).lost, 0);
    }

    #[test]
    fn commits_behind_a_damaged_frame_are_counted() {
        let wal = Four::new();
        let commits = wal.commits();
        let frame = |n: usize| HEADER + n * FRAME;
        // A bit of its page, of its commit's size, of its checksum, of its salts.
        for at in [FRAME_HEADER + 99, 7, 16, 8] {
            let flip = |n: usize| wal.changed(|bytes| bytes[frame(n) + at] ^= 1);
            let in_the_second = flip(commits[1]);
            assert_eq!(in_the_second.pages, Some(wal.pages[0]), "{at}");
            assert_eq!(in_the_second.lost, 3, "{at}");
            // Of the first frame of the last transaction, which has more. Where it is the bit that says that it ends a
            // transaction, it counts for one.
            let in_the_last = flip(commits[2] + 1).lost;
            assert_eq!(in_the_last, if at == 7 { 2 } else { 1 }, "{at}");
        }
        assert_eq!(
            wal.changed(|bytes| bytes[frame(commits[3]) + 8] ^= 1).lost,
            1
        );
    }

    #[test]
    fn commits_behind_a_damaged_header_are_counted() {
        let wal = Four::new();
        for at in 0..HEADER {
            let reading = wal.changed(|bytes| bytes[at] ^= 1);
            assert_eq!((reading.pages, reading.lost), (None, 4), "{at}");
        }
    }

    #[test]
    fn what_was_there_before_the_log_began_anew_is_no_loss() {
        let wal = Four::new();
        wal.connection
            .execute_batch("PRAGMA wal_checkpoint(RESTART); DELETE FROM t WHERE rowid = 1")
            .unwrap();
        let reading = read(&wal.folder.path().join("a.db-wal"), PAGE).unwrap();
        assert_eq!((reading.lost, reading.torn), (0, false));
        assert!(reading.pages.is_some());
    }

    #[test]
    fn the_index_knows_how_many_frames_were_committed() {
        let wal = Four::new();
        let mut shm = fs::read(wal.folder.path().join("a.db-shm")).unwrap();
        let whole = wal.changed(|_| {});
        let index = |shm: &[u8]| super::index(shm);
        assert_eq!(
            index(&shm),
            Some(Index {
                frames: whole.frames,
                copied: 0,
                salts: whole.salts,
            })
        );
        shm[16] ^= 1;
        assert_eq!(index(&shm), None);
        assert_eq!(index(&[0; 200]), None);
        assert_eq!(index(&shm[..100]), None);
    }
}

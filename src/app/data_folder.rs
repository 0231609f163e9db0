//! Owns what Open WebUI keeps beside `webui.db`, and what it tells where that file is not to be found: people's data was
//! here, or is meant to be.

use std::ffi::OsString;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

/// How deep a folder is looked into for a file.
const DEEP: usize = 4;

/// What lies where `source` is expected, which is not there.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Traces {
    /// Whether the folder itself is missing.
    pub no_folder: bool,
    /// Paths that only an Open WebUI with people in it leaves.
    pub people: Vec<PathBuf>,
    /// Paths that an Open WebUI leaves which was started once, on whatever database.
    pub app: Vec<PathBuf>,
}

impl Traces {
    /// Looks around in the folder of `source`. `elsewhere` is another place where the app may have kept its database.
    pub(crate) fn look(source: &Path, elsewhere: Option<&Path>) -> Self {
        let folder = source.parent().unwrap_or(Path::new("/"));
        let mut traces = Self {
            no_folder: !folder.exists(),
            ..Self::default()
        };
        let people = [
            Some(write_ahead_log(source)).filter(|path| path.exists()),
            Some(folder.join("ollama.db")).filter(|path| path.is_file()),
            Some(folder.join("uploads")).filter(|path| holds_a_file(path, DEEP)),
            elsewhere.filter(|path| path.is_file()).map(Path::to_owned),
        ];
        traces.people.extend(people.into_iter().flatten());
        let vectors = folder.join("vector_db");
        traces
            .app
            .extend(Some(vectors).filter(|path| holds_a_file(path, DEEP)));
        traces
    }

    /// Whether nothing tells of data.
    pub(crate) fn is_empty(&self) -> bool {
        self.people.is_empty() && self.app.is_empty()
    }
}

impl fmt::Display for Traces {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let paths = self.people.iter().chain(&self.app);
        let paths: Vec<String> = paths.map(|path| path.display().to_string()).collect();
        f.write_str(&paths.join(", "))
    }
}

fn write_ahead_log(source: &Path) -> PathBuf {
    let mut name = OsString::from(source);
    name.push("-wal");
    name.into()
}

/// Whether there is a file in `folder` or, so deep, in a folder in it. Hidden ones do not count: `.gitkeep` is nobody's data.
fn holds_a_file(folder: &Path, deep: usize) -> bool {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut folders = Vec::new();
    for entry in entries {
        if entry.file_name().as_encoded_bytes().starts_with(b".") {
            continue;
        }
        match entry.file_type() {
            Ok(kind) if kind.is_dir() => folders.push(entry.path()),
            Ok(_) => return true,
            Err(_) => {}
        }
    }
    deep > 0 && folders.iter().any(|folder| holds_a_file(folder, deep - 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(paths: &[&str]) -> Traces {
        let folder = tempfile::tempdir().expect("a temporary folder");
        for path in paths {
            let path = folder.path().join(path);
            if let Some(made) = path.to_str().expect("text").strip_suffix('/') {
                fs::create_dir_all(made).expect("a folder");
                continue;
            }
            fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
            fs::write(path, "x").expect("a file");
        }
        let mut traces = Traces::look(&folder.path().join("webui.db"), None);
        for path in traces.people.iter_mut().chain(&mut traces.app) {
            *path = path.strip_prefix(folder.path()).expect("inside").to_owned();
        }
        traces
    }

    #[test]
    fn what_a_fresh_folder_holds_is_no_trace() {
        let fresh = [
            "lost+found/",
            "readme.txt",
            "cache/embedding/models/x.bin",
            "uploads/",
            "uploads/.gitkeep",
            "vector_db/",
        ];
        assert_eq!(seen(&fresh), Traces::default());
        assert_eq!(seen(&[]), Traces::default());
    }

    #[test]
    fn what_people_leave_is_one() {
        for (path, trace) in [
            ("webui.db-wal", "webui.db-wal"),
            ("ollama.db", "ollama.db"),
            ("uploads/a_file.pdf", "uploads"),
            ("uploads/deep/er/a_file.pdf", "uploads"),
        ] {
            assert_eq!(seen(&[path]).people, [PathBuf::from(trace)], "{path}");
        }
        let vectors = seen(&["vector_db/chroma.sqlite3"]);
        assert_eq!(vectors.app, [PathBuf::from("vector_db")]);
        assert!(vectors.people.is_empty());
    }

    #[test]
    fn a_missing_folder_and_another_place_are_told() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let elsewhere = folder.path().join("other.db");
        fs::write(&elsewhere, "x").expect("a file");
        let traces = Traces::look(&folder.path().join("nowhere/webui.db"), Some(&elsewhere));
        assert!(traces.no_folder);
        assert_eq!(traces.people, [elsewhere]);
    }
}

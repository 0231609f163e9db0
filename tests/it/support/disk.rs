//! A file system that is too small, for servers that run out of space.

use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};

use super::{Missing, postgres, root, tool};

/// A tmpfs of a fixed size that the server's user owns. Dropped, it is unmounted.
pub struct SmallDisk {
    folder: PathBuf,
    watchdog: Child,
}

impl SmallDisk {
    /// Mounts one; only root may.
    pub fn mount(megabytes: u32) -> Result<Self, Missing> {
        root()?;
        let mount = tool("mount")?;
        let folder = postgres::owned_folder();
        std::fs::create_dir(folder.join("mounted")).expect("our folder");
        let disk = Self {
            watchdog: postgres::watchdog(&folder, "umount -l mounted"),
            folder,
        };
        let (user, group) = postgres::server_ids();
        let output = Command::new(mount)
            .args(["-t", "tmpfs", "-o"])
            .arg(format!("size={megabytes}m,uid={user},gid={group},mode=700"))
            .arg("tmpfs")
            .arg(disk.path())
            .output()
            .expect("mount runs");
        if output.status.success() {
            Ok(disk)
        } else {
            Err(Missing("may not mount a file system here".into()))
        }
    }

    pub fn path(&self) -> PathBuf {
        self.folder.join("mounted")
    }

    /// The file that takes the space.
    pub fn ballast(&self) -> PathBuf {
        self.path().join("ballast")
    }

    /// Takes all of the space but so many kilobytes.
    pub fn fill_but(&self, kilobytes: u64) {
        let mut ballast = File::create(self.ballast()).expect("our file system");
        let mut written = 0;
        while ballast.write_all(&[0; 1024]).is_ok() {
            written += 1024;
        }
        let kept = u64::saturating_sub(written, kilobytes * 1024);
        ballast.set_len(kept).expect("our file");
    }

    /// Gives it back.
    pub fn make_space(&self) {
        std::fs::remove_file(self.ballast()).expect("the ballast");
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        postgres::dismiss(&mut self.watchdog);
    }
}

/// Moves a folder somewhere else and leaves a link.
pub fn relocate(folder: &Path, to: &Path) {
    let status = Command::new("cp")
        .arg("-a")
        .arg(folder)
        .arg(to)
        .status()
        .expect("cp runs");
    assert!(status.success(), "{} could not be copied", folder.display());
    std::fs::remove_dir_all(folder).expect("our folder");
    std::os::unix::fs::symlink(to, folder).expect("our folder");
}

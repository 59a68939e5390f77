//! A directory of the demo's own, removed at its end.

use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

/// A new directory that only this user can read.
#[derive(Debug)]
pub(super) struct Scratch {
    path: PathBuf,
}

impl Scratch {
    /// Makes one where temporary files go.
    ///
    /// # Errors
    /// When that is not possible.
    pub(super) fn new() -> io::Result<Self> {
        let name = format!("falconer-demo-{}-{:08x}", std::process::id(), fastrand::u32(..));
        let path = std::env::temp_dir().join(name);
        std::fs::DirBuilder::new().mode(0o700).create(&path)?;
        Ok(Self { path })
    }

    /// Writes a file into it.
    ///
    /// # Errors
    /// When that is not possible.
    pub(super) fn write(&self, name: &str, content: &str) -> io::Result<PathBuf> {
        let file = self.path.join(name);
        std::fs::write(&file, content)?;
        Ok(file)
    }

    /// Where it is.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // Left behind, it is a few hundred bytes among the temporary files.
        let _ = std::fs::remove_dir_all(&self.path);
    }
}

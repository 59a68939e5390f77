//! One falconer per file: an advisory lock on a file beside it, which the system takes back when its
//! holder ends, however it ends. Says who holds it; never waits for long.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read as _, Seek as _, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use super::store::beside;

/// A predecessor that is just ending is waited for so many times …
const TRIES: u32 = 15;
/// … for so long each.
const BETWEEN: Duration = Duration::from_millis(20);
/// More of the lock file is not read.
const LONGEST_PID: u64 = 20;

/// The lock, held for as long as this lives.
#[derive(Debug)]
pub(super) struct Lock {
    file: File,
    path: PathBuf,
}

/// Why the lock is not held.
#[derive(Debug)]
pub(super) enum NotLocked {
    /// Another process holds it; with what it says of itself.
    Held(String),
    /// There is no lock to be had here: a file system that knows none, or that cannot be written.
    Impossible(io::Error),
}

impl Lock {
    /// Takes the lock of the journal `journal`.
    pub(super) fn take(journal: &Path) -> Result<Self, NotLocked> {
        let path = beside(journal, ".lock");
        let mut options = OpenOptions::new();
        let opened = options.read(true).write(true).create(true).truncate(false).open(&path);
        let mut file = opened.map_err(NotLocked::Impossible)?;
        let mut tries = 0;
        loop {
            match file.try_lock() {
                Ok(()) => break,
                Err(TryLockError::WouldBlock) if tries < TRIES => {
                    tries += 1;
                    thread::sleep(BETWEEN);
                }
                Err(TryLockError::WouldBlock) => return Err(NotLocked::Held(holder(&mut file))),
                Err(TryLockError::Error(error)) => return Err(NotLocked::Impossible(error)),
            }
        }
        // What stands in it is for people only.
        if let Err(error) = sign(&mut file) {
            tracing::debug!(path = %path.display(), %error, "journal's lock bears no name");
        }
        Ok(Self { file, path })
    }

    /// Whether it still locks the file of its name: somebody may have deleted it, and another
    /// falconer made a new one.
    pub(super) fn is_in_place(&self) -> bool {
        let identity = |found: io::Result<fs::Metadata>| found.ok().map(|it| (it.dev(), it.ino()));
        let own = identity(self.file.metadata());
        own.is_some() && own == identity(fs::metadata(&self.path))
    }
}

fn sign(file: &mut File) -> io::Result<()> {
    file.set_len(0)?;
    file.rewind()?;
    writeln!(file, "{}", std::process::id())
}

fn holder(file: &mut File) -> String {
    let mut text = String::new();
    // Empty while its holder is about to sign it.
    let _ = file.take(LONGEST_PID).read_to_string(&mut text);
    match text.trim().parse::<u32>() {
        Ok(pid) => format!("pid {pid}"),
        Err(_) => "of unknown pid".to_owned(),
    }
}

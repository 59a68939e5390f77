//! Remembers over falconer's own end which process it owns, and keeps a second falconer away.
//!
//! The file is locked for as long as this value lives; the lock ends with the process that holds
//! it, however it ends. The file itself stays, so that nobody locks a file that is just being
//! replaced.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::group;
use crate::model::Timestamp;

/// More than this is not a pid file of ours.
const MAX_BYTES: u64 = 4096;

/// Who the owned process is, so that a later process with the same number is not taken for it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Identity {
    /// The component's name.
    pub name: String,
    /// The process, which is also its process group.
    pub pid: i32,
    /// Its start, in clock ticks since the machine was started.
    pub started_ticks: u64,
    /// The machine's run.
    pub boot_id: String,
    /// Its start in milliseconds since the Unix epoch.
    pub started_at_millis: u64,
}

impl Identity {
    /// The process `pid` that was started just now; `None` if it is gone already.
    pub(super) fn of(name: &str, pid: i32, started_at: Timestamp) -> Option<Self> {
        Some(Self {
            name: name.to_owned(),
            pid,
            started_ticks: group::stat(pid)?.started_ticks,
            boot_id: group::boot_id(),
            started_at_millis: started_at.as_millis(),
        })
    }

    /// Whether that very process still runs.
    pub(super) fn is_running(&self) -> bool {
        self.boot_id == group::boot_id()
            && group::stat(self.pid).is_some_and(|stat| {
                !stat.zombie && stat.started_ticks == self.started_ticks && stat.group == self.pid
            })
    }
}

/// Why the pid file could not be taken.
#[derive(Debug, thiserror::Error)]
pub(super) enum PidFileError {
    /// Another falconer holds it.
    #[error("another falconer owns this process (it holds {})", path.display())]
    Held {
        /// The file.
        path: PathBuf,
    },
    /// The file system refuses.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Its words.
        source: io::Error,
    },
}

/// The locked file.
#[derive(Debug)]
pub(super) struct PidFile {
    file: File,
    path: PathBuf,
}

impl PidFile {
    /// The pid file that belongs to `log_file`.
    pub(super) fn path_beside(log_file: &Path) -> PathBuf {
        let mut name = log_file.file_name().unwrap_or_default().to_owned();
        name.push(".pid");
        log_file.with_file_name(name)
    }

    /// The running process that belongs to `log_file`, without locking or making anything.
    pub(super) fn peek(log_file: &Path) -> Option<Identity> {
        let file = File::open(Self::path_beside(log_file)).ok()?;
        let mut text = String::new();
        file.take(MAX_BYTES).read_to_string(&mut text).ok()?;
        serde_json::from_str(&text).ok().filter(Identity::is_running)
    }

    /// Opens (and makes) the file and locks it, without waiting.
    pub(super) fn lock(path: &Path) -> Result<Self, PidFileError> {
        let failed = |source| PidFileError::Io { path: path.to_owned(), source };
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(path)
            .map_err(failed)?;
        match file.try_lock() {
            Ok(()) => Ok(Self { file, path: path.to_owned() }),
            Err(TryLockError::WouldBlock) => Err(PidFileError::Held { path: path.to_owned() }),
            Err(TryLockError::Error(source)) => Err(failed(source)),
        }
    }

    /// Who was owned last; `None` where nobody was or the file makes no sense.
    pub(super) fn read(&mut self) -> Option<Identity> {
        let mut text = String::new();
        self.file.seek(SeekFrom::Start(0)).ok()?;
        (&self.file).take(MAX_BYTES).read_to_string(&mut text).ok()?;
        if text.trim().is_empty() {
            return None;
        }
        match serde_json::from_str(&text) {
            Ok(identity) => Some(identity),
            Err(error) => {
                tracing::warn!(path = %self.path.display(), %error, "pid file makes no sense");
                None
            }
        }
    }

    /// From now on this process is the owned one.
    pub(super) fn write(&mut self, identity: &Identity) -> Result<(), PidFileError> {
        let text = serde_json::to_string(identity).unwrap_or_default();
        self.replace(&text).map_err(|source| PidFileError::Io { path: self.path.clone(), source })
    }

    /// No process is owned any more.
    pub(super) fn clear(&mut self) {
        if let Err(error) = self.replace("") {
            tracing::warn!(path = %self.path.display(), %error, "pid file could not be cleared");
        }
    }

    fn replace(&mut self, text: &str) -> io::Result<()> {
        self.file.set_len(0)?;
        self.file.seek(SeekFrom::Start(0))?;
        self.file.write_all(text.as_bytes())?;
        self.file.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pid_file_remembers_and_keeps_a_second_owner_away() {
        let folder = tempfile::tempdir().unwrap();
        let path = PidFile::path_beside(&folder.path().join("milvus.log"));
        assert_eq!(path.file_name().unwrap(), "milvus.log.pid");
        let me = i32::try_from(std::process::id()).unwrap();
        let identity = Identity::of("standalone", me, Timestamp::from_millis(7)).unwrap();

        let mut first = PidFile::lock(&path).unwrap();
        first.write(&identity).unwrap();
        let refused = PidFile::lock(&path).unwrap_err();
        assert!(refused.to_string().contains("another falconer"), "{refused}");
        drop(first);

        let mut second = PidFile::lock(&path).unwrap();
        assert_eq!(second.read(), Some(identity));
        second.clear();
        assert_eq!(second.read(), None);
    }

    #[test]
    fn garbage_in_the_pid_file_is_nobody() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("garbage.pid");
        for garbage in [&b"12345"[..], b"{\"pid\":", b"\xff\xfe", &[b'x'; 10_000]] {
            std::fs::write(&path, garbage).unwrap();
            assert_eq!(PidFile::lock(&path).unwrap().read(), None);
        }
    }

    #[test]
    fn a_reused_pid_or_another_boot_is_not_the_owned_process() {
        let mut child =
            std::process::Command::new("sleep").arg("30").process_group(0).spawn().unwrap();
        let pid = i32::try_from(child.id()).unwrap();
        let identity = Identity::of("standalone", pid, Timestamp::default()).unwrap();
        let reused = Identity { started_ticks: identity.started_ticks - 1, ..identity.clone() };
        let rebooted = Identity { boot_id: "another".to_owned(), ..identity.clone() };
        let verdicts = [identity.is_running(), reused.is_running(), rebooted.is_running()];
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!(verdicts, [true, false, false]);
        assert!(!identity.is_running());
    }

    use std::os::unix::process::CommandExt as _;
}

//! What it means when a file cannot be used, and what may be done about it. A file is moved aside only
//! when SQLite itself says that it is damaged or no database; nothing is ever deleted.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use nix::unistd::{AccessFlags, access};
use rusqlite::ErrorCode;

use super::schema::OpenError;
use super::store::beside;
use crate::model::{Reason, ReasonKind, Timestamp};

/// More copies of one instant are not made.
const MOST_OF_ONE_NAME: u32 = 100;

/// What to do about an error; a closed set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Trouble {
    /// Wait, and try again.
    Wait(String),
    /// The file is damaged, or no database at all.
    Damaged(String),
}

impl Trouble {
    /// What an error on the file `path` means.
    pub(super) fn of(error: &OpenError, path: &Path) -> Self {
        let words = words(error, path);
        match code(error) {
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => Self::Damaged(words),
            Some(_) | None => Self::Wait(words),
        }
    }
}

fn code(error: &OpenError) -> Option<ErrorCode> {
    match error {
        OpenError::Sqlite(error) => error.sqlite_error_code(),
        OpenError::Newer { .. }
        | OpenError::Foreign
        | OpenError::Older { .. }
        | OpenError::Held { .. } => None,
    }
}

/// One harmless line: what SQLite says, and what can be seen of the reason.
pub(super) fn words(error: &OpenError, path: &Path) -> String {
    let text = match code(error).and_then(|_| obstacle(path)) {
        Some(obstacle) => format!("{error} ({obstacle})"),
        None => error.to_string(),
    };
    Reason::new(ReasonKind::OwnLimit, text).text
}

/// Why a journal cannot be written at `path`, as far as can be seen without trying: what anybody
/// would look at first.
pub fn obstacle(path: &Path) -> Option<String> {
    if fs::metadata(path).is_ok_and(|found| found.is_dir()) {
        return Some("it is a folder".to_owned());
    }
    let folder = folder_of(path);
    if !folder.is_dir() {
        return Some(format!("there is no folder {}", folder.display()));
    }
    let is_refused = |path: &Path| access(path, AccessFlags::W_OK).err().map(io::Error::from);
    if path.exists()
        && let Some(error) = is_refused(path)
    {
        return Some(format!("the file is not writable: {error}"));
    }
    // The log lies beside it.
    let error = is_refused(folder)?;
    Some(format!("the folder {} is not writable: {error}", folder.display()))
}

/// The folder in which a file lies.
pub(super) fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        Some(_) | None => Path::new("."),
    }
}

/// Gives the file and what belongs to it another name, `….corrupt-<time>`, which it returns.
///
/// # Errors
/// When the system refuses; then the file is where it was.
pub(super) fn move_aside(path: &Path, now: Timestamp) -> io::Result<PathBuf> {
    // Without colons, which not every file system takes.
    let time: String = now.to_string().chars().filter(|c| !":-".contains(*c)).collect();
    let numbered = (0..MOST_OF_ONE_NAME).map(|number| match number {
        0 => beside(path, &format!(".corrupt-{time}")),
        _ => beside(path, &format!(".corrupt-{time}.{number}")),
    });
    let mut free = numbered.filter(|aside| !aside.exists());
    let aside = free.next().ok_or_else(|| io::Error::from(io::ErrorKind::AlreadyExists))?;
    fs::rename(path, &aside)?;
    for suffix in ["-wal", "-shm"] {
        let left = beside(path, suffix);
        if left.exists() {
            fs::rename(left, beside(&aside, suffix))?;
        }
    }
    Ok(aside)
}

//! Reads files that people hand to falconer: secrets and certificates. Owns the bounds on what is
//! read; never keeps anything.

use std::fs::{File, metadata};
use std::io::{self, Read};
use std::path::Path;

/// Largest file of certificates that is read, in bytes.
pub const CA_FILE_LIMIT: u64 = 1024 * 1024;

/// Why a file cannot be had; without its name.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// The system refuses.
    #[error("{0}")]
    Unreadable(#[from] io::Error),
    /// It is a folder, a pipe or a device.
    #[error("not a regular file")]
    NotAFile,
    /// It is longer than allowed.
    #[error("longer than {limit} bytes")]
    TooLong {
        /// What is allowed.
        limit: u64,
    },
}

/// The whole of a file, on the caller's thread: for when falconer starts, and for files on this
/// machine's own disks.
///
/// # Errors
/// When it cannot be read, is no regular file, or is longer than `limit` bytes.
pub fn read_now(path: &Path, limit: u64) -> Result<Vec<u8>, FileError> {
    // Asked before it is opened: opening a named pipe would wait for its writer.
    if !metadata(path)?.is_file() {
        return Err(FileError::NotAFile);
    }
    let mut bytes = Vec::new();
    File::open(path)?.take(limit.saturating_add(1)).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > limit {
        return Err(FileError::TooLong { limit });
    }
    Ok(bytes)
}

/// The same on a thread of its own, so that a file system that hangs delays only the caller.
///
/// # Errors
/// As [`read_now`].
pub async fn read(path: &Path, limit: u64) -> Result<Vec<u8>, FileError> {
    let path = path.to_path_buf();
    let read = tokio::task::spawn_blocking(move || read_now(&path, limit)).await;
    read.map_err(io::Error::from)?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_is_no_small_file_is_not_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        assert!(read(&path, 4).await.unwrap_err().to_string().contains("No such file"));
        std::fs::write(&path, "four").unwrap();
        assert_eq!(read(&path, 4).await.unwrap(), b"four");
        let long = read(&path, 3).await.unwrap_err();
        assert_eq!(long.to_string(), "longer than 3 bytes");
        for endless in [folder.path(), Path::new("/dev/zero")] {
            let error = read(endless, 4).await.unwrap_err();
            assert_eq!(error.to_string(), "not a regular file");
        }
    }
}

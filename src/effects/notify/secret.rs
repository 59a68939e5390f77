//! Where a secret comes from. It is read each time it is needed, so that it can be rotated without
//! a restart, and it is never kept, printed or logged.

use std::io;
use std::path::PathBuf;

use tokio::io::AsyncReadExt;

/// The longest secret that is read, in bytes.
const SECRET_LIMIT: u64 = 64 * 1024;

/// The place of a secret. Holds no secret itself, so it may be printed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SecretSource {
    /// A file; line ends at its end do not count.
    File(PathBuf),
    /// An environment variable.
    Env(String),
}

impl SecretSource {
    /// Reads the secret as it is now.
    ///
    /// # Errors
    /// With a sentence that names the place and never the content.
    pub async fn read(&self) -> Result<String, String> {
        match self {
            Self::File(path) => {
                let text = read_bounded(path)
                    .await
                    .map_err(|error| format!("cannot read {}: {error}", path.display()))?;
                let secret = text.trim_end_matches(['\r', '\n']);
                if secret.is_empty() {
                    return Err(format!("{} is empty", path.display()));
                }
                Ok(secret.to_owned())
            }
            Self::Env(name) => match std::env::var(name) {
                Ok(secret) if !secret.is_empty() => Ok(secret),
                Ok(_) => Err(format!("environment variable {name} is empty")),
                Err(_) => Err(format!("environment variable {name} is not set, or not text")),
            },
        }
    }
}

/// The whole text of a small file.
///
/// # Errors
/// When it cannot be read, is no regular file, is not UTF-8, or is longer than 64 KiB.
pub(super) async fn read_bounded(path: &std::path::Path) -> io::Result<String> {
    // Opening a pipe could wait for ever for somebody to write into it.
    if !tokio::fs::metadata(path).await?.is_file() {
        return Err(io::Error::other("not a regular file"));
    }
    let mut text = String::new();
    let file = tokio::fs::File::open(path).await?;
    let read = file.take(SECRET_LIMIT + 1).read_to_string(&mut text).await?;
    if read as u64 > SECRET_LIMIT {
        return Err(io::Error::other(format!("longer than {SECRET_LIMIT} bytes")));
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_secret_is_read_anew_each_time_without_its_line_end() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("password");
        let source = SecretSource::File(path.clone());
        assert!(source.read().await.unwrap_err().contains("cannot read"));
        std::fs::write(&path, "one\r\n").unwrap();
        assert_eq!(source.read().await.unwrap(), "one");
        std::fs::write(&path, " two ").unwrap();
        assert_eq!(source.read().await.unwrap(), " two ");
        std::fs::write(&path, "\n").unwrap();
        assert!(source.read().await.unwrap_err().ends_with("is empty"));
    }

    #[tokio::test]
    async fn a_secret_that_is_no_small_file_is_not_read() {
        let endless = SecretSource::File("/dev/zero".into());
        assert!(endless.read().await.unwrap_err().contains("not a regular file"));
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("password");
        std::fs::write(&path, "x".repeat(65_537)).unwrap();
        let long = SecretSource::File(path);
        assert!(long.read().await.unwrap_err().contains("longer than"));
    }
}

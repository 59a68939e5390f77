//! Files (or environment variables) that hold one secret. A secret is read each time it is needed,
//! so that it can be rotated without a restart, and it is never kept, printed or logged.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::small_file::{self, FileError};

/// No secret is longer, in bytes.
const SECRET_LIMIT: u64 = 64 * 1024;

/// What comes before the name of an environment variable, in the place of a path.
pub const VARIABLE_PREFIX: &str = "env:";

/// The path of a file that holds one secret, or `env:NAME` for an environment variable; empty =
/// none. Holds no secret itself, so it may be printed.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SecretFile(PathBuf);

/// Why a secret cannot be had. Names the file and never the content.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// The file cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
    /// The file is not a regular file.
    #[error("{} is not a regular file", path.display())]
    NotAFile {
        /// The file.
        path: PathBuf,
    },
    /// The file is too long for a secret.
    #[error("{} is longer than {limit} bytes", path.display())]
    TooLong {
        /// The file.
        path: PathBuf,
        /// What is allowed.
        limit: u64,
    },
    /// The file holds something that is not text.
    #[error("{} is not UTF-8 text", path.display())]
    NotText {
        /// The file.
        path: PathBuf,
    },
    /// There is no such environment variable, or it is no text.
    #[error("the environment variable {name} is not set to a text")]
    NotSet {
        /// The variable.
        name: String,
    },
    /// The file holds nothing.
    #[error("{} is empty", path.display())]
    Empty {
        /// The file.
        path: PathBuf,
    },
}

impl SecretFile {
    /// The file at `path`.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self(path.into())
    }

    /// Whether a file is named at all.
    pub fn is_set(&self) -> bool {
        !self.0.as_os_str().is_empty()
    }

    /// The file's path; empty where none is named.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// The secret as it is now, without the line ends at its end.
    ///
    /// # Errors
    /// When the file is missing, unreadable, empty, longer than 64 KiB, or not text.
    pub async fn read(&self) -> Result<String, SecretError> {
        if let Some(name) = self.variable() {
            return self.secret_in_variable(name);
        }
        self.secret_in(small_file::read(&self.0, SECRET_LIMIT).await)
    }

    /// The same on the caller's thread: for when falconer starts.
    ///
    /// # Errors
    /// As [`SecretFile::read`].
    pub fn read_now(&self) -> Result<String, SecretError> {
        if let Some(name) = self.variable() {
            return self.secret_in_variable(name);
        }
        self.secret_in(small_file::read_now(&self.0, SECRET_LIMIT))
    }

    fn variable(&self) -> Option<&str> {
        self.0.to_str()?.strip_prefix(VARIABLE_PREFIX)
    }

    fn secret_in_variable(&self, name: &str) -> Result<String, SecretError> {
        let content = std::env::var(name);
        let content = content.map_err(|_| SecretError::NotSet { name: name.to_owned() })?;
        self.secret_in(Ok(content.into_bytes()))
    }

    fn secret_in(&self, content: Result<Vec<u8>, FileError>) -> Result<String, SecretError> {
        let path = || self.0.clone();
        let bytes = content.map_err(|error| match error {
            FileError::Unreadable(source) => SecretError::Unreadable { path: path(), source },
            FileError::NotAFile => SecretError::NotAFile { path: path() },
            FileError::TooLong { limit } => SecretError::TooLong { path: path(), limit },
        })?;
        let text = String::from_utf8(bytes).map_err(|_| SecretError::NotText { path: path() })?;
        let secret = text.trim_end_matches(['\r', '\n']);
        if secret.is_empty() {
            return Err(SecretError::Empty { path: path() });
        }
        Ok(secret.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_secret_is_read_anew_each_time_without_its_line_end() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("password");
        let file = SecretFile::new(&path);
        for (content, secret) in [("one\r\n", "one"), (" two ", " two "), ("a b\n\n", "a b")] {
            std::fs::write(&path, content).unwrap();
            assert_eq!(file.read().await.unwrap(), secret);
            assert_eq!(file.read_now().unwrap(), secret);
        }
    }

    #[test]
    fn a_variable_is_as_good_as_a_file() {
        let path = std::env::var("PATH").expect("every process has one");
        assert_eq!(SecretFile::new("env:PATH").read_now().unwrap(), path);
        let missing = SecretFile::new("env:FALCONER_NO_SUCH_VARIABLE").read_now().unwrap_err();
        assert!(missing.to_string().contains("FALCONER_NO_SUCH_VARIABLE"), "{missing}");
    }

    #[test]
    fn what_is_not_a_secret_is_refused_with_its_reason() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("password");
        let reason = |content: &[u8]| {
            std::fs::write(&path, content).unwrap();
            SecretFile::new(&path).read_now().unwrap_err().to_string()
        };
        assert!(reason(b"").ends_with("password is empty"));
        assert!(reason(b"\n").ends_with("password is empty"));
        assert!(reason(&[0xff, 0xfe]).ends_with("password is not UTF-8 text"));
        assert!(reason(&vec![b'a'; 70_000]).ends_with("password is longer than 65536 bytes"));
        let not_a_file = SecretFile::new(folder.path()).read_now().unwrap_err();
        assert!(not_a_file.to_string().ends_with(" is not a regular file"), "{not_a_file}");
        let missing = SecretFile::new(folder.path().join("missing")).read_now().unwrap_err();
        assert!(missing.to_string().contains("No such file"), "{missing}");
    }
}

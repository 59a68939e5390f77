//! Values that must not be shown, and the files they are read from. Owns the reading and the
//! redaction; never caches, so a rotated secret is seen at the next reading.

use std::fmt;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize, Serializer};

/// No secret file is longer, in bytes.
pub const SECRET_LIMIT: u64 = 64 * 1024;

/// What stands wherever a secret would be printed.
const REDACTED: &str = "***";

/// A value that prints as `***`.
#[derive(Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    /// Hides `value`.
    pub fn new(value: impl Into<String>) -> Self {
        Self(value.into())
    }

    /// The value itself; to be handed on, never to be printed.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(REDACTED)
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(REDACTED)
    }
}

impl Serialize for Secret {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(REDACTED)
    }
}

/// The path of a file that holds one secret; empty = none.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SecretFile(PathBuf);

/// Why a secret cannot be had.
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
    /// The file is longer than [`SECRET_LIMIT`].
    #[error("{} is longer than {SECRET_LIMIT} bytes", path.display())]
    TooLong {
        /// The file.
        path: PathBuf,
    },
    /// The file holds something that is not text.
    #[error("{} is not UTF-8 text", path.display())]
    NotText {
        /// The file.
        path: PathBuf,
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

    /// Reads the secret, without the newline at its end. `None` where no file is named.
    ///
    /// # Errors
    /// When the file is missing, unreadable, empty, longer than [`SECRET_LIMIT`], or not text.
    pub fn read(&self) -> Result<Option<Secret>, SecretError> {
        if !self.is_set() {
            return Ok(None);
        }
        let path = || self.0.clone();
        let unreadable = |source| SecretError::Unreadable { path: path(), source };
        // Asked before it is opened: opening a named pipe would wait for its writer.
        if !std::fs::metadata(&self.0).map_err(unreadable)?.is_file() {
            return Err(SecretError::NotAFile { path: path() });
        }
        let file = File::open(&self.0).map_err(unreadable)?;
        let mut bytes = Vec::new();
        file.take(SECRET_LIMIT + 1).read_to_end(&mut bytes).map_err(unreadable)?;
        if bytes.len() as u64 > SECRET_LIMIT {
            return Err(SecretError::TooLong { path: path() });
        }
        let text = String::from_utf8(bytes).map_err(|_| SecretError::NotText { path: path() })?;
        let text = text.strip_suffix('\n').unwrap_or(&text);
        let text = text.strip_suffix('\r').unwrap_or(text);
        if text.is_empty() {
            return Err(SecretError::Empty { path: path() });
        }
        Ok(Some(Secret::new(text)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(content: &[u8]) -> (tempfile::TempDir, SecretFile) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secret");
        std::fs::write(&path, content).unwrap();
        (folder, SecretFile::new(path))
    }

    #[test]
    fn a_secret_never_prints_itself() {
        let secret = Secret::new("hunter2");
        assert_eq!(format!("{secret} {secret:?}"), "*** ***");
        assert_eq!(serde_json::to_string(&secret).unwrap(), "\"***\"");
        assert_eq!(secret.expose(), "hunter2");
    }

    #[test]
    fn a_secret_loses_only_the_newline_at_its_end() {
        for (content, expected) in
            [("a b\n", "a b"), ("x\r\n", "x"), (" y ", " y "), ("z\n\n", "z\n")]
        {
            let (_folder, secret) = file(content.as_bytes());
            assert_eq!(secret.read().unwrap(), Some(Secret::new(expected)));
        }
        assert_eq!(SecretFile::default().read().unwrap(), None);
    }

    #[test]
    fn what_is_not_a_secret_is_refused_with_its_reason() {
        let reason = |content: &[u8]| {
            let (_folder, secret) = file(content);
            secret.read().unwrap_err().to_string()
        };
        assert!(reason(b"").ends_with("is empty"));
        assert!(reason(b"\n").ends_with("is empty"));
        assert!(reason(&[0xff, 0xfe]).ends_with("is not UTF-8 text"));
        assert!(reason(&vec![b'a'; 70_000]).ends_with("is longer than 65536 bytes"));
        let (folder, _secret) = file(b"x");
        let not_a_file = SecretFile::new(folder.path()).read().unwrap_err();
        assert!(not_a_file.to_string().ends_with("is not a regular file"));
        let missing = SecretFile::new(folder.path().join("missing")).read().unwrap_err();
        assert!(missing.to_string().contains("No such file"));
    }
}

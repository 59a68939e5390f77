//! Who falconer is to a Milvus server. Reads secrets from their files anew for every probe, so a
//! rotated one is used at once; never shows them.

use std::fmt;
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use tonic::metadata::{Ascii, MetadataValue};

use crate::effects::http::read_small_file;
use crate::model::{Reason, ReasonKind};

/// Largest secret that is read, in bytes.
const SECRET_LIMIT: u64 = 64 * 1024;

/// A secret, or where it is kept.
#[derive(Clone, PartialEq, Eq)]
pub enum SecretSource {
    /// A file; a line end at its end does not count. Read again for every probe.
    File(PathBuf),
    /// The secret itself, e.g. from the environment.
    Value(String),
}

/// The file's name, or three stars.
impl fmt::Debug for SecretSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(f, "File({})", path.display()),
            Self::Value(_) => f.write_str("Value(***)"),
        }
    }
}

impl SecretSource {
    fn read(&self) -> Result<String, Reason> {
        match self {
            Self::Value(secret) => Ok(secret.clone()),
            Self::File(path) => read_secret(path),
        }
    }
}

fn read_secret(path: &Path) -> Result<String, Reason> {
    let unusable = |text: String| Reason::new(ReasonKind::Unauthorized, text);
    let bytes = read_small_file(path, SECRET_LIMIT).map_err(|reason| unusable(reason.text))?;
    let secret = String::from_utf8(bytes)
        .map_err(|_| unusable(format!("{}: the secret is not UTF-8", path.display())))?;
    Ok(secret.trim_end_matches(['\r', '\n']).to_owned())
}

/// What the server is told about who asks.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Credentials {
    /// Nothing.
    #[default]
    None,
    /// A user and a password.
    Password {
        /// The user's name.
        user: String,
        /// The password.
        password: SecretSource,
    },
    /// A token (API key), or `user:password` in one.
    Token(SecretSource),
}

impl Credentials {
    /// The value of the metadata `authorization`, if any: base64 alone, without a scheme.
    ///
    /// # Errors
    /// When a secret file cannot be read.
    pub fn authorization(&self) -> Result<Option<MetadataValue<Ascii>>, Reason> {
        let plain = match self {
            Self::None => return Ok(None),
            Self::Password { user, password } => format!("{user}:{}", password.read()?),
            Self::Token(token) => token.read()?,
        };
        let mut value = MetadataValue::try_from(STANDARD.encode(plain)).map_err(|_| {
            Reason::new(ReasonKind::Unauthorized, "the credentials cannot be sent in a header")
        })?;
        value.set_sensitive(true);
        Ok(Some(value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(credentials: &Credentials) -> String {
        let value = credentials.authorization().unwrap().expect("credentials");
        value.to_str().unwrap().to_owned()
    }

    #[test]
    fn a_password_is_sent_as_base64_of_user_and_password_without_a_scheme() {
        let password = SecretSource::Value("Milvus".into());
        let credentials = Credentials::Password { user: "root".into(), password };
        // `printf root:Milvus | base64`
        assert_eq!(sent(&credentials), "cm9vdDpNaWx2dXM=");
        assert!(Credentials::None.authorization().unwrap().is_none());
    }

    #[test]
    fn a_secret_file_is_read_again_when_it_changes() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let credentials = Credentials::Token(SecretSource::File(file.path().into()));
        std::fs::write(file.path(), "one\r\n").unwrap();
        assert_eq!(sent(&credentials), STANDARD.encode("one"));
        std::fs::write(file.path(), "two").unwrap();
        assert_eq!(sent(&credentials), STANDARD.encode("two"));
    }

    #[test]
    fn a_missing_secret_file_is_named() {
        let credentials = Credentials::Token(SecretSource::File("/nonexistent/token".into()));
        let reason = credentials.authorization().unwrap_err();
        assert_eq!(reason.kind, ReasonKind::Unauthorized);
        assert!(reason.text.contains("/nonexistent/token"), "{reason}");
    }

    #[test]
    fn secrets_do_not_show_in_debug_output() {
        let password = SecretSource::Value("hunter2".into());
        let credentials = Credentials::Password { user: "root".into(), password };
        assert!(!format!("{credentials:?}").contains("hunter2"));
        let value = credentials.authorization().unwrap().unwrap();
        assert!(!format!("{value:?}").contains("cm9vd"), "{value:?}");
    }
}

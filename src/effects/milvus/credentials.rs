//! Who falconer is to a Milvus server. Reads secrets from their files anew for every probe, so a
//! rotated one is used at once; never shows them.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use tonic::metadata::{Ascii, MetadataValue};

use crate::effects::failure;
use crate::effects::secret::{SecretError, SecretFile};
use crate::model::{Reason, ReasonKind};

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
        password: SecretFile,
    },
    /// A token (API key), or `user:password` in one.
    Token(SecretFile),
}

impl Credentials {
    /// The value of the metadata `authorization`, if any: base64 alone, without a scheme.
    ///
    /// # Errors
    /// When a secret file cannot be read.
    pub async fn authorization(&self) -> Result<Option<MetadataValue<Ascii>>, Reason> {
        let unusable = |error: SecretError| {
            match &error {
                SecretError::Unreadable { source, .. } => failure::own_limit(source),
                SecretError::NotAFile { .. }
                | SecretError::TooLong { .. }
                | SecretError::NotText { .. }
                | SecretError::NotSet { .. }
                | SecretError::Empty { .. } => None,
            }
            .unwrap_or_else(|| Reason::new(ReasonKind::Unauthorized, error.to_string()))
        };
        let plain = match self {
            Self::None => return Ok(None),
            Self::Password { user, password } => {
                format!("{user}:{}", password.read().await.map_err(unusable)?)
            }
            Self::Token(token) => token.read().await.map_err(unusable)?,
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

    async fn sent(credentials: &Credentials) -> String {
        let value = credentials.authorization().await.unwrap().expect("credentials");
        value.to_str().unwrap().to_owned()
    }

    fn file(secret: &str) -> (tempfile::NamedTempFile, SecretFile) {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), secret).unwrap();
        let secret = SecretFile::new(file.path());
        (file, secret)
    }

    #[tokio::test]
    async fn a_password_is_sent_as_base64_of_user_and_password_without_a_scheme() {
        let (_file, password) = file("Milvus");
        let credentials = Credentials::Password { user: "root".into(), password };
        // `printf root:Milvus | base64`
        assert_eq!(sent(&credentials).await, "cm9vdDpNaWx2dXM=");
        assert!(Credentials::None.authorization().await.unwrap().is_none());
    }

    #[tokio::test]
    async fn a_secret_file_is_read_again_when_it_changes() {
        let (file, token) = file("one\r\n");
        let credentials = Credentials::Token(token);
        assert_eq!(sent(&credentials).await, STANDARD.encode("one"));
        std::fs::write(file.path(), "two").unwrap();
        assert_eq!(sent(&credentials).await, STANDARD.encode("two"));
    }

    #[tokio::test]
    async fn a_missing_secret_file_is_named() {
        let credentials = Credentials::Token(SecretFile::new("/nonexistent/token"));
        let reason = credentials.authorization().await.unwrap_err();
        assert_eq!(reason.kind, ReasonKind::Unauthorized);
        assert!(reason.text.contains("/nonexistent/token"), "{reason}");
    }

    #[tokio::test]
    async fn secrets_do_not_show_in_debug_output() {
        let (_file, password) = file("hunter2");
        let credentials = Credentials::Password { user: "root".into(), password };
        assert!(!format!("{credentials:?}").contains("hunter2"));
        let value = credentials.authorization().await.unwrap().unwrap();
        assert!(!format!("{value:?}").contains("cm9vd"), "{value:?}");
    }
}

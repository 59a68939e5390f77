//! The ways to reach people.

/// Why a message was not accepted.
#[derive(Debug, thiserror::Error)]
pub enum NotifyError {
    /// No answer in time.
    #[error("{receiver}: no answer within {seconds} s")]
    Timeout {
        /// The receiver's name.
        receiver: String,
        /// The deadline.
        seconds: u64,
    },
    /// The far side cannot be reached, or cannot take it now (4xx of SMTP, 429 and 5xx of HTTP).
    #[error("{receiver}: {message}")]
    Unavailable {
        /// The receiver's name.
        receiver: String,
        /// What went wrong, cut to a line, without secrets.
        message: String,
    },
    /// The far side refuses this message or these credentials.
    #[error("{receiver}: refused: {message}")]
    Refused {
        /// The receiver's name.
        receiver: String,
        /// What it said, cut to a line, without secrets.
        message: String,
    },
}

impl NotifyError {
    /// Whether trying again soon makes sense. A refusal is retried too, but only slowly: somebody
    /// may mend the password.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Timeout { .. } | Self::Unavailable { .. } => true,
            Self::Refused { .. } => false,
        }
    }
}

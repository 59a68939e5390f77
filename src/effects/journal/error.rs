//! Why the journal or the essential state cannot be had.

use std::time::Duration;

/// Why something is not, or not yet, in the journal's file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum JournalError {
    /// It cannot be written or read at the moment; what is recorded stays in memory.
    #[error("the journal {path} cannot be used: {why}")]
    Unavailable {
        /// The file.
        path: String,
        /// What the system or the database says.
        why: String,
    },
    /// The disk did not answer in time.
    #[error("the journal {path} did not answer within {} ms", .within.as_millis())]
    Timeout {
        /// The file.
        path: String,
        /// The deadline.
        within: Duration,
    },
    /// A row says what no version of falconer writes.
    #[error("the journal {path} has a row that makes no sense: {what}")]
    Senseless {
        /// The file.
        path: String,
        /// Which.
        what: String,
    },
}

/// Why the essential state could not be read or saved.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StateError {
    /// The store cannot be reached or written at the moment.
    #[error("the state in {store} cannot be used: {why}")]
    Unavailable {
        /// Where the state is kept.
        store: String,
        /// What the store says.
        why: String,
    },
    /// The store did not answer in time: what was to be saved may be saved or not.
    #[error("the state in {store} was not answered for within {} ms", .within.as_millis())]
    Timeout {
        /// Where the state is kept.
        store: String,
        /// The deadline.
        within: Duration,
    },
    /// Somebody else changed it meanwhile.
    #[error("the state in {store} was changed by somebody else: {why}")]
    Conflict {
        /// Where the state is kept.
        store: String,
        /// What the store says.
        why: String,
    },
    /// The store refuses for good: rights, size, a form that this version does not know.
    #[error("the state in {store} is refused: {why}")]
    Refused {
        /// Where the state is kept.
        store: String,
        /// What the store says.
        why: String,
    },
    /// Another falconer has taken the state over: this one has no say in it any more, unless it
    /// becomes the leader again and loads it anew.
    #[error("the state in {store} belongs to another falconer: {why}")]
    Fenced {
        /// Where the state is kept.
        store: String,
        /// Who has it.
        why: String,
    },
}

impl StateError {
    /// Whether trying the same again later makes sense.
    pub const fn is_retryable(&self) -> bool {
        match self {
            Self::Unavailable { .. } | Self::Timeout { .. } | Self::Conflict { .. } => true,
            Self::Refused { .. } | Self::Fenced { .. } => false,
        }
    }
}

//! Why something that a person wants is not done, as plain data.

use std::fmt;

/// What is in the way; a closed set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RefusalKind {
    /// It makes no sense as it was asked for.
    Invalid,
    /// There is no such thing.
    Unknown,
    /// What is there does not allow it, such as an end that has come already.
    Conflict,
    /// Another falconer has to be asked.
    NotLeader,
    /// Nobody does it at the moment.
    NotNow,
    /// It is done, and will be forgotten with the process.
    NotSaved,
}

/// Why something is not, or not quite, done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChangeRefusal {
    /// What is in the way.
    pub kind: RefusalKind,
    /// What to do, as one line.
    pub words: String,
}

impl ChangeRefusal {
    /// A refusal in these words.
    pub fn new(kind: RefusalKind, words: impl fmt::Display) -> Self {
        Self { kind, words: words.to_string() }
    }
}

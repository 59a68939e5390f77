//! How a journal fares, as plain data.

use serde::Serialize;

use crate::model::Timestamp;

/// How a journal fares.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct JournalHealth {
    /// Where it is; empty = in memory only, as configured.
    pub path: String,
    /// Why it cannot be written at the moment; `None` = it can.
    pub trouble: Option<JournalTrouble>,
    /// Where the newest file that was damaged is now, if there was one since the start.
    pub moved_aside: Option<MovedAside>,
    /// Entries that wait in memory, or are kept there only.
    pub in_memory: u64,
    /// Entries lost since the start, because too many came at once or memory was full.
    pub dropped: u64,
    /// Entries written to the file since the start.
    pub written: u64,
    /// The size of the file, or of what memory keeps where there is none, in bytes.
    pub bytes: u64,
}

/// A damaged file that was given another name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct MovedAside {
    /// Where it is now.
    pub path: String,
    /// When it was found to be damaged.
    pub at: Timestamp,
    /// What the database says of it, as one line.
    pub why: String,
    /// Whether what falconer had kept of its state before it was started is in that file only.
    pub forgot: bool,
}

/// Why a journal cannot be written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct JournalTrouble {
    /// Since when.
    pub since: Timestamp,
    /// What the system or the database says, as one line.
    pub why: String,
}

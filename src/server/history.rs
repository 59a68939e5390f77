//! What the server is told of the past: somebody reads the journal for it.

use std::fmt;

use async_trait::async_trait;

use crate::model::{JournalEntry, JournalQuery};

/// Reads the journal.
#[async_trait]
pub trait History: Send + Sync + fmt::Debug {
    /// The newest entries that each of `queries` asks for, one after the other, each the newest
    /// first. Bounds its own time.
    ///
    /// # Errors
    /// With one line, when they cannot be had now.
    async fn recent(&self, queries: &[JournalQuery]) -> Result<Vec<JournalEntry>, String>;
}

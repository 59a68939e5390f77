//! Reads the journal for the server's thread: a few at a time, within a deadline.

use std::fmt;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::Semaphore;
use tokio::time::timeout;

use crate::effects::Journal;
use crate::model::{JournalEntry, JournalQuery};
use crate::server::History;

/// Who asks is not kept waiting for longer.
const WITHIN: Duration = Duration::from_secs(8);
/// Reading costs the disk something, and anybody may ask.
const AT_A_TIME: usize = 2;

/// See the module's description. Knows no journal until it is told: the server listens before.
pub struct JournalHistory {
    journal: OnceLock<Arc<dyn Journal>>,
    seats: Semaphore,
}

impl Default for JournalHistory {
    fn default() -> Self {
        Self { journal: OnceLock::new(), seats: Semaphore::new(AT_A_TIME) }
    }
}

impl JournalHistory {
    /// From now on `journal` is read.
    pub fn follow(&self, journal: Arc<dyn Journal>) {
        // The first one stays; there is no other in one process.
        let _ = self.journal.set(journal);
    }
}

impl fmt::Debug for JournalHistory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JournalHistory")
            .field("open", &self.journal.get().is_some())
            .finish_non_exhaustive()
    }
}

#[async_trait]
impl History for JournalHistory {
    async fn recent(&self, queries: &[JournalQuery]) -> Result<Vec<JournalEntry>, String> {
        let Some(journal) = self.journal.get() else {
            return Err("falconer is starting".to_owned());
        };
        let read = async {
            let _seat = self.seats.acquire().await.map_err(|error| error.to_string())?;
            let mut found = Vec::new();
            for query in queries {
                found.extend(journal.recent(query).await.map_err(|error| error.to_string())?);
            }
            Ok(found)
        };
        let late = || format!("it did not answer within {} s", WITHIN.as_secs());
        timeout(WITHIN, read).await.unwrap_or_else(|_| Err(late()))
    }
}

//! The journal as it is configured: in a file, or in memory only.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use super::mapping::{given, journal_limits};
use crate::clock::Clock;
use crate::config::settings::RecorderSettings;
use crate::effects::journal::{MemoryJournal, SqliteJournal, SqliteSettings};
use crate::effects::{Journal, StateStore};
use crate::metrics::Metrics;

/// The open journal. Cheap to clone.
#[derive(Clone)]
pub struct OpenJournal {
    /// Where everything is written down.
    pub journal: Arc<dyn Journal>,
    /// Where the essential state is kept: in the same file.
    pub state: Arc<dyn StateStore>,
    file: Option<Arc<SqliteJournal>>,
}

impl OpenJournal {
    /// Opens it. A file that cannot be used is no error: the journal is kept in memory meanwhile.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn open(settings: &RecorderSettings, clock: Clock, metrics: &Metrics) -> io::Result<Self> {
        let limits = journal_limits(settings);
        let Some(path) = given(&settings.path) else {
            let memory = Arc::new(MemoryJournal::new(limits.retention, metrics.clone()));
            return Ok(Self { journal: Arc::clone(&memory) as _, state: memory, file: None });
        };
        let file = SqliteJournal::open(SqliteSettings { path, limits }, clock, metrics.clone())?;
        let file = Arc::new(file);
        let (journal, state) = (Arc::clone(&file) as _, Arc::clone(&file) as _);
        Ok(Self { journal, state, file: Some(file) })
    }

    /// What it is called where the essential state is kept in it.
    pub fn name(&self) -> &'static str {
        if self.file.is_some() { "disk" } else { "memory" }
    }

    /// From now on it may keep as much as `settings` say.
    pub fn follow(&self, settings: &RecorderSettings) {
        if let Some(file) = &self.file {
            file.limit(journal_limits(settings));
        }
    }

    /// Writes what waits, and closes the file.
    pub async fn close(&self, within: Duration) {
        if let Some(file) = &self.file
            && !file.close(within).await
        {
            tracing::warn!("journal did not close in time");
        }
    }
}

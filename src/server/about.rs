//! How falconer is configured, as far as the server shows it. Changes when the configuration does.

use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock};

use crate::model::{ReloadOutcome, ReloadRecord, Timestamp};

/// How falconer is configured.
#[derive(Debug, Clone, Default)]
pub struct About {
    /// The names of the configured clusters; readiness waits for each of them.
    pub clusters: Vec<Arc<str>>,
    /// The configuration file, if there is one.
    pub config_path: Option<PathBuf>,
    /// What the configuration says that somebody should know, e.g. a receiver that is missing.
    pub warnings: Vec<String>,
    /// When the configuration that holds was read.
    pub configured_at: Timestamp,
    /// What it says that takes effect at the next start only.
    pub at_next_start: Vec<String>,
    /// The newest reading of the configuration since the start.
    pub reload: Option<ReloadRecord>,
}

impl About {
    /// The newest reading, if the file that was read is faulty.
    pub fn rejected(&self) -> Option<&ReloadRecord> {
        self.reload.as_ref().filter(|record| record.outcome == ReloadOutcome::Rejected)
    }
}

/// Shared handle to it. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct AboutBoard {
    inner: Arc<RwLock<About>>,
}

impl AboutBoard {
    /// A board that shows `about`.
    pub fn new(about: About) -> Self {
        Self { inner: Arc::new(RwLock::new(about)) }
    }

    /// A copy of everything.
    pub fn get(&self) -> About {
        self.inner.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Changes it in place. `change` must be short: it holds the lock.
    pub fn update(&self, change: impl FnOnce(&mut About)) {
        change(&mut self.inner.write().unwrap_or_else(PoisonError::into_inner));
    }
}

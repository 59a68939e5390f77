//! The recoverer's configuration: what holds for all, for each component, and its own deadlines.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;

use crate::model::ComponentId;
use crate::policy::maintenance::MaintenanceWindow;
use crate::policy::recovery::{GlobalSettings, RecoverySettings};

/// Everything of `[recoverer]`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RecovererSettings {
    /// For components without a table of their own.
    pub default: RecoverySettings,
    /// By the component's name, already merged with `default`.
    pub components: BTreeMap<Arc<str>, RecoverySettings>,
    /// For all components together.
    pub global: GlobalSettings,
    /// Whether the clusters given to the recoverer only show what they would do. Here it only
    /// decides the words and suppresses events; it protects nothing by itself.
    pub dry_run: bool,
    /// How often the rollout of an action under way is asked for.
    pub poll_interval: Duration,
    /// The deadline of one restart request.
    pub request_timeout: Duration,
    /// The deadline of one question for the rollout status.
    pub status_timeout: Duration,
    /// The deadline of writing one event; the longest time an event delays an action.
    pub event_timeout: Duration,
    /// How long an action waits for the logs and events of its pods at most.
    pub evidence_timeout: Duration,
    /// Windows that come again; those that hold recovery hold it here.
    pub maintenance: Vec<MaintenanceWindow>,
    /// How long an action waits for the journal to be on disk at most.
    pub flush_timeout: Duration,
}

impl Default for RecovererSettings {
    fn default() -> Self {
        Self {
            default: RecoverySettings::default(),
            components: BTreeMap::new(),
            global: GlobalSettings::default(),
            dry_run: false,
            poll_interval: Duration::from_secs(2),
            request_timeout: Duration::from_secs(30),
            status_timeout: Duration::from_secs(10),
            event_timeout: Duration::from_secs(3),
            evidence_timeout: Duration::from_secs(5),
            maintenance: Vec::new(),
            flush_timeout: Duration::from_secs(2),
        }
    }
}

impl RecovererSettings {
    /// What holds for `component`.
    pub fn for_component(&self, component: &ComponentId) -> &RecoverySettings {
        self.components.get(&component.component).unwrap_or(&self.default)
    }
}

//! The open alerts as falconer shows them to whoever asks over HTTP.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::alert::{Acknowledgement, AlertStatus, IncidentId, Severity};
use super::time::Timestamp;

/// The open alerts.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct AlertsShown {
    /// Each of them, the worst first.
    pub alerts: Vec<AlertShown>,
    /// What fails and has not failed often enough yet.
    #[serde(default)]
    pub pending: Vec<PendingShown>,
    /// What whoever reads them should know.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

/// A component that fails and has no alert yet.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PendingShown {
    /// Its cluster.
    pub cluster: Arc<str>,
    /// Its name.
    pub component: Arc<str>,
    /// What was seen last.
    pub reason: String,
    /// Since when it fails.
    pub since: Timestamp,
    /// Failed probes in a row.
    pub failures: u32,
    /// How many it takes.
    pub failure_threshold: u32,
}

/// One open alert.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AlertShown {
    /// Its incident, by which it is named.
    pub incident: IncidentId,
    /// The cluster of the sick component.
    pub cluster: Arc<str>,
    /// The sick component.
    pub component: Arc<str>,
    /// How bad.
    pub severity: Severity,
    /// Whether it goes on; one that is over is shown until everybody was told.
    pub status: AlertStatus,
    /// Short, e.g. `querynode is unhealthy`.
    pub title: String,
    /// What was seen.
    pub reason: String,
    /// Since when.
    pub started_at: Timestamp,
    /// The receivers that were told of it.
    pub told: Vec<Arc<str>>,
    /// Why people are not told of it at the moment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub held: Option<String>,
    /// Who looks after it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub acknowledged: Option<Acknowledgement>,
}

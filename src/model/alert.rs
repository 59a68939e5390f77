//! What people are told.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::component::ComponentId;
use super::report::Reason;
use super::time::Timestamp;

/// How bad it is; a closed set, used as a metric label.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Somebody should look at it today.
    Warning,
    /// Somebody should look at it now.
    Critical,
}

impl Severity {
    /// Lower case, as in `actors.toml` and metric labels.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Warning => "warning",
            Self::Critical => "critical",
        }
    }
}

/// Whether the incident goes on; a closed set, used as a metric label.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AlertStatus {
    /// It goes on.
    Firing,
    /// It is over.
    Resolved,
}

impl AlertStatus {
    /// Lower case, as in metric labels.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Firing => "firing",
            Self::Resolved => "resolved",
        }
    }
}

/// One incident: a component's time from unhealthy (or degraded) to healthy. Unique across
/// restarts of falconer, e.g. `milvus-ha/querynode@2026-01-01T00:00:00.000Z`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct IncidentId(Arc<str>);

impl IncidentId {
    /// The incident of `component` that began at `since`.
    pub fn new(component: &ComponentId, since: Timestamp) -> Self {
        Self(format!("{component}@{since}").into())
    }

    /// An identifier that was written down as text before.
    pub fn from_text(text: impl Into<Arc<str>>) -> Self {
        Self(text.into())
    }

    /// The identifier as text; also the idempotency key's first half.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for IncidentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// One message to people, for any receiver.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Notification {
    /// The incident it is about.
    pub incident: IncidentId,
    /// The component that is sick.
    pub component: ComponentId,
    /// How bad.
    pub severity: Severity,
    /// Firing or resolved.
    pub status: AlertStatus,
    /// Short, constant for one kind of incident, e.g. `querynode is unhealthy`.
    pub title: String,
    /// What was seen.
    pub reason: Reason,
    /// Lines of evidence: one per sick pod, quota state and so on.
    pub details: Vec<String>,
    /// What falconer does about it, or why it does nothing.
    pub action: String,
    /// Since when.
    pub started_at: Timestamp,
    /// When it ended, if it did.
    pub ended_at: Option<Timestamp>,
    /// When this message was made.
    pub sent_at: Timestamp,
}

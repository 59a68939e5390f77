//! The judged state of a component.

use serde::{Deserialize, Serialize};

use super::alert::{IncidentId, Severity};
use super::report::Reason;
use super::time::Timestamp;

/// A component's state after thresholds and grace; a closed set, used as a metric label.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(rename_all = "snake_case")]
pub enum HealthState {
    /// Not probed yet, or still within its startup grace without a success.
    #[default]
    Unknown,
    /// It serves.
    Healthy,
    /// It serves, but something about it is not right.
    Degraded,
    /// It failed `failure_threshold` times in a row.
    Unhealthy,
}

impl HealthState {
    /// Every state.
    pub const ALL: [Self; 4] = [Self::Unknown, Self::Healthy, Self::Degraded, Self::Unhealthy];

    /// The value of the metric label.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Healthy => "healthy",
            Self::Degraded => "degraded",
            Self::Unhealthy => "unhealthy",
        }
    }
}

/// How far a component's trouble is on its way to people.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(tag = "state", rename_all = "lowercase")]
pub enum AlertState {
    /// There is nothing to tell.
    #[default]
    Inactive,
    /// It fails, and has not failed often enough yet.
    Pending {
        /// Since when it fails.
        since: Timestamp,
        /// Failed probes in a row, up to now.
        failures: u32,
        /// How many it takes.
        failure_threshold: u32,
    },
    /// It has an alert.
    Firing {
        /// What the alert is about.
        incident: IncidentId,
        /// Since when.
        since: Timestamp,
        /// The worst it has been.
        severity: Severity,
        /// Whether it comes and goes so often that this is told as one.
        is_flapping: bool,
    },
}

/// The judged health of one component.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ComponentHealth {
    /// The state.
    pub state: HealthState,
    /// Since when.
    pub since: Timestamp,
    /// Why, where it is not simply healthy; also the newest failure that is still below its threshold.
    pub reason: Option<Reason>,
    /// Failed probes in a row, up to now.
    pub consecutive_failures: u32,
    /// Probes in a row that did not fail, up to now.
    pub consecutive_successes: u32,
}

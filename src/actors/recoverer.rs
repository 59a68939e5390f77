//! Restarts what is sick, within its guards, and verifies that it helped.

use actix::prelude::*;
use serde::Serialize;

use crate::model::{ComponentId, IncidentId, Reason, Timestamp, Workload};

/// Actions under way and budgets.
#[derive(Debug, Clone, Default, Serialize)]
pub struct RecovererSnapshot {}

/// A component is unhealthy. Sent at every unhealthy report, so the recoverer decides anew each
/// time; it is never a queue of work.
#[derive(Debug, Clone, PartialEq, Message)]
#[rtype(result = "()")]
pub struct Recover {
    /// The open incident.
    pub incident: IncidentId,
    /// The sick component.
    pub component: ComponentId,
    /// What was seen.
    pub reason: Reason,
    /// What runs the component; empty where nothing does (a dependency, the gRPC service).
    pub workloads: Vec<Workload>,
    /// When the incident began.
    pub unhealthy_since: Timestamp,
    /// How many of the cluster's workload components are unhealthy, this one included.
    pub sick_components: usize,
    /// How many workload components the cluster has.
    pub watched_components: usize,
    /// Unhealthy ones among what the cluster depends on.
    pub sick_dependencies: Vec<ComponentId>,
    /// Why the platform cannot be asked at the moment.
    pub platform_error: Option<Reason>,
}

/// A report found the component healthy (after success_threshold). Sent while an incident's
/// recovery is not finished; ignored otherwise.
#[derive(Debug, Clone, PartialEq, Message)]
#[rtype(result = "()")]
pub struct ComponentHealthy {
    /// The component.
    pub component: ComponentId,
    /// Since when it is healthy.
    pub since: Timestamp,
}

/// Where a recovery stands; a closed set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum RecoveryPhase {
    /// A guard refuses for now.
    Refused,
    /// The platform has accepted the action; the workload rolls. The supervisor grants the
    /// component a new startup grace.
    Started,
    /// Dry-run: shown, not done.
    DryRun,
    /// Verified: rolled out and healthy.
    Recovered,
    /// The verification deadline passed, or the platform refused the action.
    NotRecovered,
    /// Left to a person.
    Escalated,
}

/// What the recoverer tells the supervisor; only when something changed.
#[derive(Debug, Clone, PartialEq, Message)]
#[rtype(result = "()")]
pub struct RecoveryProgressed {
    /// The incident.
    pub incident: IncidentId,
    /// The component.
    pub component: ComponentId,
    /// Where it stands.
    pub phase: RecoveryPhase,
    /// A sentence for people: what was done or refused, with its numbers.
    pub summary: String,
}

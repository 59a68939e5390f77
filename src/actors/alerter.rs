//! Tells people: one alert per incident, repeated, resolved, retried until it is accepted.

use actix::prelude::*;
use serde::Serialize;

use crate::model::{ComponentId, IncidentId, Reason, Severity, Timestamp};

/// Open alerts and their delivery.
#[derive(Debug, Clone, Default, Serialize)]
pub struct AlerterSnapshot {}

/// An incident has begun, or its severity, reason or evidence has changed.
/// Sending it again for the same incident only updates what the next message will say.
#[derive(Debug, Clone, PartialEq, Message)]
#[rtype(result = "()")]
pub struct RaiseAlert {
    /// The incident; one alert for each.
    pub incident: IncidentId,
    /// The sick component.
    pub component: ComponentId,
    /// How bad.
    pub severity: Severity,
    /// e.g. `querynode is unhealthy`.
    pub title: String,
    /// What was seen.
    pub reason: Reason,
    /// Lines of evidence.
    pub details: Vec<String>,
    /// Since when.
    pub started_at: Timestamp,
}

/// What falconer does about an incident has changed. Unknown incidents are ignored.
#[derive(Debug, Clone, PartialEq, Message)]
#[rtype(result = "()")]
pub struct UpdateAlert {
    /// The incident.
    pub incident: IncidentId,
    /// What falconer does, did, or refuses to do and why.
    pub action: String,
}

/// An incident is over.
#[derive(Debug, Clone, PartialEq, Message)]
#[rtype(result = "()")]
pub struct ResolveAlert {
    /// The incident.
    pub incident: IncidentId,
    /// When it ended.
    pub ended_at: Timestamp,
}

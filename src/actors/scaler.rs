//! Changes the number of replicas with the load, within its bounds.

use actix::prelude::*;
use serde::Serialize;

use crate::model::{ComponentId, HealthState, Pod, PodUsage, Role, Timestamp, Workload};

/// The newest scaling decisions.
#[derive(Debug, Clone, Default, Serialize)]
pub struct ScalerSnapshot {}

/// The load of one component as just measured. Sent at every resources report.
#[derive(Debug, Clone, PartialEq, Message)]
#[rtype(result = "()")]
pub struct LoadObserved {
    /// The component.
    pub component: ComponentId,
    /// Its Milvus role.
    pub role: Role,
    /// What runs it.
    pub workloads: Vec<Workload>,
    /// Its pods as the API lists them.
    pub pods: Vec<Pod>,
    /// CPU and memory of those pods that have a sample.
    pub usage: Vec<PodUsage>,
    /// Its judged health: an incident holds scaling.
    pub health: HealthState,
    /// When the usage was read.
    pub observed_at: Timestamp,
}

/// What the scaler tells the supervisor; only when its decision changed or an action ended.
#[derive(Debug, Clone, PartialEq, Message)]
#[rtype(result = "()")]
pub struct ScalingProgressed {
    /// The component.
    pub component: ComponentId,
    /// A sentence for people: what was decided and why, with its numbers.
    pub summary: String,
}

//! What is known when a component is reported unhealthy: plain data, put together by the actors.

use std::sync::Arc;

use super::trouble::Trouble;
use crate::model::{
    ComponentId, IncidentId, Pod, PodCondition, Reason, Role, Timestamp, Workload, WorkloadRef,
};
use crate::policy::quiet::Quiet;

/// What is known when a component is reported unhealthy.
#[derive(Debug, Clone, PartialEq)]
pub struct RecoveryRequest {
    /// The open incident.
    pub incident: IncidentId,
    /// The sick component.
    pub component: ComponentId,
    /// What it is to Milvus; `None` for something else.
    pub role: Option<Role>,
    /// What runs it.
    pub workloads: Vec<Workload>,
    /// Its pods, and what was found of each.
    pub pods: Vec<PodState>,
    /// Whether the component serves in spite of its sick pods: then only those are dealt with, and the
    /// rollout that made them.
    pub serves: bool,
    /// What kind of trouble it is in now.
    pub trouble: Trouble,
    /// When the incident began.
    pub unhealthy_since: Timestamp,
    /// Failed probes in a row.
    pub failures: u32,
    /// How many it takes.
    pub failure_threshold: u32,
    /// Until when the component may still be starting, where it is.
    pub grace_until: Option<Timestamp>,
    /// How many components with workloads are sick in this cluster, this one included.
    pub sick_components: usize,
    /// How many components with workloads this cluster has.
    pub watched_components: usize,
    /// The other sick components of the cluster that falconer would restart too.
    pub sick_others: Vec<SickComponent>,
    /// Which of the cluster's dependencies are sick.
    pub sick_dependencies: Vec<ComponentId>,
    /// The oldest among the newest probes of the cluster's other components and dependencies.
    pub cluster_seen_at: Option<Timestamp>,
    /// The version that Milvus says it has, e.g. `v2.3.5`.
    pub milvus_version: Option<String>,
    /// Why the platform cannot be asked at the moment.
    pub platform_error: Option<Reason>,
    /// Those of `workloads` whose replicas are being changed right now.
    pub being_scaled: Vec<WorkloadRef>,
    /// Why this falconer must not act, where another one is the leader or may become it before an
    /// action would end.
    pub not_leader: Option<String>,
    /// A maintenance window or silence in force.
    pub quiet: Option<Quiet>,
}

impl RecoveryRequest {
    /// The names of the pods that were found sick.
    pub fn sick_pods(&self) -> impl Iterator<Item = Arc<str>> + '_ {
        let sick = self.pods.iter().filter(|one| one.sick.is_some());
        sick.map(|one| Arc::clone(&one.pod.name))
    }
}

/// A pod and what its own probe said.
#[derive(Debug, Clone, PartialEq)]
pub struct PodState {
    /// The pod.
    pub pod: Pod,
    /// Why it is sick, as its own probe found or the platform says; `None` where it is not.
    pub sick: Option<Reason>,
}

impl PodState {
    /// Whether the platform holds it for ready.
    pub fn is_ready(&self) -> bool {
        self.pod.condition == PodCondition::Ready
    }

    /// Whether it serves, for all that is known.
    pub fn is_well(&self) -> bool {
        self.is_ready() && self.sick.is_none()
    }

    /// Whether it is about to end.
    pub fn is_terminating(&self) -> bool {
        self.pod.condition == PodCondition::Terminating
    }
}

/// Another sick component of the same cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SickComponent {
    /// Which.
    pub component: ComponentId,
    /// What it is to Milvus.
    pub role: Option<Role>,
    /// Whether it serves in spite of its sick pods, e.g. a coordinator whose standby is sick.
    pub serves: bool,
}

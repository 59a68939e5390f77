//! A pod, and what is known of its life.

use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;

use super::time::Timestamp;
use super::workload::WorkloadRef;

/// CPU and memory, of requests or limits, summed over a pod's containers. `None` where any
/// container lacks the value.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Resources {
    /// CPU in thousandths of a core.
    pub cpu_milli: Option<u64>,
    /// Memory in bytes.
    pub memory_bytes: Option<u64>,
}

/// Where a pod stands in its life, as far as the API tells.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub enum PodCondition {
    /// Waits to be scheduled or for its containers to start.
    Pending {
        /// e.g. `Unschedulable: 0/3 nodes are available`.
        message: String,
    },
    /// All containers run and the pod is ready.
    Ready,
    /// Containers run, the pod is not ready.
    NotReady,
    /// A container is in `CrashLoopBackOff` (or cannot start: image, config).
    CrashLoop {
        /// e.g. `container querynode: CrashLoopBackOff, 7 restarts`.
        message: String,
    },
    /// It has a deletion timestamp.
    Terminating,
    /// It ended (`Succeeded`, `Failed`, evicted) and will not come back.
    Ended {
        /// e.g. `Evicted: the node was low on memory`.
        message: String,
    },
}

/// What a container's liveness probe asks; a closed set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum LivenessKind {
    /// Whether a port can be connected to. Milvus' default: it misses a process that is stuck.
    Tcp,
    /// Whether an HTTP request is answered with success.
    Http,
    /// Whether a gRPC health check or a command succeeds.
    Other,
}

/// A liveness probe of the kubelet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Liveness {
    /// What it asks.
    pub kind: LivenessKind,
    /// After so long of failing the kubelet restarts the container: period × failure threshold,
    /// and the time-out of the last try.
    pub deadline: Duration,
}

/// A deletion that has not ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Terminating {
    /// When it was asked for: the deletion timestamp without the grace period.
    pub since: Timestamp,
    /// How long the pod may take (milvus-operator: 30 days).
    pub grace: Duration,
}

/// What is known of a pod's life beyond its condition.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct PodLife {
    /// Its identifier; another pod of the same name has another one.
    pub uid: Option<Arc<str>>,
    /// When it was created.
    pub created_at: Option<Timestamp>,
    /// Its deletion.
    pub terminating: Option<Terminating>,
    /// The mark of the revision it was made from: `pod-template-hash` or `controller-revision-hash`.
    pub template: Option<Arc<str>>,
    /// When a kubelet took it on.
    pub taken_on_at: Option<Timestamp>,
    /// When it became ready, or not ready, the last time.
    pub ready_changed_at: Option<Timestamp>,
    /// How often its containers were restarted.
    pub restarts: u32,
    /// Until when the kubelet lets it start: its startup probe has not succeeded, or its liveness
    /// probe's initial delay is not over.
    pub starting_until: Option<Timestamp>,
    /// The strictest liveness probe of its containers.
    pub liveness: Option<Liveness>,
    /// Where it runs; known of pods that are about to end only.
    pub node: Option<Arc<str>>,
    /// What must be done before it is gone; known of pods that are about to end only.
    pub finalizers: Vec<Arc<str>>,
    /// The file on this machine that holds its output, where there is one.
    pub log_file: Option<Arc<str>>,
}

/// One pod of a component.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Pod {
    /// Its name.
    pub name: Arc<str>,
    /// Its address; `None` until it has one.
    pub ip: Option<String>,
    /// Where it stands.
    pub condition: PodCondition,
    /// Sum of the containers' requests.
    pub requests: Resources,
    /// Sum of the containers' limits.
    pub limits: Resources,
    /// When it was started, the last time where a container of it was started again.
    pub started_at: Option<Timestamp>,
    /// The workload it belongs to, through its owner references.
    pub workload: Option<WorkloadRef>,
    /// What else is known of its life.
    pub life: PodLife,
}

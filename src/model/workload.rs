//! What runs a component: the workloads and pods of a platform, in domain terms.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::component::Role;
use super::gitops::GitOps;
use super::pod::Pod;
use super::report::Reason;
use super::time::Timestamp;

/// What kind of object runs the pods.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum WorkloadKind {
    /// apps/v1 Deployment.
    Deployment,
    /// apps/v1 StatefulSet.
    StatefulSet,
    /// apps/v1 DaemonSet.
    DaemonSet,
    /// A process of this machine (`platform = "process"`).
    Process,
}

impl WorkloadKind {
    /// The kind as Kubernetes spells it, `Process` for a process.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Deployment => "Deployment",
            Self::StatefulSet => "StatefulSet",
            Self::DaemonSet => "DaemonSet",
            Self::Process => "Process",
        }
    }
}

/// The name of a workload.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct WorkloadRef {
    /// Its kind.
    pub kind: WorkloadKind,
    /// Its namespace; empty for a process.
    pub namespace: Arc<str>,
    /// Its name.
    pub name: Arc<str>,
}

/// As kubectl writes it: `deployment/milvus-querynode`.
impl fmt::Display for WorkloadRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.kind.as_str().to_lowercase(), self.name)
    }
}

/// Who wrote the workload, as far as its owner references tell.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub enum Owner {
    /// Nobody: applied by hand, by Helm, by a GitOps tool.
    None,
    /// A Milvus custom resource of milvus-operator, with its name.
    MilvusOperator {
        /// The custom resource's name.
        name: String,
    },
    /// Something falconer does not know; it acts on no such workload.
    Unknown {
        /// The owner's kind.
        kind: String,
        /// The owner's name.
        name: String,
    },
}

/// Why the one who made a workload wants nobody else to touch it now; a closed set.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "hold", rename_all = "snake_case")]
pub enum Hold {
    /// milvus-operator is paused for the whole cluster (`spec.components.paused`).
    ClusterPaused,
    /// milvus-operator is paused for this component.
    ComponentPaused,
    /// The replicas are set by hand (`spec.components.enableManualMode`).
    ManualMode,
    /// The custom resource's condition `MilvusUpdated` is false: a change is being carried out.
    Updating {
        /// The condition's reason or message, if it has one.
        message: String,
    },
    /// The custom resource carries a rolling id for the component: a rollout is under way.
    Rolling {
        /// The id.
        id: String,
    },
    /// Of the component's two Deployments the other one is the current.
    LeavingGroup {
        /// The current group.
        current: String,
    },
}

impl Hold {
    /// Whether somebody has taken the workload out of its owner's hands for the moment.
    pub const fn is_pause(&self) -> bool {
        !self.is_rollout()
    }

    /// Whether pods are being replaced, as opposed to: nobody is to touch it.
    pub const fn is_rollout(&self) -> bool {
        match self {
            Self::Updating { .. } | Self::Rolling { .. } | Self::LeavingGroup { .. } => true,
            Self::ClusterPaused | Self::ComponentPaused | Self::ManualMode => false,
        }
    }
}

impl fmt::Display for Hold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ClusterPaused => f.write_str("its Milvus custom resource is paused"),
            Self::ComponentPaused => {
                f.write_str("the component is paused in its Milvus custom resource")
            }
            Self::ManualMode => f.write_str("milvus-operator is in manual mode"),
            Self::Updating { message } if message.is_empty() => {
                f.write_str("milvus-operator carries a change out (MilvusUpdated is false)")
            }
            Self::Updating { message } => {
                write!(
                    f,
                    "milvus-operator carries a change out (MilvusUpdated is false: {message})"
                )
            }
            Self::Rolling { id } => write!(f, "milvus-operator rolls it out (rolling id {id})"),
            Self::LeavingGroup { current } => {
                write!(f, "milvus-operator moves it to the Deployment of group {current}")
            }
        }
    }
}

/// The newest revision of a workload's pod template. What differs only in the annotation of a
/// restart is the same revision.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Revision {
    /// Its number, as `kubectl rollout history` shows it.
    pub number: u64,
    /// The mark of its pods ([`PodLife::template`](super::PodLife::template)), of every number that has the same content.
    pub templates: Vec<Arc<str>>,
    /// Since when there is a revision of this content.
    pub since: Timestamp,
    /// The newest older revision with another content, to which a rollback would return.
    pub previous: Option<u64>,
}

/// What scales the workload besides falconer, e.g. an HPA or a KEDA object.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Autoscaler {
    /// Its kind, e.g. `HorizontalPodAutoscaler`.
    pub kind: String,
    /// Its name.
    pub name: String,
}

impl Autoscaler {
    /// The kind of an autoscaler that may or may not exist.
    pub const UNKNOWN_KIND: &'static str = "unknown autoscaler";

    /// It cannot be told whether something scales the workload; `why` says what is missing.
    /// Whoever would scale must then leave it alone.
    pub fn unknown(why: impl Into<String>) -> Self {
        Self { kind: Self::UNKNOWN_KIND.to_owned(), name: why.into() }
    }

    /// Whether this stands for "cannot be told".
    pub fn is_unknown(&self) -> bool {
        self.kind == Self::UNKNOWN_KIND
    }

    /// The kind of an autoscaler that is not known, but to which the owner has left the replicas.
    const HANDED_OVER_KIND: &'static str = "handed over";

    /// The workload's owner leaves the number of replicas to an autoscaler; `why` says where that
    /// stands.
    pub fn handed_over(why: impl Into<String>) -> Self {
        Self { kind: Self::HANDED_OVER_KIND.to_owned(), name: why.into() }
    }

    /// What it has to do with `workload`, e.g. `HorizontalPodAutoscaler proxy scales
    /// deployment/milvus-proxy already`.
    pub fn claim(&self, workload: &WorkloadRef) -> String {
        let Self { kind, name } = self;
        if self.is_unknown() {
            return format!("whether something else scales {workload} cannot be told: {name}");
        }
        if kind == Self::HANDED_OVER_KIND {
            return format!("the replicas of {workload} are left to an autoscaler: {name}");
        }
        format!("{kind} {name} scales {workload} already")
    }
}

/// One workload of a component.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Workload {
    /// Its name.
    pub reference: WorkloadRef,
    /// Replicas asked for.
    pub desired_replicas: u32,
    /// Replicas that are ready.
    pub ready_replicas: u32,
    /// Whether its own rollout is paused; see [`Workload::is_paused`].
    pub paused: bool,
    /// Whether pods of it are being replaced right now; see [`Workload::is_rolling_out`].
    pub rolling_out: bool,
    /// Who wrote it.
    pub owner: Owner,
    /// What else scales it.
    pub autoscaler: Option<Autoscaler>,
    /// The GitOps tool that looks after the object in which its number of replicas stands.
    pub gitops: Option<GitOps>,
    /// Why its owner wants nobody to touch it now.
    pub holds: Vec<Hold>,
    /// Its newest revision, where that is known.
    pub revision: Option<Revision>,
}

impl Workload {
    /// Whether its rollout is paused, or its owner is: somebody is at work there.
    pub fn is_paused(&self) -> bool {
        self.paused || self.holds.iter().any(Hold::is_pause)
    }

    /// Whether a rollout is in progress, as the workload itself or its owner tells.
    pub fn is_rolling_out(&self) -> bool {
        self.rolling_out || self.holds.iter().any(Hold::is_rollout)
    }
}

/// Everything that runs one component.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct ComponentInventory {
    /// Its Milvus role; `None` for something else.
    pub role: Option<Role>,
    /// Its workloads: one as a rule; two with milvus-operator, of which one has no replicas.
    pub workloads: Vec<Workload>,
    /// Its pods, in the order of their names.
    pub pods: Vec<Pod>,
}

/// What a platform knows of one cluster at one instant.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Inventory {
    /// Whether the first complete list has arrived. Until then `components` says nothing.
    pub synced: bool,
    /// Why the platform cannot be asked at the moment; the rest is then the last known state.
    pub error: Option<Reason>,
    /// The components by name.
    pub components: BTreeMap<Arc<str>, ComponentInventory>,
}

impl Inventory {
    /// Whether it is complete, and the platform can be asked: nothing of it may be old.
    pub fn is_current(&self) -> bool {
        self.synced && self.error.is_none()
    }
}

/// How far a restart or a scaling has come.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub enum RolloutStatus {
    /// New pods are still being made or old ones removed.
    InProgress {
        /// e.g. `1 of 3 updated replicas are ready`.
        message: String,
    },
    /// Every replica is of the newest revision and ready.
    Complete,
    /// The platform itself says that it will not complete.
    Failed {
        /// The platform's words.
        message: String,
    },
}

/// The two types a Kubernetes Event can have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum EventType {
    /// Something was done as intended.
    Normal,
    /// Something went wrong or was done because something went wrong.
    Warning,
}

/// A line in the workload's own event log: what falconer did and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ClusterEvent {
    /// The workload it is about.
    pub workload: WorkloadRef,
    /// Its type.
    pub event_type: EventType,
    /// CamelCase, e.g. `RolloutRestarted`.
    pub reason: &'static str,
    /// A sentence for people.
    pub message: String,
}

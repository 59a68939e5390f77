//! Plain data in the field's terms. Owns no behaviour beyond construction and formatting, imports
//! nothing from the other layers, and never reads a clock.

pub mod alert;
pub mod change;
pub mod component;
pub mod condition;
pub mod explanation;
pub mod gitops;
pub mod health;
mod hung;
pub mod journal;
pub mod leadership;
pub mod pod;
pub mod recovery;
pub mod reload;
pub mod report;
pub mod serving;
pub mod shown;
pub mod silence;
pub mod state;
pub mod time;
pub mod workload;

pub use alert::{
    Acknowledgement, Affected, AlertMessage, AlertStatus, IncidentId, LEFT_TO_PERSON, Notification,
    Receipt, Severity, Sighting,
};
pub use change::{ChangeRefusal, RefusalKind};
pub use component::{ComponentId, ProberKind, Role};
pub use condition::Condition;
pub use gitops::{GitOps, GitOpsTool};
pub use health::{AlertState, ComponentHealth, HealthState};
pub use journal::{EvidenceSource, JournalEntry, JournalKind, JournalQuery, JournalRecord};
pub use leadership::{Leadership, LeaseRecord, StoredLease};
pub use pod::{Liveness, LivenessKind, Pod, PodCondition, PodLife, Resources, Terminating};
pub use recovery::Evidence;
pub use reload::{Names, ReloadOutcome, ReloadRecord, ReloadTrigger, Touched};
pub use report::{
    CollectionProbe, MilvusReport, Outcome, Percent, PerformanceReport, PodUsage, ProbeObservation,
    ProbeReport, ProbeTrigger, Reason, ReasonKind, TargetReport,
};
pub use serving::{Balance, LoadedCollection, Management, QueryNode, QueryNodeState, Serving};
pub use shown::{AlertShown, AlertsShown, PendingShown};
pub use silence::{Held, Matchers, NewSilence, Silence, SilencePhase, SilenceShown, SilencesShown};
pub use state::{StateChanges, StoredState};
pub use time::Timestamp;
pub use workload::{
    Autoscaler, ClusterEvent, ComponentInventory, EventType, Hold, Inventory, Owner, Revision,
    RolloutStatus, Workload, WorkloadKind, WorkloadRef,
};

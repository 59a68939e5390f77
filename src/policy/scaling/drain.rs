//! A query node on its way out: what is known of it, and what is to be done next. Plain data that
//! outlives the process, and one pure decision; never acts.
//!
//! ```text
//! emptying ──empty──▶ removing ──gone──▶ verified
//!     │                  │
//!     └── trouble ───────┴──▶ giving back ──▶ takes part again
//! ```

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::model::{ComponentId, QueryNode, QueryNodeState, Timestamp, WorkloadRef};

/// How far a drain is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "phase", rename_all = "snake_case")]
pub enum DrainPhase {
    /// It is suspended, and what it holds is moved to the others.
    Emptying,
    /// It is empty, and the number of replicas is being lowered.
    Removing,
    /// The number was lowered and the node is gone; every collection has to answer a query.
    Verifying,
    /// It is not to go after all, and has to take part again.
    GivingBack {
        /// Why.
        why: String,
    },
}

/// A query node on its way out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DrainUnderWay {
    /// The component.
    pub component: ComponentId,
    /// Its workload.
    pub workload: WorkloadRef,
    /// From this number of replicas.
    pub from: u32,
    /// To this number.
    pub to: u32,
    /// Milvus' number for the node.
    pub node: i64,
    /// Its pod.
    pub pod: Arc<str>,
    /// The pod's identifier.
    pub uid: Option<Arc<str>>,
    /// Whether the platform has to be told that this pod goes first.
    pub marks: bool,
    /// When it began.
    pub began_at: Timestamp,
    /// How far it is.
    pub phase: DrainPhase,
    /// Since when it is that far.
    pub phase_since: Timestamp,
}

impl DrainUnderWay {
    /// The cluster and the workload that it holds.
    pub fn held(&self) -> (Arc<str>, WorkloadRef) {
        (Arc::clone(&self.component.cluster), self.workload.clone())
    }
}

/// What is to be done about a node that is being emptied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EmptyingStep {
    /// It is not empty yet.
    Wait {
        /// Segments that it still serves.
        segments: u64,
        /// Channels that it still serves.
        channels: u64,
    },
    /// It is empty: now it may go.
    Remove,
    /// It does not become empty, or is not what it was.
    GiveBack {
        /// Why.
        why: String,
    },
    /// Milvus does not know it any more: it went by itself.
    Gone,
}

/// What to do now that Milvus says this of the node.
pub fn emptying(
    drain: &DrainUnderWay,
    seen: Option<&QueryNode>,
    timeout: Duration,
    now: Timestamp,
) -> EmptyingStep {
    let Some(node) = seen else { return EmptyingStep::Gone };
    match node.state {
        QueryNodeState::Suspended | QueryNodeState::Stopping if !node.serves() => {
            return EmptyingStep::Remove;
        }
        QueryNodeState::Suspended | QueryNodeState::Stopping => {}
        QueryNodeState::Normal => {
            let why = "somebody has made it take part again".to_owned();
            return EmptyingStep::GiveBack { why };
        }
    }
    let (segments, channels) = (node.segments, node.channels);
    if now.since(drain.began_at) >= timeout {
        let timeout = humantime::format_duration(timeout);
        let why = format!(
            "it was not empty within {timeout}: {segments} segments and {channels} channels were left"
        );
        return EmptyingStep::GiveBack { why };
    }
    EmptyingStep::Wait { segments, channels }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::WorkloadKind;

    fn drain() -> DrainUnderWay {
        let workload = WorkloadRef {
            kind: WorkloadKind::Deployment,
            namespace: "n".into(),
            name: "milvus-querynode".into(),
        };
        DrainUnderWay {
            component: ComponentId::new("a", "querynode"),
            workload,
            from: 3,
            to: 2,
            node: 7,
            pod: "q-1".into(),
            uid: None,
            marks: true,
            began_at: Timestamp::from_millis(0),
            phase: DrainPhase::Emptying,
            phase_since: Timestamp::from_millis(0),
        }
    }

    #[test]
    fn a_node_goes_only_when_it_is_suspended_and_empty() {
        use QueryNodeState::{Normal, Stopping, Suspended};
        let timeout = Duration::from_secs(60);
        let step = |state, segments, channels, seconds: u64| {
            let node = QueryNode { id: 7, state, segments, channels, ..QueryNode::default() };
            let now = Timestamp::from_millis(seconds * 1_000);
            emptying(&drain(), Some(&node), timeout, now)
        };
        assert_eq!(step(Suspended, 0, 0, 5), EmptyingStep::Remove);
        assert_eq!(step(Stopping, 0, 0, 5), EmptyingStep::Remove);
        assert_eq!(step(Suspended, 0, 1, 5), EmptyingStep::Wait { segments: 0, channels: 1 });
        assert_eq!(step(Suspended, 3, 0, 59), EmptyingStep::Wait { segments: 3, channels: 0 });
        assert!(matches!(step(Suspended, 3, 0, 60), EmptyingStep::GiveBack { why }
            if why == "it was not empty within 1m: 3 segments and 0 channels were left"));
        assert!(matches!(step(Normal, 0, 0, 5), EmptyingStep::GiveBack { .. }));
        // One that becomes empty at the last moment goes all the same.
        assert_eq!(step(Suspended, 0, 0, 600), EmptyingStep::Remove);
        let gone = emptying(&drain(), None, timeout, Timestamp::from_millis(0));
        assert_eq!(gone, EmptyingStep::Gone);
    }
}

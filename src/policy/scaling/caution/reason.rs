//! Why Milvus cannot bear a change: a closed set, each with numbers and words.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::model::{Percent, QueryNodeState};

/// Why a change that the load asks for is not made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CautionReason {
    /// What would have to be known is not.
    EvidenceMissing {
        /// Why.
        why: String,
    },
    /// What is known is too old.
    EvidenceStale {
        /// So old.
        age: Duration,
        /// The most that is accepted.
        allowed: Duration,
    },
    /// The memory of a pod is not known.
    MemoryUnknown {
        /// The pod.
        pod: Arc<str>,
        /// What is missing: a fresh sample, or its limit.
        what: &'static str,
    },
    /// The data would not fit into the memory of those that remain.
    MemoryWouldNotFit {
        /// The pod that would be fullest.
        pod: Arc<str>,
        /// Its forecast, per cent of its limit.
        predicted: Percent,
        /// It must stay below.
        allowed: Percent,
        /// How many would remain.
        remaining: usize,
    },
    /// A collection is held in more copies than nodes would remain.
    TooFewForReplicas {
        /// The collection.
        collection: String,
        /// Its copies.
        replicas: u32,
        /// How many nodes would remain.
        remaining: u32,
    },
    /// A collection is being loaded.
    Loading {
        /// The collection.
        collection: String,
        /// How far it is.
        percent: u32,
    },
    /// Segments or channels are on their way.
    Balancing {
        /// Tasks of the coordinator.
        tasks: u64,
    },
    /// Somebody has suspended the balancing.
    BalanceSuspended,
    /// Somebody else has taken a node out, or it is about to end.
    NodeTakenOut {
        /// Milvus' number for it.
        node: i64,
        /// How it stands.
        state: QueryNodeState,
    },
    /// A node was taken away without being emptied; Milvus loads its data elsewhere.
    AfterRemoval {
        /// For so long.
        left: Duration,
    },
    /// The nodes that were added last serve nothing yet.
    NewNodesIdle {
        /// How many nodes serve.
        serving: u32,
        /// Of so many.
        replicas: u32,
        /// So long they are waited for.
        left: Duration,
    },
    /// Whether the nodes that were added last serve is not known.
    ServingUnknown {
        /// Why.
        why: String,
        /// So long they are waited for.
        left: Duration,
    },
}

impl CautionReason {
    /// A name for machines.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::EvidenceMissing { .. } => "evidence_missing",
            Self::EvidenceStale { .. } => "evidence_stale",
            Self::MemoryUnknown { .. } => "memory_unknown",
            Self::MemoryWouldNotFit { .. } => "memory_would_not_fit",
            Self::TooFewForReplicas { .. } => "too_few_for_replicas",
            Self::Loading { .. } => "loading",
            Self::Balancing { .. } => "balancing",
            Self::BalanceSuspended => "balance_suspended",
            Self::NodeTakenOut { .. } => "node_taken_out",
            Self::AfterRemoval { .. } => "after_removal",
            Self::NewNodesIdle { .. } => "new_nodes_idle",
            Self::ServingUnknown { .. } => "serving_unknown",
        }
    }
}

impl fmt::Display for CautionReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::EvidenceMissing { why } => {
                write!(f, "it cannot be told what Milvus holds: {why}")
            }
            Self::EvidenceStale { age, allowed } => write!(
                f,
                "what is known of Milvus is {} old, more than {}",
                words(*age),
                words(*allowed)
            ),
            Self::MemoryUnknown { pod, what } => {
                write!(f, "{what} of pod {pod} is not known, and unknown memory is not free memory")
            }
            Self::MemoryWouldNotFit { pod, predicted, allowed, remaining } => write!(
                f,
                "with {remaining} query nodes left pod {pod} would need {predicted}% of its memory \
                 limit, and it must stay below {allowed}%"
            ),
            Self::TooFewForReplicas { collection, replicas, remaining } => write!(
                f,
                "collection {collection} is loaded in {replicas} replicas, and {remaining} query \
                 nodes cannot hold them"
            ),
            Self::Loading { collection, percent } => {
                write!(f, "collection {collection} is being loaded ({percent}%)")
            }
            Self::Balancing { tasks } => {
                write!(f, "segments or channels are being moved ({tasks} tasks)")
            }
            Self::BalanceSuspended => f.write_str("somebody has suspended the balancing"),
            Self::NodeTakenOut { node, state } => {
                let state = match state {
                    QueryNodeState::Normal => "in use",
                    QueryNodeState::Suspended => "suspended",
                    QueryNodeState::Stopping => "about to end",
                };
                write!(f, "query node {node} is {state}")
            }
            Self::AfterRemoval { left } => write!(
                f,
                "the last query node went without being emptied; waiting {} until Milvus has \
                 settled",
                words(*left)
            ),
            Self::NewNodesIdle { serving, replicas, left } => write!(
                f,
                "only {serving} of {replicas} query nodes serve segments; waiting at most {} more",
                words(*left)
            ),
            Self::ServingUnknown { why, left } => write!(
                f,
                "whether the new query nodes serve is not known ({why}); waiting at most {} more",
                words(*left)
            ),
        }
    }
}

/// Whole seconds, for people.
fn words(duration: Duration) -> humantime::FormattedDuration {
    humantime::format_duration(Duration::from_secs(duration.as_secs().max(1)))
}

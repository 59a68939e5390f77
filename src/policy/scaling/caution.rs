//! Whether Milvus can bear a change of replicas that the load asks for. A query node holds data: who
//! removes one gives what it held to the others, and a new one is of no use before it serves a
//! segment. Owns those rules; never acts, and asks nobody: what Milvus says is handed in.
//!
//! | role | rule |
//! |---|---|
//! | proxy, index node | as the load asks |
//! | data node, streaming node | one at a time |
//! | query node | one at a time downwards, only on evidence; upwards the last ones must serve |
//! | coordinators, standalone, cdc | never; see [`super::judge`] |

mod memory;
mod reason;
mod settings;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

pub use self::reason::CautionReason;
pub use self::settings::CautionSettings;

use super::{PlannedChange, ScalingRequest};
use crate::model::{
    Balance, Management, Pod, PodCondition, QueryNode, QueryNodeState, Role, Serving, Timestamp,
    WorkloadKind,
};

/// How careful a change of a role's replicas has to be; a closed set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rule {
    /// Its replicas hold nothing that would have to move.
    Free,
    /// Work in hand moves with each.
    OneAtATime,
    /// Data moves with each.
    HoldsData,
}

impl Rule {
    /// The rule of a role.
    pub const fn of(role: Role) -> Self {
        match role {
            Role::Proxy | Role::IndexNode => Self::Free,
            Role::QueryNode => Self::HoldsData,
            // All but the first two are never scaled; if that ever changed, then with care.
            Role::DataNode
            | Role::StreamingNode
            | Role::MixCoord
            | Role::RootCoord
            | Role::DataCoord
            | Role::QueryCoord
            | Role::IndexCoord
            | Role::Standalone
            | Role::Cdc => Self::OneAtATime,
        }
    }
}

/// What was done to the component before.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Before {
    /// When replicas were added the last time.
    pub added_at: Option<Timestamp>,
    /// When replicas were removed the last time.
    pub removed_at: Option<Timestamp>,
}

/// What is to be judged.
#[derive(Debug, Clone, Copy)]
pub struct Question<'a> {
    /// The load, the pods and their memory.
    pub request: &'a ScalingRequest,
    /// What the load asks for.
    pub plan: &'a PlannedChange,
    /// What Milvus says, or why it says nothing; `None` where it was not asked.
    pub serving: Option<Result<&'a Serving, &'a str>>,
    /// What was done before.
    pub before: Before,
    /// The rules' numbers.
    pub settings: &'a CautionSettings,
}

/// How a replica is taken away; a closed set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Removal {
    /// The number of replicas is lowered, and that is all.
    Plain,
    /// The same, because nodes cannot be drained here; the next one has to wait.
    Undrained {
        /// Why they cannot.
        why: String,
    },
    /// The node is emptied before.
    Drain(Drained),
}

/// The node that is to go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Drained {
    /// Milvus' number for it.
    pub node: i64,
    /// Its pod.
    pub pod: Arc<str>,
    /// The pod's identifier.
    pub uid: Option<Arc<str>>,
}

/// What is to be done; the plan may be smaller than what was asked for.
#[derive(Debug, Clone, PartialEq)]
pub enum CautionDecision {
    /// Milvus can bear it.
    Proceed {
        /// The change.
        plan: PlannedChange,
        /// How replicas are taken away; `Plain` where some are added.
        removal: Removal,
    },
    /// It cannot, or nobody knows.
    Refuse {
        /// Why.
        reason: CautionReason,
    },
}

/// Whether Milvus has to be asked before `plan` can be judged.
pub fn needs_evidence(
    role: Role,
    plan: &PlannedChange,
    before: Before,
    settings: &CautionSettings,
    now: Timestamp,
) -> bool {
    if !settings.enabled {
        return false;
    }
    match Rule::of(role) {
        Rule::Free | Rule::OneAtATime => false,
        Rule::HoldsData => !plan.is_up() || still_waits(plan, before, settings, now).is_some(),
    }
}

/// Judges.
pub fn judge(question: &Question<'_>, now: Timestamp) -> CautionDecision {
    let plain = |plan| CautionDecision::Proceed { plan, removal: Removal::Plain };
    if !question.settings.enabled {
        return plain(question.plan.clone());
    }
    match Rule::of(question.request.role) {
        Rule::Free => plain(question.plan.clone()),
        Rule::OneAtATime => plain(one_step(question.plan)),
        Rule::HoldsData if question.plan.is_up() => match out(question, now) {
            None => plain(question.plan.clone()),
            Some(reason) => CautionDecision::Refuse { reason },
        },
        Rule::HoldsData => match inwards(question, now) {
            Ok(removal) => CautionDecision::Proceed { plan: one_step(question.plan), removal },
            Err(reason) => CautionDecision::Refuse { reason },
        },
    }
}

/// The first step towards what the plan wants.
fn one_step(plan: &PlannedChange) -> PlannedChange {
    let to = if plan.is_up() { plan.from + 1 } else { plan.from.saturating_sub(1) };
    PlannedChange { to, ..plan.clone() }
}

/// For how much longer the nodes that were added last are waited for; `None` where there are none, or
/// the load is beyond the second threshold.
fn still_waits(
    plan: &PlannedChange,
    before: Before,
    settings: &CautionSettings,
    now: Timestamp,
) -> Option<Duration> {
    let since = now.since(before.added_at?);
    let is_urgent =
        plan.trigger.pressure().is_some_and(|pressure| pressure >= settings.urgent_pressure);
    let left = settings.serving_timeout.saturating_sub(since);
    (!is_urgent && !left.is_zero()).then_some(left)
}

/// Why no more nodes are added.
fn out(question: &Question<'_>, now: Timestamp) -> Option<CautionReason> {
    let left = still_waits(question.plan, question.before, question.settings, now)?;
    let replicas = question.plan.from;
    let serving = match evidence(question, now) {
        Ok(serving) => serving,
        // Nobody knows: for a while the new ones are given the time that they need.
        Err(reason) => {
            return Some(CautionReason::ServingUnknown { why: reason.to_string(), left });
        }
    };
    let busy = serving.nodes.iter().filter(|node| node.serves()).count();
    let placed: u64 = serving.nodes.iter().map(|node| node.segments + node.channels).sum();
    let busy = u32::try_from(busy).unwrap_or(u32::MAX);
    // With fewer segments than nodes some never get one.
    let enough = replicas.min(u32::try_from(placed).unwrap_or(u32::MAX));
    (busy < enough).then_some(CautionReason::NewNodesIdle { serving: busy, replicas, left })
}

/// Whether one node may go, and how.
fn inwards(question: &Question<'_>, now: Timestamp) -> Result<Removal, CautionReason> {
    let serving = evidence(question, now)?;
    let remaining = question.plan.from.saturating_sub(1);
    settled(serving)?;
    if let Some(most) = serving.collections.iter().max_by_key(|one| one.replicas)
        && most.replicas > remaining
    {
        let (collection, replicas) = (most.name.clone(), most.replicas);
        return Err(CautionReason::TooFewForReplicas { collection, replicas, remaining });
    }
    let removal = match (&serving.management, question.settings.drain) {
        (Management::Available, true) => drain(question, serving)?,
        (Management::Absent { why }, true) => Removal::Undrained { why: why.clone() },
        (Management::Available | Management::Absent { .. }, false) => {
            Removal::Undrained { why: "drain = false".to_owned() }
        }
    };
    let pods = memory::of(question.request, question.plan, question.settings, now)?;
    let victim = match &removal {
        Removal::Drain(drained) => Some(&*drained.pod),
        Removal::Plain | Removal::Undrained { .. } => None,
    };
    memory::fits(&pods, victim, question.settings.memory_percent)?;
    if matches!(removal, Removal::Undrained { .. })
        && let Some(removed_at) = question.before.removed_at
    {
        let left = question.settings.undrained_wait.saturating_sub(now.since(removed_at));
        if !left.is_zero() {
            return Err(CautionReason::AfterRemoval { left });
        }
    }
    Ok(removal)
}

/// What Milvus said, if that is so and fresh.
fn evidence<'a>(question: &Question<'a>, now: Timestamp) -> Result<&'a Serving, CautionReason> {
    let missing = |why: &str| CautionReason::EvidenceMissing { why: why.to_owned() };
    let serving = match question.serving {
        None => return Err(missing("Milvus was not asked")),
        Some(Err(why)) => return Err(missing(why)),
        Some(Ok(serving)) => serving,
    };
    let (age, allowed) = (now.since(serving.taken_at), question.settings.evidence_age);
    if age > allowed {
        return Err(CautionReason::EvidenceStale { age, allowed });
    }
    Ok(serving)
}

/// Nothing is on its way, and nobody else has taken a node out.
fn settled(serving: &Serving) -> Result<(), CautionReason> {
    if let Some(loading) = serving.collections.iter().find(|one| one.percent < 100) {
        let (collection, percent) = (loading.name.clone(), loading.percent);
        return Err(CautionReason::Loading { collection, percent });
    }
    match &serving.balance {
        Balance::Idle => {}
        Balance::Moving { tasks } => return Err(CautionReason::Balancing { tasks: *tasks }),
        Balance::Suspended => return Err(CautionReason::BalanceSuspended),
        Balance::Unknown { why } => {
            return Err(CautionReason::EvidenceMissing { why: why.clone() });
        }
    }
    match serving.nodes.iter().find(|node| node.state != QueryNodeState::Normal) {
        Some(node) => Err(CautionReason::NodeTakenOut { node: node.id, state: node.state }),
        None => Ok(()),
    }
}

/// Which node goes: of a StatefulSet the one of the highest ordinal, which Kubernetes takes; else the
/// one that holds least.
fn drain(question: &Question<'_>, serving: &Serving) -> Result<Removal, CautionReason> {
    let workload = &question.plan.workload;
    let ours = |pod: &&Pod| pod.workload.as_ref().is_none_or(|own| own == workload);
    let ready = |pod: &&Pod| pod.condition == PodCondition::Ready;
    let pods: Vec<&Pod> = question.request.pods.iter().filter(ours).filter(ready).collect();
    let node_of = |pod: &Pod| -> Option<&QueryNode> {
        let ip = pod.ip.as_deref()?;
        let is_it = |node: &&QueryNode| node.host == ip || host_names(&node.host, &pod.name);
        serving.nodes.iter().find(is_it)
    };
    let pairs = pods.iter().filter_map(|pod| Some((*pod, node_of(pod)?)));
    let chosen = if workload.kind == WorkloadKind::StatefulSet {
        let highest = pods
            .iter()
            .filter_map(|pod| Some((ordinal(&pod.name)?, *pod)))
            .max_by_key(|(ordinal, _)| *ordinal);
        highest.and_then(|(_, pod)| Some((pod, node_of(pod)?)))
    } else {
        let held = |node: &QueryNode| (node.channels, node.segments);
        pairs.min_by_key(|(pod, node)| (held(node), Arc::clone(&pod.name)))
    };
    match chosen {
        Some((pod, node)) => Ok(Removal::Drain(Drained {
            node: node.id,
            pod: Arc::clone(&pod.name),
            uid: pod.life.uid.clone(),
        })),
        None => Err(CautionReason::EvidenceMissing {
            why: "none of the query nodes that Milvus names is a pod of the workload".to_owned(),
        }),
    }
}

/// Whether a host name is that of a pod: `milvus-querynode-2.milvus-querynode.ns.svc`.
fn host_names(host: &str, pod: &str) -> bool {
    host.split('.').next() == Some(pod)
}

/// The number of a StatefulSet's pod.
fn ordinal(pod: &str) -> Option<u32> {
    pod.rsplit_once('-')?.1.parse().ok()
}

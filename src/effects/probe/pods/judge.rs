//! Judges a component by its pods. Pure.
//!
//! Pods that ended or are being deleted do not count. A pod whose health page answers is healthy,
//! whatever the platform thinks of it. Where some pods are sick and others serve, the component
//! has failed if a sick one should serve; it is degraded if the sick ones only wait for a node, have
//! just been started, or are the new ones of a rollout. Where falconer itself could not ask a pod,
//! nothing is concluded.

use std::sync::Arc;
use std::time::Duration;

use crate::model::{
    ComponentInventory, Outcome, Pod, PodCondition, Reason, ReasonKind, TargetReport, Timestamp,
    Workload,
};

/// Most sick pods that a reason names.
const NAMED_PODS: usize = 3;

/// A pod that counts, with what its probe saw.
struct Member<'a> {
    pod: &'a Pod,
    outcome: &'a Outcome,
}

impl Member<'_> {
    fn is_healthy(&self) -> bool {
        self.outcome.is_healthy()
    }

    /// `querynode-abc timeout after 5s`; the platform's words where they say more.
    fn complaint(&self) -> String {
        let name = &self.pod.name;
        match &self.pod.condition {
            PodCondition::Pending { message } => format!("{name} pending: {message}"),
            PodCondition::CrashLoop { message } => format!("{name} {message}"),
            PodCondition::Ready
            | PodCondition::NotReady
            | PodCondition::Terminating
            | PodCondition::Ended { .. } => match self.outcome.reason() {
                Some(reason) => format!("{name} {reason}"),
                None => name.to_string(),
            },
        }
    }
}

/// The report on a pod that was not asked, from what the platform says of it.
pub fn unasked(pod: &Pod) -> TargetReport {
    let no_address = || Outcome::failed(ReasonKind::Connection, "the pod has no address");
    let outcome = match &pod.condition {
        PodCondition::Pending { message } => Outcome::failed(ReasonKind::Pending, message),
        PodCondition::CrashLoop { message } => Outcome::failed(ReasonKind::CrashLoop, message),
        PodCondition::Ready | PodCondition::NotReady => no_address(),
        PodCondition::Terminating => {
            Outcome::degraded(ReasonKind::Terminating, "the pod is being deleted")
        }
        PodCondition::Ended { message } => Outcome::degraded(ReasonKind::NotRunning, message),
    };
    TargetReport {
        name: Arc::clone(&pod.name),
        address: Arc::default(),
        outcome,
        latency: Duration::ZERO,
        performance: None,
    }
}

/// The verdict on `component`, from the reports on its pods, which are matched by name. A pod that
/// was started after `young_since` may not be up yet.
pub fn judge(
    component: &str,
    inventory: &ComponentInventory,
    targets: &[TargetReport],
    young_since: Timestamp,
) -> Outcome {
    let members: Vec<Member<'_>> = inventory
        .pods
        .iter()
        .filter(|pod| counts(pod))
        .filter_map(|pod| {
            let target = targets.iter().find(|target| *target.name == *pod.name)?;
            Some(Member { pod, outcome: &target.outcome })
        })
        .collect();
    if members.is_empty() {
        return judge_without_pods(component, inventory);
    }
    if let Some(unasked) = members.iter().find(|member| member.outcome.is_inconclusive()) {
        return Outcome::failed(ReasonKind::OwnLimit, unasked.complaint());
    }
    let sick: Vec<&Member<'_>> = members.iter().filter(|member| !member.is_healthy()).collect();
    if sick.is_empty() {
        return judge_all_healthy(inventory, &members);
    }
    let healthy = members.len() - sick.len();
    let text = format!("{healthy}/{} pods healthy: {}", members.len(), complaints(&sick));
    if healthy == 0 {
        judge_none_healthy(&sick, &text)
    } else {
        judge_some(inventory, &sick, &text, young_since)
    }
}

/// The verdict, given that a pod which takes `after` to end hangs: what is well but for that is
/// degraded, and whatever else is wrong is told first.
pub fn judge_with_hung(
    verdict: Outcome,
    inventory: &ComponentInventory,
    after: Duration,
    now: Timestamp,
) -> Outcome {
    let hangs = |pod: &&Pod| pod.hangs_for(now).is_some_and(|time| time >= after);
    let hung: Vec<String> =
        inventory.pods.iter().filter(hangs).filter_map(Pod::hanging_words).collect();
    let Some(first) = hung.first() else { return verdict };
    let words = match hung.len() - 1 {
        0 => first.clone(),
        others => format!("{first}; and {others} more hang"),
    };
    match verdict {
        Outcome::Healthy => Outcome::degraded(ReasonKind::Terminating, words),
        Outcome::Degraded { reason } => {
            Outcome::degraded(reason.kind, format!("{}; {words}", reason.text))
        }
        Outcome::Failed { reason } => {
            Outcome::failed(reason.kind, format!("{}; {words}", reason.text))
        }
    }
}

/// The verdict, given that the inventory is only the last known one because of `error`.
pub fn judge_with_platform(verdict: Outcome, error: Option<&Reason>) -> Outcome {
    let Some(error) = error else { return verdict };
    let note = format!("the platform cannot be asked ({error}), last known state");
    match verdict {
        Outcome::Healthy => {
            let text = format!("{note}: all pods healthy");
            Outcome::degraded(ReasonKind::PlatformUnavailable, text)
        }
        Outcome::Degraded { reason } => {
            let text = format!("{note}: {reason}");
            Outcome::degraded(ReasonKind::PlatformUnavailable, text)
        }
        // What the pods themselves answered is true all the same.
        Outcome::Failed { reason } if was_observed(reason.kind) => {
            Outcome::failed(reason.kind, format!("{reason} ({note})"))
        }
        Outcome::Failed { reason } => {
            Outcome::degraded(ReasonKind::PlatformUnavailable, format!("{note}: {reason}"))
        }
    }
}

/// Whether a verdict of this kind rests on an answer from a pod, not on the inventory alone.
fn was_observed(kind: ReasonKind) -> bool {
    match kind {
        ReasonKind::NoPods
        | ReasonKind::ScaledToZero
        | ReasonKind::Pending
        | ReasonKind::Terminating
        | ReasonKind::CrashLoop
        | ReasonKind::NotRunning
        | ReasonKind::PlatformUnavailable
        | ReasonKind::Unsupported => false,
        ReasonKind::Timeout
        | ReasonKind::Refused
        | ReasonKind::Connection
        | ReasonKind::Status
        | ReasonKind::BadAnswer
        | ReasonKind::Unauthorized
        | ReasonKind::ReportedUnhealthy
        | ReasonKind::Limited
        | ReasonKind::CanaryFailed
        | ReasonKind::NoneReady
        | ReasonKind::SomePods
        | ReasonKind::OwnLimit => true,
    }
}

fn counts(pod: &Pod) -> bool {
    match pod.condition {
        PodCondition::Terminating | PodCondition::Ended { .. } => false,
        PodCondition::Pending { .. }
        | PodCondition::Ready
        | PodCondition::NotReady
        | PodCondition::CrashLoop { .. } => true,
    }
}

fn complaints(sick: &[&Member<'_>]) -> String {
    let named = sick.iter().take(NAMED_PODS).map(|member| member.complaint());
    let text = named.collect::<Vec<_>>().join("; ");
    match sick.len().saturating_sub(NAMED_PODS) {
        0 => text,
        others => format!("{text}; and {others} more"),
    }
}

fn desired_replicas(inventory: &ComponentInventory) -> usize {
    inventory.workloads.iter().map(|workload| workload.desired_replicas as usize).sum()
}

fn judge_without_pods(component: &str, inventory: &ComponentInventory) -> Outcome {
    let is_terminating = |pod: &&Pod| pod.condition == PodCondition::Terminating;
    let terminating = inventory.pods.iter().filter(is_terminating).count();
    let desired = desired_replicas(inventory);
    let ended = ended_note(inventory);
    if desired == 0 && !inventory.workloads.is_empty() {
        return Outcome::degraded(ReasonKind::ScaledToZero, "scaled to zero by its owner");
    }
    if terminating > 0 {
        let text = format!("no pods but {terminating} being deleted{ended}");
        return Outcome::failed(ReasonKind::Terminating, text);
    }
    let text = match inventory.workloads.first() {
        Some(workload) => {
            format!("{} wants {desired} replicas and has no pods{ended}", workload.reference)
        }
        None => format!("no workload and no pods of {component} found{ended}"),
    };
    Outcome::failed(ReasonKind::NoPods, text)
}

/// ` (2 ended: Evicted: the node was low on memory)`, or nothing.
fn ended_note(inventory: &ComponentInventory) -> String {
    let mut messages = inventory.pods.iter().filter_map(|pod| match &pod.condition {
        PodCondition::Ended { message } => Some(message),
        PodCondition::Pending { .. }
        | PodCondition::Ready
        | PodCondition::NotReady
        | PodCondition::CrashLoop { .. }
        | PodCondition::Terminating => None,
    });
    match messages.next() {
        Some(first) => format!(" ({} ended: {first})", 1 + messages.count()),
        None => String::new(),
    }
}

fn judge_all_healthy(inventory: &ComponentInventory, members: &[Member<'_>]) -> Outcome {
    let rolling_out = inventory.workloads.iter().any(Workload::is_rolling_out);
    let desired = desired_replicas(inventory);
    if rolling_out {
        return Outcome::Healthy;
    }
    let unready: Vec<&str> = members
        .iter()
        .filter(|member| member.pod.condition != PodCondition::Ready)
        .map(|member| &*member.pod.name)
        .collect();
    if unready.len() == members.len() {
        let text = "every pod answers its health page, but none is ready: they get no traffic";
        return Outcome::degraded(ReasonKind::NoneReady, text);
    }
    if members.len() < desired {
        let text = format!("{} of {desired} pods exist{}", members.len(), ended_note(inventory));
        return Outcome::degraded(ReasonKind::SomePods, text);
    }
    if !unready.is_empty() {
        let names = unready.iter().take(NAMED_PODS).copied().collect::<Vec<_>>().join(", ");
        let text =
            format!("{} of {} pods healthy but not ready: {names}", unready.len(), members.len());
        return Outcome::degraded(ReasonKind::SomePods, text);
    }
    Outcome::Healthy
}

/// No pod serves: the kind is that of the pod which comes nearest to serving.
fn judge_none_healthy(sick: &[&Member<'_>], text: &str) -> Outcome {
    let first = |rank: u8| sick.iter().find(|member| rank_of(member.pod) == rank);
    let kind = if let Some(member) = first(0) {
        member.outcome.reason().map_or(ReasonKind::NoneReady, |reason| reason.kind)
    } else if first(1).is_some() {
        ReasonKind::CrashLoop
    } else if first(2).is_some() {
        ReasonKind::NoneReady
    } else {
        ReasonKind::Pending
    };
    Outcome::failed(kind, text)
}

fn rank_of(pod: &Pod) -> u8 {
    match pod.condition {
        PodCondition::Ready => 0,
        PodCondition::CrashLoop { .. } => 1,
        PodCondition::NotReady => 2,
        PodCondition::Pending { .. } => 3,
        PodCondition::Terminating | PodCondition::Ended { .. } => 4,
    }
}

/// Some pods serve, others do not.
fn judge_some(
    inventory: &ComponentInventory,
    sick: &[&Member<'_>],
    text: &str,
    young_since: Timestamp,
) -> Outcome {
    let is_starting = |pod: &Pod| {
        let is_young = pod.started_at.is_some_and(|started| started > young_since);
        is_young && pod.condition == PodCondition::NotReady
    };
    let should_serve = |member: &&&Member<'_>| match member.pod.condition {
        PodCondition::Ready => true,
        PodCondition::NotReady => !is_starting(member.pod) && !in_rollout(inventory, member),
        PodCondition::CrashLoop { .. } => !in_rollout(inventory, member),
        PodCondition::Pending { .. } | PodCondition::Terminating | PodCondition::Ended { .. } => {
            false
        }
    };
    if sick.iter().any(|member| should_serve(&member)) {
        return Outcome::failed(ReasonKind::SomePods, text);
    }
    if sick.iter().all(|member| rank_of(member.pod) == 3) {
        return Outcome::degraded(ReasonKind::Pending, text);
    }
    let why = if sick.iter().any(|member| in_rollout(inventory, member)) {
        "a rollout is in progress"
    } else {
        "just started"
    };
    Outcome::degraded(ReasonKind::SomePods, format!("{text} ({why})"))
}

/// Whether the pod's workload is being rolled out; any workload where the pod's is not known.
fn in_rollout(inventory: &ComponentInventory, member: &Member<'_>) -> bool {
    inventory.workloads.iter().any(|workload| {
        let is_its_own =
            member.pod.workload.as_ref().is_none_or(|reference| *reference == workload.reference);
        is_its_own && workload.is_rolling_out()
    })
}

#[cfg(test)]
mod tests;

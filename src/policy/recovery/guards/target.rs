//! Guards that look at the workload, its owner, its pods and the step.

use std::time::Duration;

use super::super::decision::{EscalationReason, WaitReason};
use super::super::ladder::NoStep;
use super::super::refusal::RefusalReason;
use super::super::request::PodState;
use super::super::settings::ActionStep;
use super::{Finding, Scene};
use crate::model::{
    Liveness, LivenessKind, Owner, PodCondition, Reason, ReasonKind, Role, Timestamp, Workload,
    WorkloadKind,
};
use crate::policy::workload_choice::NoChoice;

/// The longest that a liveness probe is given to fail.
const LONGEST_LIVENESS: Duration = Duration::from_hours(1);

pub(super) fn exists(scene: &Scene<'_>) -> Finding {
    let count = scene.request.workloads.len();
    if count == 0 {
        return Finding::Refuse(RefusalReason::NoWorkload);
    }
    Finding::Pass(format!("{count} known"))
}

/// Asked of every workload, chosen or not: what an unknown owner moves about is left alone.
pub(super) fn ownership(scene: &Scene<'_>) -> Finding {
    let workloads: Vec<&Workload> = match &scene.workload {
        Ok(chosen) => vec![chosen],
        Err(_) => scene.request.workloads.iter().collect(),
    };
    for workload in &workloads {
        if let Owner::Unknown { kind, name } = &workload.owner {
            return Finding::Refuse(RefusalReason::UnknownOwner {
                workload: workload.reference.clone(),
                kind: kind.clone(),
                name: name.clone(),
            });
        }
    }
    workloads.first().map_or(Finding::NotAsked, |workload| {
        Finding::Pass(match &workload.owner {
            Owner::MilvusOperator { name } => format!("owned by Milvus/{name} of milvus-operator"),
            Owner::None | Owner::Unknown { .. } => "no controller owns the workload".to_owned(),
        })
    })
}

pub(super) fn one_workload(scene: &Scene<'_>) -> Finding {
    match &scene.workload {
        Ok(workload) => Finding::Pass(format!("it is {}", workload.reference)),
        Err(NoChoice::NoWorkload) => Finding::NotAsked,
        Err(NoChoice::ScaledToZero { workload }) => {
            Finding::Refuse(RefusalReason::ScaledToZero { workload: workload.clone() })
        }
        Err(NoChoice::Several { workloads }) => {
            Finding::Refuse(RefusalReason::SeveralWorkloads { workloads: workloads.clone() })
        }
    }
}

pub(super) fn paused(scene: &Scene<'_>) -> Finding {
    let Ok(workload) = &scene.workload else { return Finding::NotAsked };
    if workload.paused {
        let (workload, sick_for) = (workload.reference.clone(), sick_for_long(scene));
        return Finding::Refuse(RefusalReason::Paused { workload, sick_for });
    }
    Finding::Pass("its rollout is not paused".to_owned())
}

/// What forbids for good comes before what only takes its time. Nothing ends a hold but the one who
/// made it, so people must hear of one that lasts while the component is sick.
pub(super) fn operator_hold(scene: &Scene<'_>) -> Finding {
    let Ok(workload) = &scene.workload else { return Finding::NotAsked };
    let forbids = workload.holds.iter().find(|hold| !hold.is_rollout());
    let Some(hold) = forbids.or_else(|| workload.holds.first()) else {
        return Finding::Pass("its owner does not keep others off".to_owned());
    };
    if hold.is_rollout() && is_own_and_stuck(scene, workload) {
        let workload = workload.reference.clone();
        return Finding::Escalate(EscalationReason::RolloutStuck { workload });
    }
    let (workload, hold) = (workload.reference.clone(), hold.clone());
    Finding::Refuse(RefusalReason::Held { workload, hold, sick_for: sick_for_long(scene) })
}

/// Our own restart that never ended must reach a person, unless the component serves meanwhile:
/// that is for the words of a refusal.
fn is_own_and_stuck(scene: &Scene<'_>, workload: &Workload) -> bool {
    !scene.request.serves && scene.ledger.rollout_of_ours_failed(&scene.request.component, workload)
}

/// What the component has been sick for longer than, once that is longer than an action may take.
fn sick_for_long(scene: &Scene<'_>) -> Option<Duration> {
    let sick = scene.now.since(scene.request.unhealthy_since);
    Some(scene.settings.verify_timeout).filter(|long| sick > *long)
}

/// Coordinators and what has everything in one process: whatever is done to the only instance is an
/// outage, so somebody must have said that it may be. On one machine, the command that was given to
/// restart it says so.
pub(super) fn single_instance(scene: &Scene<'_>) -> Finding {
    let Ok(workload) = &scene.workload else { return Finding::NotAsked };
    let Some(role) = scene.request.role.filter(|role| is_alone(*role)) else {
        return Finding::Pass("it is none of those that only one of may serve".to_owned());
    };
    if workload.reference.kind == WorkloadKind::Process {
        return Finding::Pass("its start or restart command was given for this".to_owned());
    }
    if scene.settings.explicit_ladder {
        return Finding::Pass("it has a ladder of its own".to_owned());
    }
    if workload.desired_replicas > 1 {
        return standby(scene, workload, role);
    }
    Finding::Refuse(RefusalReason::SingleInstance { role })
}

/// Of several replicas one serves and the others stand by: one that the platform has ready stays,
/// unless none of them is, so that nothing is taken away.
fn standby(scene: &Scene<'_>, workload: &Workload, role: Role) -> Finding {
    let Some(step) = scene.step() else { return Finding::NotAsked };
    let pods = &scene.request.pods;
    let is_ready = |one: &&PodState| one.is_ready();
    let ready = if pods.is_empty() {
        workload.ready_replicas as usize
    } else {
        pods.iter().filter(is_ready).count()
    };
    let stay = match &step.pod {
        Some(pod) => pods.iter().filter(is_ready).filter(|one| one.pod.name != pod.name).count(),
        None => ready.saturating_sub(1),
    };
    let replicas = workload.desired_replicas;
    if ready == 0 {
        return Finding::Pass(format!("none of its {replicas} replicas is ready"));
    }
    if stay == 0 {
        return Finding::Refuse(RefusalReason::NoStandby { role, replicas });
    }
    Finding::Pass(format!("{stay} of its {replicas} replicas stays ready"))
}

const fn is_alone(role: Role) -> bool {
    match role {
        Role::MixCoord
        | Role::RootCoord
        | Role::DataCoord
        | Role::QueryCoord
        | Role::IndexCoord
        | Role::Standalone
        | Role::Cdc => true,
        Role::Proxy | Role::DataNode | Role::QueryNode | Role::IndexNode | Role::StreamingNode => {
            false
        }
    }
}

pub(super) fn ladder(scene: &Scene<'_>) -> Finding {
    match &scene.next {
        None => Finding::NotAsked,
        Some(Ok(step)) => {
            let mut words = format!("step {}: {}", step.index + 1, step.step.as_str());
            if let Some(pod) = &step.pod {
                words = format!("{words} {}", pod.name);
            }
            if let Some(change) = step.revisions {
                words = format!("{words} from revision {} to {}", change.from, change.to);
            }
            if step.step == ActionStep::ForceDelete && is_stateful(scene) {
                words.push_str(
                    ", of a StatefulSet: two pods have its identity if its node still runs it",
                );
            }
            for skipped in &step.skipped {
                words = format!("{words}; not {skipped}");
            }
            Finding::Pass(words)
        }
        Some(Err(NoStep { skipped, .. })) if scene.request.serves => {
            Finding::Refuse(RefusalReason::StillServes { skipped: skipped.clone() })
        }
        Some(Err(NoStep { tried, skipped })) => Finding::Escalate(EscalationReason::LadderEnds {
            tried: tried.clone(),
            skipped: skipped.clone(),
        }),
    }
}

fn is_stateful(scene: &Scene<'_>) -> bool {
    scene.workload.as_ref().is_ok_and(|one| one.reference.kind == WorkloadKind::StatefulSet)
}

/// Our own restart that never finished must reach a person; somebody else's rollout is left alone,
/// unless what is wrong is the rollout itself and a rollback is allowed to end it.
pub(super) fn rollout(scene: &Scene<'_>) -> Finding {
    let Ok(workload) = &scene.workload else { return Finding::NotAsked };
    if !workload.rolling_out {
        return Finding::Pass("no rollout is in progress".to_owned());
    }
    let reference = workload.reference.clone();
    if let Some(step) = scene.step() {
        if step.step == ActionStep::ForceDelete {
            return Finding::Pass("a pod that hangs in its end holds the rollout up".to_owned());
        }
        let since = workload.revision.as_ref().map(|revision| revision.since);
        let stuck_at = since.map(|since| since + scene.settings.verify_timeout);
        if step.step == ActionStep::Rollback && stuck_at.is_some_and(|at| scene.now >= at) {
            return Finding::Pass("the rollout itself has not ended in its time".to_owned());
        }
    }
    if is_own_and_stuck(scene, workload) {
        return Finding::Escalate(EscalationReason::RolloutStuck { workload: reference });
    }
    let sick_for = sick_for_long(scene);
    Finding::Refuse(RefusalReason::RolloutInProgress { workload: reference, sick_for })
}

pub(super) fn scaling(scene: &Scene<'_>) -> Finding {
    let Ok(workload) = &scene.workload else { return Finding::NotAsked };
    if scene.request.being_scaled.contains(&workload.reference) {
        let workload = workload.reference.clone();
        return Finding::Refuse(RefusalReason::BeingScaled { workload });
    }
    Finding::Pass("its replicas are not being changed".to_owned())
}

/// The ladder never chooses a healthy pod. What the last action on a pod began must have ended, or
/// had its time, before the next pod goes: of one that is drained, or comes up, nobody knows yet
/// whether it serves.
pub(super) fn last_healthy_pod(scene: &Scene<'_>) -> Finding {
    let Some(step) = scene.step() else { return Finding::NotAsked };
    let Some(pod) = &step.pod else {
        return Finding::Pass("no single pod is removed".to_owned());
    };
    let pods = &scene.request.pods;
    if pods.iter().any(|one| one.pod.name == pod.name && one.is_well()) {
        return Finding::Refuse(RefusalReason::HealthyPod { pod: pod.name.clone() });
    }
    if step.step == ActionStep::DeletePod {
        let others = pods.iter().filter(|one| one.pod.name != pod.name);
        let moving = others.filter_map(|one| Some((settles_at(one, scene)?, &one.pod.name)));
        if let Some((until, other)) = moving.max() {
            let reason = WaitReason::OtherPod { pod: other.clone() };
            return Finding::Wait { until, reason };
        }
    }
    let healthy = pods.iter().filter(|one| one.is_well()).count();
    Finding::Pass(format!("{} is not healthy; {healthy} healthy pods stay", pod.name))
}

/// Until when a pod that ends or starts is waited for; `None` where it does neither, or had its
/// time.
fn settles_at(one: &PodState, scene: &Scene<'_>) -> Option<Timestamp> {
    let began = match one.pod.condition {
        PodCondition::Terminating => one.pod.life.terminating?.since,
        PodCondition::Pending { .. } | PodCondition::NotReady => one.pod.life.created_at?,
        PodCondition::Ready | PodCondition::CrashLoop { .. } | PodCondition::Ended { .. } => {
            return None;
        }
    };
    let until = began + scene.settings.verify_timeout;
    (scene.now < until && one.sick.is_none()).then_some(until)
}

/// Two that act on one pod at once do harm: what the kubelet sees, it is left to until its own
/// deadline has passed.
pub(super) fn kubelet(scene: &Scene<'_>) -> Finding {
    let target = scene.step().and_then(|step| step.pod.as_ref());
    let concerned = scene.request.pods.iter().filter(|one| match target {
        Some(target) => one.pod.name == target.name,
        None => one.sick.is_some(),
    });
    let mut longest: Option<(Timestamp, WaitReason)> = None;
    for (until, reason) in concerned.filter_map(|one| acts(one, scene)) {
        if scene.now < until && longest.as_ref().is_none_or(|(latest, _)| until > *latest) {
            longest = Some((until, reason));
        }
    }
    match longest {
        Some((until, reason)) => Finding::Wait { until, reason },
        None => Finding::Pass("the kubelet is not about to act".to_owned()),
    }
}

/// Until when the kubelet is left alone with a pod. Not with one in a crash loop: there it has
/// acted, and it did not help. Not for ever with one that it starts again and again.
fn acts(one: &PodState, scene: &Scene<'_>) -> Option<(Timestamp, WaitReason)> {
    if one.is_terminating() || matches!(one.pod.condition, PodCondition::CrashLoop { .. }) {
        return None;
    }
    let sick_since = scene.request.unhealthy_since;
    let deadline = one.pod.life.liveness.map_or(Duration::ZERO, |liveness| liveness.deadline);
    let latest = sick_since + deadline.min(LONGEST_LIVENESS) + scene.settings.verify_timeout;
    if let Some(until) = one.pod.life.starting_until.filter(|until| scene.now < *until) {
        let what = format!("pod {}", one.pod.name);
        return Some((until.min(latest), WaitReason::Starting { what }));
    }
    let liveness = one.pod.life.liveness?;
    let sees = one.sick.as_ref().is_some_and(|reason| sees(liveness, reason));
    let since = one.pod.started_at.map_or(sick_since, |started| started.max(sick_since));
    let until = (since + liveness.deadline).min(latest);
    sees.then(|| (until, WaitReason::Kubelet { pod: one.pod.name.clone() }))
}

/// Whether a liveness probe fails for the same reason as ours. A port that still accepts is all that
/// a TCP probe wants.
fn sees(liveness: Liveness, reason: &Reason) -> bool {
    match liveness.kind {
        LivenessKind::Tcp => {
            matches!(reason.kind, ReasonKind::Refused | ReasonKind::Connection)
        }
        LivenessKind::Http => reason.kind.is_silence() || reason.kind == ReasonKind::Status,
        LivenessKind::Other => reason.kind.is_silence(),
    }
}

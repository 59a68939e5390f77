//! Guards that look at falconer itself and at the rest of the cluster.

use super::super::decision::WaitReason;
use super::super::order;
use super::super::refusal::RefusalReason;
use super::super::request::RecoveryRequest;
use super::{Finding, Scene};
use crate::model::ComponentId;

pub(super) fn enabled(scene: &Scene<'_>) -> Finding {
    if scene.settings.enabled {
        Finding::Pass("recovery is on for the component".to_owned())
    } else {
        Finding::Refuse(RefusalReason::Disabled)
    }
}

pub(super) fn failure_threshold(scene: &Scene<'_>) -> Finding {
    let (failures, threshold) = (scene.request.failures, scene.request.failure_threshold);
    if failures >= threshold {
        Finding::Pass(format!("{failures} failed probes in a row, {threshold} needed"))
    } else {
        Finding::Refuse(RefusalReason::BelowThreshold { failures, threshold })
    }
}

pub(super) fn startup_grace(scene: &Scene<'_>) -> Finding {
    match scene.request.grace_until {
        Some(until) if scene.now < until => {
            let what = scene.request.component.component.to_string();
            Finding::Wait { until, reason: WaitReason::Starting { what } }
        }
        Some(_) | None => Finding::Pass("not in its startup grace".to_owned()),
    }
}

pub(super) fn leader(scene: &Scene<'_>) -> Finding {
    match &scene.request.not_leader {
        Some(why) => Finding::Refuse(RefusalReason::NotLeader { why: why.clone() }),
        None => Finding::Pass("this falconer may act for longer than the action takes".to_owned()),
    }
}

/// What speaks against any action now that may not have been known when it was decided; `None`
/// where nothing does.
pub fn speaks_against(request: &RecoveryRequest) -> Option<RefusalReason> {
    let findings = [platform(request), dependency(request), common_cause(request)];
    findings.into_iter().find_map(|finding| match finding {
        Finding::Refuse(reason) => Some(reason),
        Finding::Pass(_) | Finding::Wait { .. } | Finding::Escalate(_) | Finding::NotAsked => None,
    })
}

pub(super) fn platform(request: &RecoveryRequest) -> Finding {
    match &request.platform_error {
        Some(error) => Finding::Refuse(RefusalReason::PlatformUnavailable { error: error.clone() }),
        None => Finding::Pass("the platform answers".to_owned()),
    }
}

/// A coordinator that does not serve is a dependency of what it directs: without it no node gets
/// well.
pub(super) fn dependency(request: &RecoveryRequest) -> Finding {
    let is_directed = request.role.is_some_and(order::is_directed);
    let coordinators = request
        .sick_others
        .iter()
        .filter(|other| {
            is_directed && !other.serves && other.role.is_some_and(order::is_coordinator)
        })
        .map(|other| &other.component);
    let mut dependencies: Vec<ComponentId> = Vec::new();
    for one in request.sick_dependencies.iter().chain(coordinators) {
        if *one != request.component && !dependencies.contains(one) {
            dependencies.push(one.clone());
        }
    }
    if dependencies.is_empty() {
        Finding::Pass("nothing that it depends on is sick".to_owned())
    } else {
        Finding::Refuse(RefusalReason::DependencySick { dependencies })
    }
}

pub(super) fn common_cause(request: &RecoveryRequest) -> Finding {
    let (sick, watched) = (request.sick_components, request.watched_components);
    if sick >= 2 && sick.saturating_mul(2) > watched {
        Finding::Refuse(RefusalReason::CommonCause { sick, watched })
    } else {
        Finding::Pass(format!("{sick} of {watched} components are sick"))
    }
}

pub(super) fn quiet(scene: &Scene<'_>) -> Finding {
    match &scene.request.quiet {
        Some(quiet) if scene.now < quiet.until => {
            let (why, until) = (quiet.why.clone(), quiet.until);
            Finding::Refuse(RefusalReason::Quiet { why, until })
        }
        Some(_) | None => Finding::Pass("no maintenance window and no silence".to_owned()),
    }
}

/// What comes earlier is waited for as long as falconer may restart it: not where it is left to a
/// person, and not for ever where nothing is done about it (its recovery is off, its budget is
/// spent, somebody holds it).
pub(super) fn restart_order(scene: &Scene<'_>) -> Finding {
    let order = order::of(scene.request);
    let own = order::place(order, scene.request.role);
    let mut earlier = Vec::new();
    for other in &scene.request.sick_others {
        // What serves needs no restart, at most another pod.
        if !other.serves && order::place(order, other.role) < own {
            earlier.push(&other.component);
        }
    }
    match earlier.iter().find(|other| is_waited_for(scene, other)) {
        Some(first) => {
            Finding::Refuse(RefusalReason::RestartOrder { first: ComponentId::clone(first) })
        }
        None if earlier.is_empty() => {
            Finding::Pass("nothing that is restarted before it is sick".to_owned())
        }
        None => {
            let names: Vec<String> = earlier.iter().map(ToString::to_string).collect();
            let names = names.join(", ");
            Finding::Pass(format!("restarted before it, but not waited for any longer: {names}"))
        }
    }
}

fn is_waited_for(scene: &Scene<'_>, other: &ComponentId) -> bool {
    let Scene { request, ledger, settings, now, .. } = scene;
    if ledger.is_left_to_person(other) {
        return false;
    }
    if ledger.in_flight(other).is_some() {
        return true;
    }
    // The time of one step, and of as many as a ladder has once the first was taken.
    let step = settings.verify_timeout.saturating_add(settings.cooldown);
    let rungs = u32::try_from(settings.ladder.len()).unwrap_or(u32::MAX);
    let acted_at = ledger.last_action_at(other).filter(|at| *at >= request.unhealthy_since);
    let turn_over = acted_at.unwrap_or(request.unhealthy_since) + step;
    let latest = request.unhealthy_since + step.saturating_mul(rungs.max(1));
    *now < turn_over.min(latest)
}

//! Guards that look at falconer itself and at the rest of the cluster.

use super::super::decision::WaitReason;
use super::super::order;
use super::super::refusal::RefusalReason;
use super::{Finding, Scene};

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

pub(super) fn platform(scene: &Scene<'_>) -> Finding {
    match &scene.request.platform_error {
        Some(error) => Finding::Refuse(RefusalReason::PlatformUnavailable { error: error.clone() }),
        None => Finding::Pass("the platform answers".to_owned()),
    }
}

pub(super) fn dependency(scene: &Scene<'_>) -> Finding {
    let dependencies = &scene.request.sick_dependencies;
    if dependencies.is_empty() {
        Finding::Pass("nothing that the cluster depends on is sick".to_owned())
    } else {
        Finding::Refuse(RefusalReason::DependencySick { dependencies: dependencies.clone() })
    }
}

pub(super) fn common_cause(scene: &Scene<'_>) -> Finding {
    let (sick, watched) = (scene.request.sick_components, scene.request.watched_components);
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

/// Only what is not left to a person is waited for: it may never be restarted.
pub(super) fn restart_order(scene: &Scene<'_>) -> Finding {
    let order = order::of(scene.request);
    let own = order::place(order, scene.request.role);
    let mut earlier = scene.request.sick_others.iter().filter(|other| {
        order::place(order, other.role) < own && !scene.ledger.is_left_to_person(&other.component)
    });
    match earlier.next() {
        Some(first) => {
            Finding::Refuse(RefusalReason::RestartOrder { first: first.component.clone() })
        }
        None => Finding::Pass("nothing that is restarted before it is sick".to_owned()),
    }
}

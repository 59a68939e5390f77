//! Guards that bound how often and how much at once.

use super::super::decision::WaitReason;
use super::super::refusal::{RefusalReason, words};
use super::super::settings::Budget;
use super::{Finding, Scene};

pub(super) fn breaker(scene: &Scene<'_>) -> Finding {
    match scene.ledger.breaker(&scene.request.component.cluster) {
        Some(tripped) => Finding::Refuse(RefusalReason::BreakerOpen {
            cluster: scene.request.component.cluster.clone(),
            since: tripped.at,
            why: tripped.why.clone(),
        }),
        None => Finding::Pass("the cluster's circuit breaker is closed".to_owned()),
    }
}

pub(super) fn left_to_person(scene: &Scene<'_>) -> Finding {
    match scene.ledger.escalated_at(&scene.request.component, &scene.request.incident) {
        Some(since) => Finding::Refuse(RefusalReason::LeftToPerson { since }),
        None => Finding::Pass("the incident was not left to a person".to_owned()),
    }
}

/// A request without an answer may be at work: it counts until the first of its tries would have
/// been verified. Its own next try is not in its way.
pub(super) fn one_at_a_time(scene: &Scene<'_>) -> Finding {
    let component = &scene.request.component;
    let mut components = scene.ledger.in_flight_in(&component.cluster);
    let within = scene.settings.verify_timeout;
    let lost = scene.ledger.may_be_in_flight_beside(component, within, scene.now);
    components.extend(lost.into_iter().filter(|id| scene.ledger.in_flight(id).is_none()));
    let max_concurrent = scene.global.max_concurrent;
    if components.len() >= max_concurrent {
        return Finding::Refuse(RefusalReason::AnotherInFlight { components, max_concurrent });
    }
    Finding::Pass(format!("{} of {max_concurrent} actions under way", components.len()))
}

pub(super) fn cooldown(scene: &Scene<'_>) -> Finding {
    let cooldown = scene.settings.cooldown;
    let component = &scene.request.component;
    match scene.ledger.cooldown_left(component, &scene.key(), cooldown, scene.now) {
        Some(left) => Finding::Refuse(RefusalReason::Cooldown { left }),
        None => Finding::Pass(format!("no action in the last {}", words(cooldown))),
    }
}

pub(super) fn component_budget(scene: &Scene<'_>) -> Finding {
    let (budget, component) = (scene.settings.budget, &scene.request.component);
    match scene.ledger.component_budget_free_in(component, &scene.key(), budget, scene.now) {
        Some(free_in) => Finding::Refuse(RefusalReason::ComponentBudgetSpent { budget, free_in }),
        None => room(scene.ledger.component_actions(component, budget.per, scene.now), budget),
    }
}

pub(super) fn cluster_budget(scene: &Scene<'_>) -> Finding {
    let (budget, component) = (scene.global.cluster_budget, &scene.request.component);
    match scene.ledger.cluster_budget_free_in(component, &scene.key(), budget, scene.now) {
        Some(free_in) => Finding::Refuse(RefusalReason::ClusterBudgetSpent { budget, free_in }),
        None => {
            room(scene.ledger.cluster_actions(&component.cluster, budget.per, scene.now), budget)
        }
    }
}

pub(super) fn global_budget(scene: &Scene<'_>) -> Finding {
    let (budget, component) = (scene.global.budget, &scene.request.component);
    match scene.ledger.global_budget_free_in(component, &scene.key(), budget, scene.now) {
        Some(free_in) => Finding::Refuse(RefusalReason::GlobalBudgetSpent { budget, free_in }),
        None => room(scene.ledger.global_actions(budget.per, scene.now), budget),
    }
}

fn room(used: usize, budget: Budget) -> Finding {
    Finding::Pass(format!("{used} of {} actions per {}", budget.actions, words(budget.per)))
}

pub(super) fn settled(scene: &Scene<'_>) -> Finding {
    let request = scene.request;
    let settled = request.unhealthy_since + scene.settings.settle;
    let outdated = request.cluster_seen_at.is_some_and(|seen| seen < request.unhealthy_since);
    if outdated && scene.now < settled {
        return Finding::Wait { until: settled, reason: WaitReason::Settling };
    }
    Finding::Pass("the rest of the cluster was probed since, or had its time".to_owned())
}

pub(super) fn platform_retry(scene: &Scene<'_>) -> Finding {
    match scene.ledger.retry_not_before(&scene.request.component) {
        Some(until) if scene.now < until => {
            Finding::Wait { until, reason: WaitReason::PlatformRetry }
        }
        Some(_) | None => Finding::Pass("no request to the platform has just failed".to_owned()),
    }
}

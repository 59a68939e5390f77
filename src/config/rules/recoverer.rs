//! The rules of `[recoverer]` and `[recoverer.COMPONENT]`, and what of them cannot work together.

use std::time::Duration;

use super::reactions::{LONGEST_MEMORY, MILLISECOND, SECOND};
use super::windows::{MOST_WINDOWS, too_many};
use super::{Judge, LONGEST_INTERVAL, names, respawn};
use crate::config::path::KeyPath;
use crate::config::settings::{
    Budget, LadderStep, MaintenanceWindow, Platform, RecovererDefaults, RecoverySettings,
};
use crate::policy::calendar::{LONGEST_WINDOW, Weekday, leave_no_time};

const MINUTE: Duration = Duration::from_mins(1);
/// No action waits longer for what is only good to know.
const LONGEST_EVIDENCE: Duration = Duration::from_mins(1);

pub(super) fn judge(judge: &mut Judge<'_>) {
    let path = KeyPath::of(&["recoverer"]);
    let defaults = &judge.settings.recoverer.defaults;
    recovery(judge, &path, &RecoverySettings::from(defaults));
    budget(judge, &path.key("cluster_budget"), defaults.cluster_budget);
    budget(judge, &path.key("global_budget"), defaults.global_budget);
    judge.number(&path.key("max_concurrent"), defaults.max_concurrent, 1, 1_000);
    let evidence = defaults.evidence_timeout;
    judge.duration(&path.key("evidence_timeout"), evidence, MILLISECOND * 100, LONGEST_EVIDENCE);
    windows(judge, &path.key("maintenance"), &defaults.maintenance);
    respawn::limit(judge, &path.key("respawn"), defaults.respawn);
    for (name, settings) in &judge.settings.recoverer.components {
        let path = path.key(name);
        names::component_table(judge, &path, name);
        recovery(judge, &path, settings);
    }
}

fn recovery(judge: &mut Judge<'_>, path: &KeyPath, recovery: &RecoverySettings) {
    let ladder = path.key("ladder");
    if recovery.ladder.is_empty() {
        judge.value(&ladder, "must have a step; write enabled = false for none");
    }
    judge.unique(&ladder, &recovery.ladder, |step| {
        crate::config::decode::to_value(step).to_string()
    });
    let last = recovery.ladder.len().saturating_sub(1);
    if let Some(index) = recovery.ladder.iter().position(|step| *step == LadderStep::Escalate)
        && index < last
    {
        judge.value(&ladder.index(index), "must be the last step: nothing follows \"escalate\"");
    }
    let longest = LONGEST_INTERVAL;
    judge.duration(&path.key("cooldown"), recovery.cooldown, Duration::ZERO, longest);
    judge.duration(&path.key("verify_timeout"), recovery.verify_timeout, MILLISECOND, longest);
    judge.duration(&path.key("rollback_window"), recovery.rollback_window, MINUTE, longest * 7);
    let recurrence = recovery.recurrence_window;
    judge.duration(&path.key("recurrence_window"), recurrence, Duration::ZERO, longest);
    if !recovery.force_delete_after.is_zero() {
        let force = recovery.force_delete_after;
        judge.duration(&path.key("force_delete_after"), force, MINUTE, longest);
    }
    budget(judge, &path.key("budget"), recovery.budget);
}

fn budget(judge: &mut Judge<'_>, path: &KeyPath, budget: Budget) {
    judge.number(&path.key("actions"), budget.actions, 1, 1_000_000);
    judge.duration(&path.key("per"), budget.per, SECOND, LONGEST_MEMORY);
}

fn windows(judge: &mut Judge<'_>, path: &KeyPath, windows: &[MaintenanceWindow]) {
    too_many(judge, path, windows.len());
    for (index, window) in windows.iter().take(MOST_WINDOWS).enumerate() {
        let path = path.index(index);
        judge.duration(&path.key("duration"), window.duration, MINUTE, LONGEST_WINDOW);
        judge.unique(&path.key("days"), &window.days, |day: &Weekday| {
            format!("\"{}\"", day.as_str())
        });
    }
}

/// What is valid, was written, and cannot do what it says beside the rest.
pub(super) fn warn(judge: &mut Judge<'_>) {
    let path = KeyPath::of(&["recoverer"]);
    let defaults = &judge.settings.recoverer.defaults;
    budgets(judge, &path, defaults);
    let windows = defaults.maintenance.iter().map(|window| window.as_window().time().to_policy());
    if leave_no_time(&windows.filter_map(Result::ok).collect::<Vec<_>>()) {
        let what = "covers the whole week: nothing is ever done";
        judge.value(&path.key("maintenance"), what);
    }
    ladder(judge, &path, None, &RecoverySettings::from(defaults));
    for (name, settings) in &judge.settings.recoverer.components {
        ladder(judge, &path.key(name), Some(name), settings);
    }
}

/// A budget inside another one that is spent first; only where both have the same time.
fn budgets(judge: &mut Judge<'_>, path: &KeyPath, defaults: &RecovererDefaults) {
    let RecovererDefaults { budget, cluster_budget, global_budget, .. } = *defaults;
    let pairs = [
        ("budget", budget, "cluster_budget", cluster_budget),
        ("cluster_budget", cluster_budget, "global_budget", global_budget),
    ];
    for (key, inner, outer_key, outer) in pairs {
        let is_written = judge.origins.is_set(&path.key(key));
        if is_written && inner.per == outer.per && inner.actions > outer.actions {
            let (inner, outer) = (inner.actions, outer.actions);
            let what =
                format!("can never be spent: {inner} actions, but {outer_key} ends at {outer}");
            judge.value(&path.key(key), what);
        }
    }
}

fn ladder(
    judge: &mut Judge<'_>,
    path: &KeyPath,
    component: Option<&str>,
    settings: &RecoverySettings,
) {
    let ladder = path.key("ladder");
    let on_kubernetes = runs_on_kubernetes(judge, component);
    // The usual ladder begins with delete_pod; that it is passed over on the way is no news.
    let restarts = settings.ladder.contains(&LadderStep::RolloutRestart);
    let steps = [(LadderStep::DeletePod, "delete_pod"), (LadderStep::Rollback, "rollback")];
    for (step, name) in steps {
        let is_news = step == LadderStep::Rollback || !restarts;
        if let Some(index) = settings.ladder.iter().position(|one| *one == step)
            && is_news
            && !on_kubernetes
            && judge.origins.is_set(&ladder)
        {
            let why = "a process has neither pods nor revisions";
            judge
                .value(&ladder.index(index), format!("is \"{name}\", which is passed over: {why}"));
        }
    }
    hung_pods(judge, path, settings, on_kubernetes);
    let window = path.key("rollback_window");
    let is_its_own = judge.origins.written(&window) == window;
    let is_default = settings.rollback_window == RecoverySettings::default().rollback_window;
    let rolls_back = |settings: &RecoverySettings| settings.ladder.contains(&LadderStep::Rollback);
    let components = &judge.settings.recoverer.components;
    let inherited = component.is_none() && components.values().any(rolls_back);
    let is_meant = judge.origins.is_set(&window) && is_its_own && !is_default;
    if is_meant && !rolls_back(settings) && !inherited {
        judge.value(&window, "has no effect: the ladder has no step \"rollback\"");
    }
}

fn hung_pods(
    judge: &mut Judge<'_>,
    path: &KeyPath,
    settings: &RecoverySettings,
    on_kubernetes: bool,
) {
    let force = path.key("force_delete_after");
    let after = settings.force_delete_after;
    if after.is_zero() || !judge.origins.is_set(&force) {
        return;
    }
    let told = judge.settings.supervisor.hung_pod_after;
    if !on_kubernetes {
        judge.value(&force, "has no effect: a process has no pods");
    } else if after < told {
        let what = format!(
            "is shorter than hung_pod_after in [supervisor] ({told}), before which a pod that hangs \
             is not noticed"
        );
        judge.value(&force, what);
    }
}

/// Whether `component`, or anything at all, is run by Kubernetes.
fn runs_on_kubernetes(judge: &Judge<'_>, component: Option<&str>) -> bool {
    let clusters = &judge.settings.clusters;
    let mut clusters = clusters.values().filter(|cluster| match component {
        Some(name) if cluster.platform == Platform::Process => cluster.processes.contains_key(name),
        Some(_) | None => true,
    });
    judge.settings.clusters.is_empty()
        || clusters.any(|cluster| cluster.platform == Platform::Kubernetes)
}

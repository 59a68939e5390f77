//! The rules of `[scaler]` and `[scaler.COMPONENT]`.

use std::time::Duration;

use super::reactions::{MILLISECOND, SECOND};
use super::{Judge, LONGEST_INTERVAL, respawn};
use crate::config::path::KeyPath;
use crate::config::settings::{CautionSettings, ScaleRules, ScalerMode, ScalingSettings};
use crate::config::wording::did_you_mean;
use crate::model::Role;
use crate::policy::scaling::figures::Figure;

/// The highest threshold, per cent of a request: usage above the request is possible.
const HIGHEST_THRESHOLD: u32 = 1_000;
/// More replicas than this are a slip of the keyboard.
const MOST_REPLICAS: u32 = 10_000;

/// More requests than this are a slip of the keyboard.
const HIGHEST_COUNT: u32 = 10_000_000;
/// Nobody waits that long for a search.
const LONGEST_LATENCY: Duration = Duration::from_mins(10);

const QPS: &str = "qps_threshold";
const LATENCY_P99: &str = "latency_p99_threshold";
const READ_QUEUE: &str = "read_queue_threshold";

/// A share of a limit above which a node is killed.
const WHOLE: u32 = 100;

pub(super) fn judge(judge: &mut Judge<'_>) {
    let scaler = &judge.settings.scaler;
    let (defaults, path) = (&scaler.defaults, KeyPath::of(&["scaler"]));
    judge.duration(&path.key("interval"), defaults.interval, MILLISECOND * 100, LONGEST_INTERVAL);
    let components = path.key("components");
    judge.name_list(&components, &defaults.components);
    for (index, name) in defaults.components.iter().enumerate() {
        if !name.is_empty() {
            role(judge, &components.index(index), name);
        }
    }
    respawn::limit(judge, &path.key("respawn"), defaults.respawn);
    scaling(judge, &path, &ScalingSettings::from(defaults));
    figures(judge, &path, &ScalingSettings::from(defaults));
    for (name, settings) in &scaler.components {
        let path = path.key(name);
        if Role::parse(name).is_none() {
            let hint = did_you_mean(name, Role::ALL.into_iter().map(Role::as_str));
            judge.table(&path, format!("names no Milvus component{hint}"));
        }
        scaling(judge, &path, settings);
        figures(judge, &path, settings);
        if let Some(role) = Role::parse(name) {
            told_figures(judge, &path, role);
        }
    }
}

/// What Milvus says of itself.
fn figures(judge: &mut Judge<'_>, path: &KeyPath, scaling: &ScalingSettings) {
    judge.number(&path.key(QPS), scaling.qps_threshold, 0, HIGHEST_COUNT);
    judge.number(&path.key(READ_QUEUE), scaling.read_queue_threshold, 0, HIGHEST_COUNT);
    let latency = scaling.latency_p99_threshold;
    if !latency.is_zero() {
        judge.duration(&path.key(LATENCY_P99), latency, MILLISECOND, LONGEST_LATENCY);
    }
}

/// Figures that mode "step" does not look at.
pub(super) fn warn(judge: &mut Judge<'_>) {
    let scaler = &judge.settings.scaler;
    let path = KeyPath::of(&["scaler"]);
    let is_for_others = scaler.components.values().any(|one| one.mode == ScalerMode::Target);
    if !is_for_others {
        unseen_figures(judge, &path, &ScalingSettings::from(&scaler.defaults));
    }
    for (name, settings) in &scaler.components {
        unseen_figures(judge, &path.key(name), settings);
    }
}

fn unseen_figures(judge: &mut Judge<'_>, path: &KeyPath, scaling: &ScalingSettings) {
    let figures = [
        (QPS, scaling.qps_threshold != 0),
        (LATENCY_P99, !scaling.latency_p99_threshold.is_zero()),
        (READ_QUEUE, scaling.read_queue_threshold != 0),
    ];
    for (key, _) in figures.into_iter().filter(|(_, is_wanted)| *is_wanted) {
        let path = path.key(key);
        if scaling.mode == ScalerMode::Step && judge.origins.is_set(&path) {
            judge.value(&path, "has no effect in mode \"step\": it takes mode = \"target\"");
        }
    }
}

/// A component must not be asked for what its pods never tell: it would not shrink any more.
fn told_figures(judge: &mut Judge<'_>, path: &KeyPath, role: Role) {
    let figures =
        [(QPS, Figure::Qps), (LATENCY_P99, Figure::LatencyP99), (READ_QUEUE, Figure::ReadQueue)];
    for (key, figure) in figures {
        let path = path.key(key);
        if !figure.is_told_by(role) && judge.origins.is_set(&path) {
            judge.value(&path, format!("has no effect: {role} has no such figure"));
        }
    }
}

fn role(judge: &mut Judge<'_>, path: &KeyPath, name: &str) {
    if Role::parse(name).is_none() {
        let hint = did_you_mean(name, Role::ALL.into_iter().map(Role::as_str));
        judge.value(path, format!("is no Milvus component: {name:?}{hint}"));
    }
}

fn scaling(judge: &mut Judge<'_>, path: &KeyPath, scaling: &ScalingSettings) {
    let (min, max) = (scaling.min_replicas, scaling.max_replicas);
    judge.number(&path.key("min_replicas"), min, 1, MOST_REPLICAS);
    judge.number(&path.key("max_replicas"), max, 1, MOST_REPLICAS);
    if min > max {
        let set = judge.origins.is_set(&path.key("min_replicas"));
        let key = if set { "min_replicas" } else { "max_replicas" };
        judge.value(
            &path.key(key),
            format!("leaves no choice: min_replicas {min} > max_replicas {max}"),
        );
    }
    judge.number(&path.key("cpu_threshold"), scaling.cpu_threshold, 1, HIGHEST_THRESHOLD);
    judge.number(&path.key("memory_threshold"), scaling.memory_threshold, 1, HIGHEST_THRESHOLD);
    if !(0.0..=1.0).contains(&scaling.tolerance) {
        let tolerance = scaling.tolerance;
        let words = format!("must be between 0 and 1, a share of the threshold, not {tolerance}");
        judge.value(&path.key("tolerance"), words);
    }
    let start = [
        ("cpu_initialization_period", scaling.cpu_initialization_period),
        ("initial_readiness_delay", scaling.initial_readiness_delay),
    ];
    for (key, value) in start {
        judge.duration(&path.key(key), value, Duration::ZERO, LONGEST_INTERVAL);
    }
    rules(judge, &path.key("scale_up"), &scaling.scale_up);
    rules(judge, &path.key("scale_down"), &scaling.scale_down);
    caution(judge, &path.key("caution"), &scaling.caution);
}

fn caution(judge: &mut Judge<'_>, path: &KeyPath, caution: &CautionSettings) {
    judge.number(&path.key("memory_limit"), caution.memory_limit, 1, WHOLE);
    let evidence = caution.evidence_age;
    judge.duration(&path.key("evidence_age"), evidence, SECOND, LONGEST_INTERVAL);
    let longest = LONGEST_INTERVAL;
    judge.duration(&path.key("drain_timeout"), caution.drain_timeout, SECOND, longest);
    let waits =
        [("undrained_wait", caution.undrained_wait), ("serving_timeout", caution.serving_timeout)];
    for (key, value) in waits {
        judge.duration(&path.key(key), value, Duration::ZERO, longest);
    }
    let pressure = caution.urgent_pressure;
    if !(1.0..=100.0).contains(&pressure) {
        let words =
            format!("must be between 1 and 100, a multiple of the threshold, not {pressure}");
        judge.value(&path.key("urgent_pressure"), words);
    }
}

fn rules(judge: &mut Judge<'_>, path: &KeyPath, rules: &ScaleRules) {
    // The same bounds as those of a Kubernetes HPA, so that its manifest can be carried over.
    let longest_window = Duration::from_hours(1);
    let longest_period = Duration::from_mins(30);
    judge.duration(&path.key("stabilization"), rules.stabilization, Duration::ZERO, longest_window);
    let policies = path.key("policies");
    if rules.policies.is_empty() {
        judge.value(&policies, "must have a policy");
    }
    for (index, policy) in rules.policies.iter().enumerate() {
        let path = policies.index(index);
        judge.number(&path.key("value"), policy.value, 1, 1_000_000);
        judge.duration(&path.key("period"), policy.period, SECOND, longest_period);
    }
}

//! The rules of `[alerter] routes`, and of what is told together and how often.

use std::time::Duration;

use super::{Judge, LONGEST_INTERVAL, alerter};
use crate::config::path::KeyPath;
use crate::config::settings::{Grouping, Patterns, RateLimitSettings, Route};
use crate::config::wording::{did_you_mean, list};
use crate::policy::notification::own::OWN;
use crate::policy::quiet::glob;

/// So many messages are no limit any more.
const MOST_MESSAGES: u32 = 10_000;

pub(super) fn judge(judge: &mut Judge<'_>, path: &KeyPath) {
    let settings = &judge.settings.alerter;
    let longest = LONGEST_INTERVAL * 7;
    judge.duration(&path.key("repeat_max"), settings.repeat_max, Duration::ZERO, longest);
    grouping(judge, &path.key("group_by"), &settings.group_by);
    rate_limit(judge, &path.key("rate_limit"), settings.rate_limit);
    for (index, route) in settings.routes.iter().enumerate() {
        self::route(judge, &path.key("routes").index(index), route);
    }
}

fn route(judge: &mut Judge<'_>, path: &KeyPath, route: &Route) {
    alerter::receivers(judge, &path.key("to"), &route.to);
    patterns(judge, &path.key("component"), &route.component);
    patterns(judge, &path.key("cluster"), &route.cluster);
    clusters(judge, &path.key("cluster"), &route.cluster);
    if let Some(by) = &route.group_by {
        grouping(judge, &path.key("group_by"), by);
    }
    let (second, week) = (Duration::from_secs(1), LONGEST_INTERVAL * 7);
    for (key, own, shortest, longest) in [
        ("group_wait", route.group_wait, Duration::ZERO, LONGEST_INTERVAL),
        ("group_interval", route.group_interval, Duration::ZERO, LONGEST_INTERVAL),
        ("repeat_interval", route.repeat_interval, second, week),
    ] {
        if let Some(own) = own {
            judge.duration(&path.key(key), own, shortest, longest);
        }
    }
}

fn grouping(judge: &mut Judge<'_>, path: &KeyPath, by: &Grouping) {
    judge.unique(path, &by.0, |label| format!("\"{}\"", label.as_str()));
}

fn rate_limit(judge: &mut Judge<'_>, path: &KeyPath, limit: RateLimitSettings) {
    judge.number(&path.key("messages"), limit.messages, 1, MOST_MESSAGES);
    judge.duration(&path.key("per"), limit.per, Duration::from_secs(1), LONGEST_INTERVAL);
}

/// What no name can fit is a slip.
fn patterns(judge: &mut Judge<'_>, path: &KeyPath, patterns: &Patterns) {
    judge.unique(path, &patterns.0, |pattern| format!("{pattern:?}"));
    for (index, pattern) in patterns.0.iter().enumerate() {
        let is_possible = |c: char| c.is_ascii_alphanumeric() || "-_.*?".contains(c);
        let path = place(path, patterns, index);
        if pattern.is_empty() {
            judge.value(&path, "must not be empty");
        } else if !pattern.chars().all(is_possible) {
            let what = format!(
                "fits no name: {pattern:?}; names are made of letters, digits, \"-\", \"_\" and \
                 \".\", and \"*\" and \"?\" stand for any of them"
            );
            judge.value(&path, what);
        }
    }
}

/// A cluster that is not there is a slip, unlike a component, which may come.
fn clusters(judge: &mut Judge<'_>, path: &KeyPath, patterns: &Patterns) {
    let settings = judge.settings;
    let names: Vec<&str> = settings.clusters.keys().map(String::as_str).collect();
    for (index, pattern) in patterns.0.iter().enumerate() {
        let fits = names.iter().chain(&[OWN]).any(|name| glob(pattern, name));
        if !fits && !names.is_empty() && !pattern.is_empty() {
            let hint = did_you_mean(pattern, names.iter().copied());
            let known = list(names.iter().copied());
            let what = format!("fits no cluster: {pattern:?} (there is {known}){hint}");
            judge.value(&place(path, patterns, index), what);
        }
    }
}

/// Where one of several stands; one alone may stand without a list.
fn place(path: &KeyPath, patterns: &Patterns, index: usize) -> KeyPath {
    if patterns.0.len() > 1 { path.index(index) } else { path.clone() }
}

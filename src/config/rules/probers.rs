//! The rules of `[probers]` and `[probers.COMPONENT]`.

use std::time::Duration;

use super::{Judge, LONGEST_INTERVAL, LONGEST_TIMEOUT, check_address, names, respawn};
use crate::config::path::KeyPath;
use crate::config::settings::{ExpectSettings, ProberSettings};
use crate::config::wording::did_you_mean;
use crate::model::ProberKind;

/// Probing more often than this is a load of its own.
const SHORTEST_INTERVAL: Duration = Duration::from_millis(10);

/// A deadline below this fails whatever is asked.
const SHORTEST_TIMEOUT: Duration = Duration::from_millis(1);

pub(super) fn judge(judge: &mut Judge<'_>) {
    let path = KeyPath::of(&["probers"]);
    timing(judge, &path, &ProberSettings::from(&judge.settings.probers.defaults));
    for (name, prober) in &judge.settings.probers.components {
        let path = path.key(name);
        names::made_up(judge, &path, name);
        timing(judge, &path, prober);
        target(judge, &path, name, prober);
        owner(judge, &path.key("cluster"), prober);
    }
}

fn timing(judge: &mut Judge<'_>, path: &KeyPath, prober: &ProberSettings) {
    judge.duration(&path.key("interval"), prober.interval, SHORTEST_INTERVAL, LONGEST_INTERVAL);
    judge.duration(&path.key("timeout"), prober.timeout, SHORTEST_TIMEOUT, LONGEST_TIMEOUT);
    judge.number(&path.key("jitter"), prober.jitter, 0.0, 1.0);
    judge.number(&path.key("failure_threshold"), prober.failure_threshold, 1, 1_000);
    judge.number(&path.key("success_threshold"), prober.success_threshold, 1, 1_000);
    judge.number(&path.key("mailbox"), prober.mailbox, 1, 65_536);
    respawn::backoff(judge, &path.key("backoff"), &prober.backoff);
    respawn::limit(judge, &path.key("respawn"), prober.respawn);
}

/// The kind must be known, have what it needs, and nothing of another kind.
fn target(judge: &mut Judge<'_>, path: &KeyPath, name: &str, prober: &ProberSettings) {
    if judge.is_left_out(&path.key("kind")) {
        return;
    }
    let Some(kind) = effective_kind(judge, path, name, prober) else { return };
    let is_http = kind == ProberKind::Http;
    let has_address = matches!(kind, ProberKind::Tcp | ProberKind::Grpc);
    let written = kind.as_str();
    if is_http && prober.url.is_empty() {
        judge.lacks(path, &["url"], "is of kind \"http\" and needs \"url\"");
    }
    if has_address && prober.address.is_empty() {
        let what = format!("is of kind \"{written}\" and needs \"address\" (host:port)");
        judge.lacks(path, &["address"], what);
    }
    let superfluous = [
        ("url", !prober.url.is_empty() && !is_http, "http"),
        ("expect", prober.expect != ExpectSettings::default() && !is_http, "http"),
        ("address", !prober.address.is_empty() && !has_address, "tcp\" or \"grpc"),
        (
            "canary_collections",
            !prober.canary_collections.is_empty() && kind != ProberKind::Milvus,
            "milvus",
        ),
    ];
    for (key, wrong, kinds) in superfluous {
        if wrong {
            judge.value(&path.key(key), format!("needs kind = \"{kinds}\", not \"{written}\""));
        }
    }
    if is_http && !prober.url.is_empty() {
        judge.url(&path.key("url"), &prober.url, &["http", "https"]);
    }
    if has_address
        && !prober.address.is_empty()
        && let Err(why) = check_address(&prober.address)
    {
        judge.value(&path.key("address"), why);
    }
    judge.number(&path.key("expect").key("status"), prober.expect.status, 100, 599);
    judge.name_list(&path.key("canary_collections"), &prober.canary_collections);
}

/// The kind as written, or the one that a component has by itself.
fn effective_kind(
    judge: &mut Judge<'_>,
    path: &KeyPath,
    name: &str,
    prober: &ProberSettings,
) -> Option<ProberKind> {
    if prober.kind.is_some() {
        return prober.kind;
    }
    if name == names::SERVICE {
        return Some(ProberKind::Milvus);
    }
    if names::is_component(judge.settings, name) {
        return Some(ProberKind::Pods);
    }
    let hint = did_you_mean(name, names::built_in().chain(["backoff", "respawn"]));
    judge.table(path, format!("is no Milvus component, so it needs \"kind\"{hint}"));
    None
}

fn owner(judge: &mut Judge<'_>, path: &KeyPath, prober: &ProberSettings) {
    let clusters = &judge.settings.clusters;
    if prober.cluster.is_empty() || clusters.contains_key(&prober.cluster) {
        return;
    }
    let hint = did_you_mean(&prober.cluster, clusters.keys().map(String::as_str));
    let cluster = &prober.cluster;
    judge.value(path, format!("names {cluster:?}, but there is no [clusters.{cluster}]{hint}"));
}

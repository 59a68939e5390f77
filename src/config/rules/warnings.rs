//! What is valid but does nothing, and only where somebody wrote it, or more than was meant.

use super::{Judge, WELL_KNOWN_DEPENDENCIES, names, receivers, recoverer, scaler, windows};
use crate::config::origins::Origins;
use crate::config::path::KeyPath;
use crate::config::problem::Problem;
use crate::config::settings::{ClusterSettings, Components, Platform, Settings};
use crate::effects::journal::obstacle;

/// Tables that this version reads and does not use.
const UNUSED_TABLES: [&str; 1] = ["anomaly"];

/// Keys of a cluster that only Kubernetes gives a meaning.
const KUBERNETES_KEYS: [&str; 5] = ["namespace", "instance", "layout", "kubeconfig", "context"];

/// Everything that is valid, was written, and does nothing.
pub(crate) fn warnings(settings: &Settings, origins: &Origins) -> Vec<Problem> {
    let mut judge = Judge { settings, origins, left_out: &[], problems: Vec::new() };
    unused(&mut judge);
    clusters(&mut judge);
    orphans(&mut judge);
    twins(&mut judge);
    recoverer::warn(&mut judge);
    scaler::warn(&mut judge);
    windows::warn(&mut judge);
    let journal = &settings.recorder.path;
    if !journal.as_os_str().is_empty()
        && let Some(obstacle) = obstacle(journal)
    {
        let path = KeyPath::of(&["recorder", "path"]);
        judge.value(
            &path,
            format!("cannot be written, so the journal is kept in memory: {obstacle}"),
        );
    }
    election(&mut judge);
    let email = KeyPath::of(&["alerter", "email"]);
    if !settings.alerter.email.is_set() && origins.is_set(&email) {
        judge.table(&email, "has no \"host\", so no mail is sent");
    }
    receivers::warn(&mut judge);
    let mut problems = judge.problems;
    problems.sort();
    problems.dedup();
    problems
}

fn unused(judge: &mut Judge<'_>) {
    for table in UNUSED_TABLES {
        let path = KeyPath::of(&[table]);
        if judge.origins.is_set(&path) {
            judge.table(&path, "has no effect in this version");
        }
    }
}

fn election(judge: &mut Judge<'_>) {
    let path = KeyPath::of(&["leader_election"]);
    let mut clusters = judge.settings.clusters.values();
    let on_kubernetes = clusters.any(|cluster| cluster.platform == Platform::Kubernetes);
    let is_meant = judge.settings.leader_election.enabled && judge.origins.is_set(&path);
    if is_meant && !on_kubernetes {
        judge.table(&path, "has no effect without a cluster on Kubernetes");
    }
}

fn clusters(judge: &mut Judge<'_>) {
    if judge.settings.clusters.is_empty() {
        judge.table(&KeyPath::of(&["clusters"]), "has no cluster, so there is nothing to watch");
    }
    for (name, cluster) in &judge.settings.clusters {
        let path = KeyPath::of(&["clusters", name]);
        for key in KUBERNETES_KEYS.map(|key| path.key(key)) {
            if cluster.platform == Platform::Process && judge.origins.is_set(&key) {
                judge.value(&key, "has no effect with platform = \"process\"");
            }
        }
        let tls = &cluster.auth.tls_ca_file;
        if !tls.as_os_str().is_empty() && cluster.milvus.starts_with("http:") {
            let key = path.key("auth").key("tls_ca_file");
            judge.value(&key, "has no effect: the URL in \"milvus\" is http://, not https://");
        }
        for (index, dependency) in cluster.depends_on.iter().enumerate() {
            let unwatched = !judge.settings.probers.components.contains_key(dependency);
            if unwatched && WELL_KNOWN_DEPENDENCIES.contains(&dependency.as_str()) {
                judge.value(
                    &path.key("depends_on").index(index),
                    format!("has no effect: {dependency:?} is not watched without [probers.{dependency}]"),
                );
            }
        }
        for (name, process) in &cluster.processes {
            if !process.start.is_empty() && !process.restart.is_empty() {
                let key = path.key("processes").key(name).key("restart");
                judge.value(&key, "has no effect beside \"start\": falconer owns the process");
            }
        }
    }
}

/// Probers that belong to no cluster.
fn orphans(judge: &mut Judge<'_>) {
    let settings = judge.settings;
    for name in settings.probers.components.keys() {
        let owned = settings.clusters.keys().any(|cluster| settings.depends(cluster, name));
        if !owned && !names::is_component(settings, name) && !settings.clusters.is_empty() {
            judge.table(
                &KeyPath::of(&["probers", name]),
                "has no effect: it is in no cluster's depends_on and names no \"cluster\"",
            );
        }
    }
}

/// Clusters that are the same one: both would restart and scale it, each with its own budget.
fn twins(judge: &mut Judge<'_>) {
    let settings = judge.settings;
    let place = |cluster: &ClusterSettings| {
        let ClusterSettings { namespace, instance, kubeconfig, context, .. } = cluster;
        (namespace.clone(), instance.clone(), kubeconfig.clone(), context.clone())
    };
    let on_kubernetes: Vec<_> = settings
        .clusters
        .iter()
        .filter(|(_, cluster)| cluster.platform == Platform::Kubernetes)
        .collect();
    for (index, (name, cluster)) in on_kubernetes.iter().enumerate() {
        let earlier = &on_kubernetes[..index];
        let twin = earlier.iter().find(|(_, other)| {
            place(other) == place(cluster) && overlap(&other.components, &cluster.components)
        });
        if let Some((twin, _)) = twin {
            let path = KeyPath::of(&["clusters", name]);
            let why = "with the same namespace and instance: both would restart and scale it";
            judge.table(&path, format!("watches what [clusters.{twin}] watches, {why}"));
        }
    }
}

fn overlap(a: &Components, b: &Components) -> bool {
    match (a, b) {
        (Components::List(a), Components::List(b)) => a.iter().any(|name| b.contains(name)),
        (Components::Auto, _) | (_, Components::Auto) => true,
    }
}

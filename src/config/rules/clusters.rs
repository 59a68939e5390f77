//! The rules of `[clusters.NAME]`.

use std::time::Duration;

use super::{Judge, LONGEST_TIMEOUT, WELL_KNOWN_DEPENDENCIES, names};
use crate::config::path::KeyPath;
use crate::config::settings::{
    AuthSettings, ClusterSettings, Components, Platform, ProcessSettings,
};
use crate::config::values::ByteSize;
use crate::config::wording::did_you_mean;
use crate::model::Role;

/// A log file is at least this long before it is rotated.
const SMALLEST_LOG: ByteSize = ByteSize::from_bytes(4 << 10);
/// A log file is rotated before it is longer.
const LARGEST_LOG: ByteSize = ByteSize::from_bytes(1 << 40);

pub(super) fn judge(judge: &mut Judge<'_>) {
    for (name, cluster) in &judge.settings.clusters {
        let path = KeyPath::of(&["clusters", name]);
        names::made_up(judge, &path, name);
        platform(judge, &path, cluster);
        namespace(judge, &path.key("namespace"), cluster);
        judge.url(&path.key("milvus"), &cluster.milvus, &["http", "https"]);
        judge.number(&path.key("metrics_port"), cluster.metrics_port, 1, u16::MAX);
        components(judge, &path.key("components"), cluster);
        depends_on(judge, &path.key("depends_on"), name, cluster);
        auth(judge, &path.key("auth"), &cluster.auth);
        for (name, settings) in &cluster.processes {
            let path = path.key("processes").key(name);
            names::made_up(judge, &path, name);
            process(judge, &path, settings);
        }
        log_files(judge, &path.key("processes"), cluster);
    }
}

fn platform(judge: &mut Judge<'_>, path: &KeyPath, cluster: &ClusterSettings) {
    if judge.is_left_out(&path.key("platform")) {
        return;
    }
    match cluster.platform {
        Platform::Process if cluster.processes.is_empty() => judge.lacks(
            path,
            &["processes"],
            "has platform = \"process\" but no process; write a table \
             [clusters.NAME.processes.PROCESS] with \"start\" or \"restart\"",
        ),
        Platform::Kubernetes if !cluster.processes.is_empty() => judge
            .table(&path.key("processes"), "needs platform = \"process\" in the cluster's table"),
        Platform::Process | Platform::Kubernetes => {}
    }
}

/// Kubernetes accepts no other names, so no namespace can be called otherwise.
fn namespace(judge: &mut Judge<'_>, path: &KeyPath, cluster: &ClusterSettings) {
    let name = &cluster.namespace;
    let known = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    let valid = name.len() <= 63
        && name.chars().all(known)
        && !name.starts_with('-')
        && !name.ends_with('-');
    // Where none is written it is the cluster's name, and the message must say so.
    if cluster.platform == Platform::Kubernetes && !valid {
        judge.value(
            path,
            format!(
                "cannot be {name:?}: Kubernetes takes lower-case letters, digits and \"-\" inside, \
                 at most 63; where none is written it is the cluster's name"
            ),
        );
    }
}

fn components(judge: &mut Judge<'_>, path: &KeyPath, cluster: &ClusterSettings) {
    let Components::List(list) = &cluster.components else { return };
    if list.is_empty() {
        judge.value(path, "must not be empty; write \"auto\" for what is there");
    }
    judge.name_list(path, list);
    for (index, name) in list.iter().enumerate() {
        if Role::parse(name).is_some() || cluster.processes.contains_key(name) || name.is_empty() {
            continue;
        }
        let roles = Role::ALL.iter().map(|role| role.as_str());
        let known: Vec<&str> = roles.chain(cluster.processes.keys().map(String::as_str)).collect();
        let hint = did_you_mean(name, known);
        judge.value(&path.index(index), format!("is no Milvus component: {name:?}{hint}"));
    }
}

fn depends_on(
    judge: &mut Judge<'_>,
    path: &KeyPath,
    cluster_name: &str,
    cluster: &ClusterSettings,
) {
    judge.name_list(path, &cluster.depends_on);
    let probers = &judge.settings.probers.components;
    for (index, name) in cluster.depends_on.iter().enumerate() {
        let path = path.index(index);
        match probers.get(name) {
            Some(prober) if !prober.cluster.is_empty() && prober.cluster != cluster_name => {
                let owner = &prober.cluster;
                judge.value(
                    &path,
                    format!("names {name:?}, which belongs to the cluster {owner:?}"),
                );
            }
            Some(_) => {}
            None if WELL_KNOWN_DEPENDENCIES.contains(&name.as_str()) || name.is_empty() => {}
            None => {
                let hint = did_you_mean(name, probers.keys().map(String::as_str));
                judge.value(
                    &path,
                    format!("names {name:?}, but there is no [probers.{name}]{hint}"),
                );
            }
        }
    }
}

fn auth(judge: &mut Judge<'_>, path: &KeyPath, auth: &AuthSettings) {
    let has_user = !auth.username.is_empty();
    if has_user && !auth.password_file.is_set() {
        judge.value(&path.key("username"), "needs \"password_file\" beside it");
    }
    if auth.password_file.is_set() && !has_user {
        judge.value(&path.key("password_file"), "needs \"username\" beside it");
    }
    if auth.token_file.is_set() && (has_user || auth.password_file.is_set()) {
        judge.value(&path.key("token_file"), "cannot be combined with user and password");
    }
}

fn process(judge: &mut Judge<'_>, path: &KeyPath, process: &ProcessSettings) {
    if process.start.is_empty() && process.restart.is_empty() {
        judge.lacks(
            path,
            &["start", "restart"],
            "needs \"start\" (falconer owns the process) or \"restart\" (the command that makes \
             its owner restart it)",
        );
    }
    for (key, command) in [("start", &process.start), ("restart", &process.restart)] {
        if command.first().is_some_and(String::is_empty) {
            judge.value(&path.key(key), "must begin with a program");
        }
        if command.iter().any(|argument| argument.contains('\0')) {
            judge.value(&path.key(key), "must not contain a NUL character");
        }
    }
    judge.url(&path.key("health"), &process.health, &["http", "https"]);
    for (name, value) in &process.env {
        let name_is_fine = !name.is_empty() && !name.contains(['=', '\0']);
        if !name_is_fine || value.expose().contains('\0') {
            judge.value(&path.key("env").key(name), "is not an environment variable");
        }
    }
    judge.number(&path.key("log_max_bytes"), process.log_max_bytes, SMALLEST_LOG, LARGEST_LOG);
    judge.number(&path.key("log_files"), process.log_files, 0, 1_000);
    judge.duration(&path.key("stop_grace"), process.stop_grace, Duration::ZERO, LONGEST_TIMEOUT);
    judge.duration(&path.key("kill_grace"), process.kill_grace, Duration::ZERO, LONGEST_TIMEOUT);
}

/// Two processes must not write into one file.
fn log_files(judge: &mut Judge<'_>, path: &KeyPath, cluster: &ClusterSettings) {
    let mut seen: Vec<(std::path::PathBuf, &str)> = Vec::new();
    for (name, process) in cluster.processes.iter().filter(|(_, process)| !process.start.is_empty())
    {
        let file = process.working_dir.join(&process.log_file);
        if let Some((_, other)) = seen.iter().find(|(seen, _)| *seen == file) {
            let path = path.key(name).key("log_file");
            judge.value(&path, format!("is the file of the process {other:?} too"));
        }
        seen.push((file, name));
    }
}

//! Names that users make up (clusters, probers, processes, webhooks) and names that refer to
//! something: what may stand in them and what they may refer to.

use super::Judge;
use crate::config::path::KeyPath;
use crate::config::settings::{Components, Settings};
use crate::config::wording::did_you_mean;
use crate::model::Role;

/// No name is longer, in bytes: it becomes a label's value and part of file names.
const NAME_LIMIT: usize = 63;

/// The component that stands for the service as its clients see it.
pub(super) const SERVICE: &str = "milvus";

/// Names of components that need no table of their own: the roles, the service, the resources.
pub(super) fn built_in() -> impl Iterator<Item = &'static str> {
    Role::ALL.into_iter().map(Role::as_str).chain([SERVICE, "resources"])
}

/// Whether `name` is a component by itself, without a `kind`: a role, the service, or what a
/// cluster lists or starts.
pub(super) fn is_component(settings: &Settings, name: &str) -> bool {
    built_in().any(|known| known == name)
        || settings.clusters.values().any(|cluster| {
            cluster.processes.contains_key(name)
                || matches!(&cluster.components, Components::List(list) if list.iter().any(|c| c == name))
        })
}

/// A made-up name must be fit for labels, paths and file names.
pub(super) fn made_up(judge: &mut Judge<'_>, path: &KeyPath, name: &str) {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    let fine = name.chars().all(allowed)
        && name.starts_with(|c: char| c.is_ascii_alphanumeric())
        && name.len() <= NAME_LIMIT;
    if !fine {
        judge.table(
            path,
            format!(
                "has a name that cannot be used: at most {NAME_LIMIT} letters, digits, \"-\", \
                 \"_\" and \".\", the first a letter or a digit"
            ),
        );
    }
}

/// `[recoverer.NAME]` must name something that can be sick.
pub(super) fn component_table(judge: &mut Judge<'_>, path: &KeyPath, name: &str) {
    let settings = judge.settings;
    if is_component(settings, name) || settings.probers.components.contains_key(name) {
        return;
    }
    let hint = did_you_mean(name, built_in());
    judge.table(path, format!("names no component, process or prober{hint}"));
}

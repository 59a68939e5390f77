//! Whether falconer sees everything it was told to watch. Pure.

use std::sync::Arc;

use serde::Serialize;

use crate::actors::status::{ClusterSnapshot, StatusSnapshot};

/// A part that is not ready, and why.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(super) struct NotReady {
    /// The cluster.
    pub(super) cluster: Arc<str>,
    /// The component; `None` where the whole cluster is not known yet.
    pub(super) component: Option<Arc<str>>,
    /// A sentence for people.
    pub(super) reason: String,
}

/// Every part of the `configured` clusters that is not ready; empty means ready.
pub(super) fn not_ready(configured: &[Arc<str>], status: &StatusSnapshot) -> Vec<NotReady> {
    configured
        .iter()
        .flat_map(|name| match status.clusters.get(name) {
            Some(cluster) => not_ready_in(name, cluster),
            None => vec![whole(name, "its supervisor has not reported yet".to_owned())],
        })
        .collect()
}

fn not_ready_in(name: &Arc<str>, cluster: &ClusterSnapshot) -> Vec<NotReady> {
    if !cluster.synced {
        let reason = match &cluster.platform_error {
            Some(error) => format!("discovery is not complete: {error}"),
            None => "discovery is not complete yet".to_owned(),
        };
        return vec![whole(name, reason)];
    }
    let unprobed = cluster.components.iter().filter(|(_, component)| component.probed_at.is_none());
    unprobed
        .map(|(component, _)| NotReady {
            cluster: Arc::clone(name),
            component: Some(Arc::clone(component)),
            reason: "it was not probed yet".to_owned(),
        })
        .collect()
}

fn whole(cluster: &Arc<str>, reason: String) -> NotReady {
    NotReady { cluster: Arc::clone(cluster), component: None, reason }
}

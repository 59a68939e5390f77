//! What the Kubernetes adapter needs to be told. Owns the settings and their defaults; reads no
//! file and no environment.

use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;

/// How Milvus was installed: which labels its pods carry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Layout {
    /// Any of the three.
    #[default]
    Auto,
    /// The Helm chart: `component=querynode`.
    Helm,
    /// milvus-operator: `app.kubernetes.io/component=querynode`.
    Operator,
    /// Plain manifests: `app=milvus-querynode`.
    Reference,
}

/// Which components belong to the cluster.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Components {
    /// Whatever is found.
    #[default]
    Auto,
    /// These, whether they are found or not; others are left alone.
    List(Vec<String>),
}

/// Where the address of the Kubernetes API and the credentials come from.
#[derive(Debug, Clone)]
pub enum ClientSource {
    /// From a kubeconfig file or from the pod that falconer runs in.
    Infer {
        /// Path of the kubeconfig; empty = `KUBECONFIG`, `~/.kube/config`, then the pod's service
        /// account.
        kubeconfig: String,
        /// The context in it; empty = its current one.
        context: String,
    },
    /// As given.
    Explicit(Box<kube::Config>),
}

impl Default for ClientSource {
    fn default() -> Self {
        Self::Infer { kubeconfig: String::new(), context: String::new() }
    }
}

/// What belongs to one Milvus cluster in its namespace.
#[derive(Debug, Clone, Default)]
pub struct Selection {
    /// `app.kubernetes.io/instance`; empty = the only one in the namespace.
    pub instance: String,
    /// How it was installed.
    pub layout: Layout,
    /// Which components to look at.
    pub components: Components,
}

/// The settings of the adapter of one cluster.
#[derive(Debug, Clone)]
pub struct KubeSettings {
    /// The cluster's name, for logs.
    pub cluster: Arc<str>,
    /// The namespace it lives in.
    pub namespace: Arc<str>,
    /// What of the namespace belongs to it.
    pub selection: Selection,
    /// How to reach the API.
    pub source: ClientSource,
    /// Deadlines and intervals.
    pub timing: Timing,
}

impl KubeSettings {
    /// Defaults for `cluster` in `namespace`.
    pub fn new(cluster: impl Into<Arc<str>>, namespace: impl Into<Arc<str>>) -> Self {
        Self {
            cluster: cluster.into(),
            namespace: namespace.into(),
            selection: Selection::default(),
            source: ClientSource::default(),
            timing: Timing::default(),
        }
    }
}

/// Deadlines and intervals of the talk with the API.
#[derive(Debug, Clone, Copy)]
pub struct Timing {
    /// Deadline of every request, its answer included (10 s).
    pub request: Duration,
    /// How long one watch lasts at most before it is opened anew (30 s, in whole seconds). A watch
    /// that has gone silent is noticed within this time and 15 s more.
    pub watch: Duration,
    /// First pause after a failure; doubles up to `retry_max` (500 ms).
    pub retry_initial: Duration,
    /// Longest pause after failures (30 s).
    pub retry_max: Duration,
    /// How often an optional API that is absent (a missing CRD) is asked for again (5 min).
    pub absent_recheck: Duration,
    /// How long events are gathered before the inventory is made anew (30 ms).
    pub debounce: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            request: Duration::from_secs(10),
            watch: Duration::from_secs(30),
            retry_initial: Duration::from_millis(500),
            retry_max: Duration::from_secs(30),
            absent_recheck: Duration::from_mins(5),
            debounce: Duration::from_millis(30),
        }
    }
}

/// One object that falconer keeps for itself.
#[derive(Debug, Clone)]
pub struct Place {
    /// How to reach the API.
    pub source: ClientSource,
    /// The namespace.
    pub namespace: Arc<str>,
    /// The object's name.
    pub name: Arc<str>,
    /// Deadline of every request, its answer included.
    pub request: Duration,
}

impl Place {
    /// The deadlines of its client.
    pub fn timing(&self) -> Timing {
        Timing { request: self.request, ..Timing::default() }
    }
}

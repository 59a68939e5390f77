//! What of the objects a test or a demo looks at.

use serde_json::Value;

use super::controllers::deployment::revision_number;
use super::controllers::template::{is_ready, revision_of};
use super::kubernetes::json::{self, number, text};

/// A pod as the API shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PodView {
    /// Its name.
    pub name: String,
    /// Its uid.
    pub uid: String,
    /// Its address, once it has one.
    pub ip: Option<String>,
    /// Its node; empty while it has none.
    pub node: String,
    /// The image of its container.
    pub image: String,
    /// The revision of the template that it was made from.
    pub revision: String,
    /// Ready and not on its way out.
    pub ready: bool,
    /// On its way out.
    pub terminating: bool,
    /// How often its container was started again.
    pub restarts: u64,
    /// What its container waits for, as `CrashLoopBackOff`; empty while it runs.
    pub waiting: String,
}

impl PodView {
    pub(super) fn of(pod: &Value) -> Self {
        let ip = text(pod, "/status/podIP");
        Self {
            name: json::name(pod).to_owned(),
            uid: json::uid(pod).to_owned(),
            ip: (!ip.is_empty()).then(|| ip.to_owned()),
            node: text(pod, "/spec/nodeName").to_owned(),
            image: text(pod, "/spec/containers/0/image").to_owned(),
            revision: revision_of(pod).to_owned(),
            ready: is_ready(pod),
            terminating: json::is_terminating(pod),
            restarts: unsigned(pod, "/status/containerStatuses/0/restartCount"),
            waiting: text(pod, "/status/containerStatuses/0/state/waiting/reason").to_owned(),
        }
    }
}

/// A workload as the API shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkloadView {
    /// Its name.
    pub name: String,
    /// The replicas that are asked for.
    pub replicas: u64,
    /// The replicas that are ready.
    pub ready: u64,
    /// Advances with every change of the spec.
    pub generation: u64,
    /// The number of a Deployment's revision; 0 for what has none.
    pub revision: u64,
    /// The image of its template's container.
    pub image: String,
}

impl WorkloadView {
    pub(super) fn of(object: &Value) -> Self {
        Self {
            name: json::name(object).to_owned(),
            replicas: unsigned(object, "/spec/replicas")
                .max(unsigned(object, "/status/desiredNumberScheduled")),
            ready: unsigned(object, "/status/readyReplicas")
                .max(unsigned(object, "/status/numberReady")),
            generation: unsigned(object, "/metadata/generation"),
            revision: revision_number(object),
            image: text(object, "/spec/template/spec/containers/0/image").to_owned(),
        }
    }
}

fn unsigned(object: &Value, pointer: &str) -> u64 {
    number(object, pointer).and_then(|value| u64::try_from(value).ok()).unwrap_or(0)
}

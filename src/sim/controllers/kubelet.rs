//! Runs the pods: gives each a node and an address of its own, runs its container, probes it, and
//! reports its state.

mod container;
mod diary;
mod ending;
mod probes;
mod report;

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::runtime::Handle;
use tokio::time::Instant;

use crate::sim::evidence::Evidence;
use crate::sim::faults::state::{Faults, PodFacts};
use crate::sim::kubernetes::events::record;
use crate::sim::kubernetes::json::{list, name, set, set_condition, text, uid};
use crate::sim::kubernetes::resource::{NODES, PODS};
use crate::sim::kubernetes::store::{Key, Store};
use crate::sim::labels::component_of;
use crate::sim::load::Load;
use crate::sim::logs::PodLogs;
use crate::sim::network::Network;
use crate::sim::pods::PodRequest;
use container::{Running, Stage};

use super::template::revision_of;

/// The node with this number, counted from one.
pub(in crate::sim) fn node_name(number: u32) -> String {
    format!("sim-node-{number}")
}

/// How long things take.
#[derive(Debug, Clone, Copy)]
pub(in crate::sim) struct Pace {
    /// From a pod's creation until its process is initialised.
    pub(in crate::sim) startup: Duration,
    /// From a pod's deletion until it is gone.
    pub(in crate::sim) termination: Duration,
    /// How long a container stays down after its second crash; doubles with each that follows.
    pub(in crate::sim) backoff: Duration,
}

/// The agent of all nodes.
pub(in crate::sim) struct Kubelet {
    pub(in crate::sim) store: Store,
    pub(in crate::sim) faults: Faults,
    pub(in crate::sim) load: Load,
    pub(in crate::sim) logs: PodLogs,
    pub(in crate::sim) requests: Evidence<PodRequest>,
    pub(in crate::sim) network: Network,
    pub(in crate::sim) world: Handle,
    pub(in crate::sim) pace: Pace,
    pub(in crate::sim) pods: BTreeMap<String, Running>,
}

impl Kubelet {
    /// Moves every pod one step on.
    pub(in crate::sim) fn reconcile(&mut self) {
        let (_, pods) = self.store.list(PODS, None);
        self.pods.retain(|known, _| pods.iter().any(|pod| uid(pod) == known));
        self.logs.retain(|known| pods.iter().any(|pod| uid(pod) == known));
        for pod in &pods {
            match self.pods.remove(uid(pod)) {
                Some(mut running) => {
                    if !self.faults.is_node_lost(&running.node) {
                        self.step(pod, &mut running);
                    }
                    self.pods.insert(uid(pod).to_owned(), running);
                }
                None => self.admit(pod),
            }
        }
    }

    fn admit(&mut self, pod: &Value) {
        let key = Key::of(PODS, pod);
        let now = self.store.now();
        let Some(node) = self.free_node() else {
            self.leave_pending(pod, &key);
            return;
        };
        let address = self.network.next_address().to_string();
        self.store.update(&key, |pod| {
            set(pod, &["spec", "nodeName"], node.clone());
            set(pod, &["status", "hostIP"], "127.0.0.1");
            set(pod, &["status", "startTime"], now.clone());
            let waiting = json!([{
                "name": text(pod, "/spec/containers/0/name"),
                "image": text(pod, "/spec/containers/0/image"), "imageID": "", "ready": false,
                "started": false, "restartCount": 0, "lastState": {},
                "state": {"waiting": {"reason": "ContainerCreating"}},
            }]);
            set(pod, &["status", "containerStatuses"], waiting);
            set_condition(pod, report::condition("PodScheduled", true, &now));
        });
        let message = format!("Successfully assigned {}/{} to {node}", key.namespace, key.name);
        record(&self.store, PODS, pod, false, "Scheduled", &message);
        let stage = Stage::Pulling { until: Instant::now() + self.pace.startup / 5 };
        self.pods.insert(uid(pod).to_owned(), Running::new(key, node, address, stage));
    }

    /// The node that has the fewest pods, of those that are heard of.
    fn free_node(&self) -> Option<String> {
        let (_, nodes) = self.store.list(NODES, None);
        let alive =
            nodes.iter().map(|node| name(node)).filter(|node| !self.faults.is_node_lost(node));
        let busy = |node: &str| self.pods.values().filter(|other| other.node == node).count();
        alive.min_by_key(|node| busy(node)).map(str::to_owned)
    }

    fn leave_pending(&self, pod: &Value, key: &Key) {
        let nodes = self.store.list(NODES, None).1.len();
        let message = format!(
            "0/{nodes} nodes are available: {nodes} node(s) had untolerated taint \
             {{node.kubernetes.io/unreachable: }}."
        );
        if list(pod, "/status/conditions").is_empty() {
            record(&self.store, PODS, pod, true, "FailedScheduling", &message);
        }
        let now = self.store.now();
        self.store.update(key, |pod| {
            let mut condition = report::condition("PodScheduled", false, &now);
            set(&mut condition, &["reason"], "Unschedulable");
            set(&mut condition, &["message"], message);
            set_condition(pod, condition);
        });
    }

    fn facts<'a>(pod: &'a Value, running: &'a Running) -> PodFacts<'a> {
        PodFacts {
            uid: uid(pod),
            component: component_of(pod).unwrap_or_default(),
            revision: revision_of(pod),
            image: text(pod, "/spec/containers/0/image"),
            node: &running.node,
            up_since: running.vitals.up_since(),
        }
    }
}

fn container_of(pod: &Value) -> &str {
    text(pod, "/spec/containers/0/name")
}

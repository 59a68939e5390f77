//! Notices nodes that are not heard of any more, and says so on them and on their pods.

use serde_json::{Value, json};

use crate::sim::faults::state::Faults;
use crate::sim::kubernetes::events::record;
use crate::sim::kubernetes::json::{condition, name, set, set_condition, text, unset};
use crate::sim::kubernetes::resource::{NODES, PODS};
use crate::sim::kubernetes::store::{Key, Store};

pub(super) fn reconcile(store: &Store, faults: &Faults) {
    for node in store.list(NODES, None).1 {
        let lost = faults.is_node_lost(name(&node));
        if lost == (condition(&node, "Ready") == "Unknown") {
            continue;
        }
        update_node(store, &node, lost);
        if lost {
            let (_, pods) = store.list(PODS, None);
            for pod in pods.iter().filter(|pod| text(pod, "/spec/nodeName") == name(&node)) {
                mark_not_ready(store, pod);
            }
        }
    }
}

fn update_node(store: &Store, node: &Value, lost: bool) {
    let now = store.now();
    store.update(&Key::of(NODES, node), |node| {
        let condition = if lost {
            let taints = json!([
                {"key": "node.kubernetes.io/unreachable", "effect": "NoSchedule", "timeAdded": now},
                {"key": "node.kubernetes.io/unreachable", "effect": "NoExecute", "timeAdded": now},
            ]);
            set(node, &["spec", "taints"], taints);
            json!({"type": "Ready", "status": "Unknown", "reason": "NodeStatusUnknown",
                "message": "Kubelet stopped posting node status.", "lastTransitionTime": now})
        } else {
            unset(node, &["spec", "taints"]);
            json!({"type": "Ready", "status": "True", "reason": "KubeletReady",
                "message": "kubelet is posting ready status", "lastTransitionTime": now})
        };
        set_condition(node, condition);
    });
}

fn mark_not_ready(store: &Store, pod: &Value) {
    let now = store.now();
    store.update(&Key::of(PODS, pod), |pod| {
        let condition = json!({"type": "Ready", "status": "False", "reason": "NodeNotReady",
            "lastTransitionTime": now, "lastProbeTime": null});
        set_condition(pod, condition);
    });
    record(store, PODS, pod, true, "NodeNotReady", "Node is not ready");
}

//! The one table of what falconer asks the Kubernetes API for. The manifests in `deploy/` and the
//! tests are compared with it.

/// One resource and what is done to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Access {
    /// The API group; empty for the core group.
    pub group: &'static str,
    /// The resource or `resource/subresource`.
    pub resource: &'static str,
    /// The verbs, as a Role spells them.
    pub verbs: &'static [&'static str],
    /// What for.
    pub why: &'static str,
}

const WATCH: &[&str] = &["list", "watch"];
const WORKLOAD: &[&str] = &["get", "list", "watch", "patch"];
const SCALE: &[&str] = &["get", "patch"];

/// Everything falconer ever asks for, all of it in the namespace of the Milvus cluster.
pub const ACCESS: &[Access] = &[
    Access { group: "", resource: "pods", verbs: WATCH, why: "find the pods of every component" },
    Access {
        group: "",
        resource: "pods",
        verbs: &["get"],
        why: "look whether a pod that was to be removed is gone",
    },
    Access {
        group: "",
        resource: "pods/eviction",
        verbs: &["create"],
        why: "remove one sick pod as far as disruption budgets allow",
    },
    Access {
        group: "",
        resource: "pods",
        verbs: &["delete"],
        why: "remove a pod that hangs in its deletion, where that is enabled",
    },
    Access {
        group: "",
        resource: "pods/log",
        verbs: &["get"],
        why: "keep the ends of the logs before a pod is removed",
    },
    Access {
        group: "",
        resource: "events",
        verbs: &["create"],
        why: "say on the workload what was done to it",
    },
    Access {
        group: "",
        resource: "events",
        verbs: &["list"],
        why: "keep the events of a pod before it is removed",
    },
    Access {
        group: "apps",
        resource: "deployments",
        verbs: WORKLOAD,
        why: "discover, restart and follow the rollout",
    },
    Access {
        group: "apps",
        resource: "statefulsets",
        verbs: WORKLOAD,
        why: "discover, restart and follow the rollout",
    },
    Access {
        group: "apps",
        resource: "daemonsets",
        verbs: WORKLOAD,
        why: "discover, restart and follow the rollout",
    },
    Access {
        group: "apps",
        resource: "replicasets",
        verbs: WATCH,
        why: "follow owner references from pod to Deployment, roll back to an earlier template",
    },
    Access {
        group: "apps",
        resource: "deployments/scale",
        verbs: SCALE,
        why: "read and set the number of replicas",
    },
    Access {
        group: "apps",
        resource: "statefulsets/scale",
        verbs: SCALE,
        why: "read and set the number of replicas",
    },
    Access {
        group: "autoscaling",
        resource: "horizontalpodautoscalers",
        verbs: WATCH,
        why: "never scale what an HPA scales",
    },
    Access {
        group: "milvus.io",
        resource: "milvuses",
        verbs: WATCH,
        why: "see what milvus-operator is doing; absent without it",
    },
    Access {
        group: "keda.sh",
        resource: "scaledobjects",
        verbs: WATCH,
        why: "never scale what KEDA scales; absent without it",
    },
    Access {
        group: "metrics.k8s.io",
        resource: "pods",
        verbs: &["list"],
        why: "CPU and memory of every pod",
    },
];

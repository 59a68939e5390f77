//! The one table of what falconer asks the Kubernetes API for, feature by feature. The manifests in
//! `deploy/` and the tests are compared with it.

/// What of falconer needs a right; a closed set. Each has a Role of its own in `deploy/base/access`,
/// which an installation that does not use it leaves out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Feature {
    /// Discovering and probing; everything else needs it too.
    Watch,
    /// `[recoverer]`: evicting, restarting, rolling back, and the evidence before that.
    Recovery,
    /// Removing pods that hang in their deletion, where that is enabled.
    ForceDelete,
    /// `[scaler]`.
    Scaling,
    /// The same where milvus-operator sets the replicas from its custom resource.
    OperatorScaling,
    /// `[leader_election]`.
    LeaderElection,
    /// What must survive a restart or a failover.
    State,
}

impl Feature {
    /// Every feature.
    pub const ALL: [Self; 7] = [
        Self::Watch,
        Self::Recovery,
        Self::ForceDelete,
        Self::Scaling,
        Self::OperatorScaling,
        Self::LeaderElection,
        Self::State,
    ];

    /// The name of its manifest in `deploy/base/access`, without `.yaml`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Watch => "watch",
            Self::Recovery => "recovery",
            Self::ForceDelete => "force-delete",
            Self::Scaling => "scaling",
            Self::OperatorScaling => "operator-scaling",
            Self::LeaderElection => "leader-election",
            Self::State => "state",
        }
    }
}

/// One resource and what is done to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Access {
    /// For what.
    pub feature: Feature,
    /// The API group; empty for the core group.
    pub group: &'static str,
    /// The resource or `resource/subresource`.
    pub resource: &'static str,
    /// Only the object of this name, as the settings have it by default; `None` = all.
    pub name: Option<&'static str>,
    /// The verbs, as a Role spells them.
    pub verbs: &'static [&'static str],
    /// Why.
    pub why: &'static str,
}

const WATCH: &[&str] = &["list", "watch"];
const CHANGE: &[&str] = &["get", "patch"];

const fn access(
    feature: Feature,
    group: &'static str,
    resource: &'static str,
    verbs: &'static [&'static str],
    why: &'static str,
) -> Access {
    Access { feature, group, resource, name: None, verbs, why }
}

const fn named(name: &'static str, access: Access) -> Access {
    Access { name: Some(name), ..access }
}

const DISCOVER: &str = "discover workloads and follow their rollouts";
const RESTART: &str = "restart or roll back, and follow the rollout";
const FOLLOW: &str = "read the number of replicas, follow what was scaled";
const REPLICAS: &str = "set the number of replicas";
const SAY: &str = "say on the workload what was done to it";

/// Everything falconer ever asks for, all of it in the namespace of the Milvus cluster, except for
/// what it keeps for itself, which is in its own.
pub const ACCESS: &[Access] = &{
    use Feature::{ForceDelete, LeaderElection, OperatorScaling, Recovery, Scaling, State, Watch};
    [
        access(Watch, "", "pods", WATCH, "find the pods of every component"),
        access(Watch, "apps", "deployments", WATCH, DISCOVER),
        access(Watch, "apps", "statefulsets", WATCH, DISCOVER),
        access(Watch, "apps", "daemonsets", WATCH, DISCOVER),
        access(Watch, "apps", "replicasets", WATCH, "follow owner references, know revisions"),
        access(Watch, "autoscaling", "horizontalpodautoscalers", WATCH, "see what an HPA scales"),
        access(
            Watch,
            "milvus.io",
            "milvuses",
            WATCH,
            "see what milvus-operator does; may be absent",
        ),
        access(Watch, "keda.sh", "scaledobjects", WATCH, "see what KEDA scales; may be absent"),
        access(Watch, "metrics.k8s.io", "pods", &["list"], "CPU and memory of every pod"),
        access(Recovery, "", "pods", &["get"], "look whether a pod is gone"),
        access(Recovery, "", "pods/eviction", &["create"], "remove a sick pod within its budget"),
        access(Recovery, "", "pods/log", &["get"], "keep the ends of the logs before that"),
        access(Recovery, "", "events", &["list"], "keep the events of a pod before that"),
        access(Recovery, "", "events", &["create"], SAY),
        access(Recovery, "apps", "deployments", CHANGE, RESTART),
        access(Recovery, "apps", "statefulsets", CHANGE, RESTART),
        access(Recovery, "apps", "daemonsets", CHANGE, RESTART),
        access(ForceDelete, "", "pods", &["delete"], "remove a pod that hangs in its deletion"),
        access(Scaling, "apps", "deployments/scale", &["patch"], REPLICAS),
        access(Scaling, "apps", "statefulsets/scale", &["patch"], REPLICAS),
        access(Scaling, "apps", "deployments", &["get"], FOLLOW),
        access(Scaling, "apps", "statefulsets", &["get"], FOLLOW),
        access(Scaling, "", "pods", &["patch"], "make the pod of an emptied query node go first"),
        access(Scaling, "", "events", &["create"], SAY),
        access(
            OperatorScaling,
            "milvus.io",
            "milvuses",
            CHANGE,
            "set a component's replicas there",
        ),
        access(LeaderElection, "coordination.k8s.io", "leases", &["create"], "elect a leader"),
        named(
            "falconer",
            access(
                LeaderElection,
                "coordination.k8s.io",
                "leases",
                &["get", "update"],
                "elect a leader",
            ),
        ),
        access(State, "", "configmaps", &["create"], "keep the state"),
        named("falconer-state", access(State, "", "configmaps", CHANGE, "keep the state")),
    ]
};

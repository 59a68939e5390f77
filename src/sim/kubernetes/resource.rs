//! Which resources the simulated API serves, in one table.

/// One resource as one API group and version shows it.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::sim) struct Resource {
    /// Where its objects are kept; two resources with the same storage are views of one store.
    pub(in crate::sim) storage: &'static str,
    /// Empty for the core group.
    pub(in crate::sim) group: &'static str,
    pub(in crate::sim) version: &'static str,
    pub(in crate::sim) plural: &'static str,
    pub(in crate::sim) singular: &'static str,
    pub(in crate::sim) kind: &'static str,
    pub(in crate::sim) namespaced: bool,
    pub(in crate::sim) short_names: &'static [&'static str],
    pub(in crate::sim) subresources: &'static [&'static str],
    /// Whether `kubectl get all` shows it.
    pub(in crate::sim) in_all: bool,
}

impl Resource {
    const fn new(
        group: &'static str,
        version: &'static str,
        plural: &'static str,
        singular: &'static str,
        kind: &'static str,
    ) -> Self {
        Self {
            storage: plural,
            group,
            version,
            plural,
            singular,
            kind,
            namespaced: true,
            short_names: &[],
            subresources: &[],
            in_all: false,
        }
    }

    const fn cluster_wide(mut self) -> Self {
        self.namespaced = false;
        self
    }

    const fn short(mut self, names: &'static [&'static str]) -> Self {
        self.short_names = names;
        self
    }

    const fn with(mut self, subresources: &'static [&'static str]) -> Self {
        self.subresources = subresources;
        self
    }

    const fn in_all(mut self) -> Self {
        self.in_all = true;
        self
    }

    const fn stored_as(mut self, storage: &'static str) -> Self {
        self.storage = storage;
        self
    }

    /// `v1`, or `apps/v1`.
    pub(in crate::sim) fn api_version(&self) -> String {
        if self.group.is_empty() {
            self.version.to_owned()
        } else {
            format!("{}/{}", self.group, self.version)
        }
    }

    /// `deployments.apps`, as messages name it.
    pub(in crate::sim) fn qualified(&self) -> String {
        if self.group.is_empty() {
            self.plural.to_owned()
        } else {
            format!("{}.{}", self.plural, self.group)
        }
    }

    /// Whether a PUT must say which version of the object it replaces.
    pub(in crate::sim) fn demands_version(&self) -> bool {
        matches!(self.storage, LEASES | BUDGETS | MILVUSES)
    }

    /// Whether a PUT makes the object where there is none.
    pub(in crate::sim) fn is_created_by_update(&self) -> bool {
        matches!(self.storage, LEASES | EVENTS)
    }

    /// The fields that a field selector may name.
    pub(in crate::sim) fn selectable_fields(&self) -> &'static [&'static str] {
        match self.storage {
            PODS => &[
                "metadata.name",
                "metadata.namespace",
                "spec.nodeName",
                "spec.restartPolicy",
                "spec.schedulerName",
                "spec.serviceAccountName",
                "status.phase",
                "status.podIP",
                "status.nominatedNodeName",
            ],
            EVENTS => &[
                "metadata.name",
                "metadata.namespace",
                "involvedObject.kind",
                "involvedObject.namespace",
                "involvedObject.name",
                "involvedObject.uid",
                "involvedObject.apiVersion",
                "involvedObject.resourceVersion",
                "involvedObject.fieldPath",
                "reason",
                "reportingComponent",
                "source",
                "type",
            ],
            NODES => &["metadata.name", "spec.unschedulable"],
            NAMESPACES => &["metadata.name", "status.phase"],
            REPLICA_SETS => &["metadata.name", "metadata.namespace", "status.replicas"],
            _ => &["metadata.name", "metadata.namespace"],
        }
    }

    /// The CustomResourceDefinition that must be there for it to be served; `None` for what the API
    /// server knows by itself.
    pub(in crate::sim) fn definition(&self) -> Option<String> {
        matches!(self.storage, MILVUSES | SCALED_OBJECTS).then(|| self.qualified())
    }

    /// Whether its objects are computed when asked for, not stored.
    pub(in crate::sim) fn is_virtual(&self) -> bool {
        self.group == METRICS_GROUP
    }
}

/// The group of the metrics server.
pub(in crate::sim) const METRICS_GROUP: &str = "metrics.k8s.io";

/// Storages of the kinds that controllers deal with.
pub(in crate::sim) const PODS: &str = "pods";
pub(in crate::sim) const NODES: &str = "nodes";
pub(in crate::sim) const NAMESPACES: &str = "namespaces";
pub(in crate::sim) const EVENTS: &str = "events";
pub(in crate::sim) const SERVICES: &str = "services";
pub(in crate::sim) const DEPLOYMENTS: &str = "deployments";
pub(in crate::sim) const REPLICA_SETS: &str = "replicasets";
pub(in crate::sim) const STATEFUL_SETS: &str = "statefulsets";
pub(in crate::sim) const DAEMON_SETS: &str = "daemonsets";
pub(in crate::sim) const MILVUSES: &str = "milvuses";
pub(in crate::sim) const AUTOSCALERS: &str = "horizontalpodautoscalers";
pub(in crate::sim) const SCALED_OBJECTS: &str = "scaledobjects";
pub(in crate::sim) const BUDGETS: &str = "poddisruptionbudgets";
pub(in crate::sim) const CONFIG_MAPS: &str = "configmaps";
pub(in crate::sim) const LEASES: &str = "leases";
pub(in crate::sim) const REVISIONS: &str = "controllerrevisions";
pub(in crate::sim) const CRDS: &str = "customresourcedefinitions";

const SCALABLE: &[&str] = &["status", "scale"];
const STATUS: &[&str] = &["status"];

/// Everything that is served.
pub(in crate::sim) const RESOURCES: &[Resource] = &[
    Resource::new("", "v1", NAMESPACES, "namespace", "Namespace").cluster_wide().short(&["ns"]),
    Resource::new("", "v1", NODES, "node", "Node").cluster_wide().short(&["no"]),
    Resource::new("", "v1", PODS, "pod", "Pod")
        .short(&["po"])
        .with(&["status", "eviction", "log"])
        .in_all(),
    Resource::new("", "v1", SERVICES, "service", "Service").short(&["svc"]).in_all(),
    Resource::new("", "v1", EVENTS, "event", "Event").short(&["ev"]),
    Resource::new("", "v1", CONFIG_MAPS, "configmap", "ConfigMap").short(&["cm"]),
    Resource::new("", "v1", "secrets", "secret", "Secret"),
    Resource::new("apps", "v1", DEPLOYMENTS, "deployment", "Deployment")
        .short(&["deploy"])
        .with(SCALABLE)
        .in_all(),
    Resource::new("apps", "v1", REPLICA_SETS, "replicaset", "ReplicaSet")
        .short(&["rs"])
        .with(SCALABLE)
        .in_all(),
    Resource::new("apps", "v1", STATEFUL_SETS, "statefulset", "StatefulSet")
        .short(&["sts"])
        .with(SCALABLE)
        .in_all(),
    Resource::new("apps", "v1", DAEMON_SETS, "daemonset", "DaemonSet")
        .short(&["ds"])
        .with(STATUS)
        .in_all(),
    Resource::new("apps", "v1", REVISIONS, "controllerrevision", "ControllerRevision"),
    Resource::new(
        "autoscaling",
        "v2",
        AUTOSCALERS,
        "horizontalpodautoscaler",
        "HorizontalPodAutoscaler",
    )
    .short(&["hpa"])
    .with(STATUS)
    .in_all(),
    Resource::new("events.k8s.io", "v1", EVENTS, "event", "Event").short(&["ev"]),
    Resource::new("coordination.k8s.io", "v1", LEASES, "lease", "Lease"),
    Resource::new("policy", "v1", BUDGETS, "poddisruptionbudget", "PodDisruptionBudget")
        .short(&["pdb"])
        .with(STATUS),
    Resource::new(
        "apiextensions.k8s.io",
        "v1",
        CRDS,
        "customresourcedefinition",
        "CustomResourceDefinition",
    )
    .cluster_wide()
    .short(&["crd"]),
    Resource::new("milvus.io", "v1beta1", MILVUSES, "milvus", "Milvus").short(&["mi"]).with(STATUS),
    Resource::new("keda.sh", "v1alpha1", SCALED_OBJECTS, "scaledobject", "ScaledObject")
        .short(&["so"])
        .with(STATUS),
    Resource::new(METRICS_GROUP, "v1beta1", PODS, "", "PodMetrics").stored_as("podmetrics"),
    Resource::new(METRICS_GROUP, "v1beta1", NODES, "", "NodeMetrics")
        .cluster_wide()
        .stored_as("nodemetrics"),
];

/// The resource of this group, version and plural name.
pub(in crate::sim) fn find(group: &str, version: &str, plural: &str) -> Option<&'static Resource> {
    RESOURCES
        .iter()
        .find(|entry| entry.group == group && entry.version == version && entry.plural == plural)
}

/// The resource whose objects are kept under `storage`, in its first version.
pub(in crate::sim) fn stored(storage: &str) -> Option<&'static Resource> {
    RESOURCES.iter().find(|entry| entry.storage == storage)
}

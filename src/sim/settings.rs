//! What a simulation consists of.

use std::time::Duration;

use crate::model::{Role, WorkloadKind};

/// By whose conventions workloads and pods are labelled and named.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Layout {
    /// As the Helm chart does it: `component=querynode`.
    #[default]
    Helm,
    /// As milvus-operator does it, with a Milvus resource that owns the Deployments.
    Operator,
    /// As the reference expects it: `app=milvus-querynode`.
    Reference,
}

/// One component of the simulated cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ComponentSettings {
    /// Which.
    pub role: Role,
    /// How many pods at first.
    pub replicas: u32,
    /// What runs it; a process is not possible here and becomes a Deployment.
    pub kind: WorkloadKind,
    /// Requested CPU, thousandths of a core.
    pub cpu_request_milli: u64,
    /// CPU limit, thousandths of a core.
    pub cpu_limit_milli: u64,
    /// Requested memory, bytes.
    pub memory_request_bytes: u64,
    /// Memory limit, bytes.
    pub memory_limit_bytes: u64,
    /// The CPU that the component needs in all at normal load, thousandths of a core.
    pub load_cpu_milli: u64,
    /// The memory that each pod uses, bytes.
    pub memory_bytes: u64,
}

impl ComponentSettings {
    /// A Deployment of a usual size.
    pub fn of(role: Role, replicas: u32) -> Self {
        let gibibyte = 1 << 30;
        Self {
            role,
            replicas,
            kind: WorkloadKind::Deployment,
            cpu_request_milli: 1_000,
            cpu_limit_milli: 2_000,
            memory_request_bytes: 2 * gibibyte,
            memory_limit_bytes: 4 * gibibyte,
            // Between the bounds at which a scaler would act: half of the request of each pod.
            load_cpu_milli: 500 * u64::from(replicas),
            memory_bytes: gibibyte + gibibyte / 5,
        }
    }
}

/// A collection that the simulated Milvus serves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CollectionSettings {
    /// Its name.
    pub name: String,
    /// How many rows `count(*)` finds.
    pub rows: u64,
}

/// Everything about a simulation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SimSettings {
    /// The namespace of the cluster.
    pub namespace: String,
    /// The release (Helm) or the name of the Milvus resource (operator).
    pub instance: String,
    /// Labels and names.
    pub layout: Layout,
    /// What it consists of.
    pub components: Vec<ComponentSettings>,
    /// The port of every pod's /healthz and /metrics. `None`: 9091 where it can be had, else a
    /// free one; `Some(0)`: any free one.
    pub metrics_port: Option<u16>,
    /// From a pod's creation until it is ready.
    pub startup: Duration,
    /// From a pod's deletion until it is gone.
    pub termination: Duration,
    /// How many changes the Kubernetes API remembers for watches.
    pub history: usize,
    /// What Milvus says of itself.
    pub milvus_version: String,
    /// User and password; `Some` makes the login a condition of every call.
    pub milvus_credentials: Option<(String, String)>,
    /// What Milvus holds.
    pub collections: Vec<CollectionSettings>,
}

impl Default for SimSettings {
    fn default() -> Self {
        let collection = |name: &str, rows| CollectionSettings { name: name.to_owned(), rows };
        Self {
            namespace: "milvus-ha".to_owned(),
            instance: "milvus".to_owned(),
            layout: Layout::Helm,
            components: vec![
                ComponentSettings::of(Role::Proxy, 2),
                ComponentSettings::of(Role::RootCoord, 1),
                ComponentSettings::of(Role::QueryCoord, 1),
                ComponentSettings::of(Role::DataCoord, 1),
                ComponentSettings::of(Role::QueryNode, 3),
                ComponentSettings::of(Role::DataNode, 2),
                ComponentSettings::of(Role::IndexNode, 1),
            ],
            metrics_port: None,
            startup: Duration::from_millis(1_500),
            termination: Duration::from_millis(300),
            history: 5_000,
            milvus_version: "2.3.5".to_owned(),
            milvus_credentials: None,
            collections: vec![collection("products", 10_000), collection("articles", 5_000)],
        }
    }
}

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

/// How many Deployments milvus-operator makes for a component.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum RollingMode {
    /// One.
    #[default]
    One,
    /// Two for the query nodes, of which one has pods; the operator's own default.
    TwoForQueryNode,
    /// Two for every component.
    TwoForAll,
}

impl RollingMode {
    /// Whether the component has two Deployments.
    pub(super) fn is_double(self, role: Role) -> bool {
        match self {
            Self::One => false,
            Self::TwoForQueryNode => role == Role::QueryNode,
            Self::TwoForAll => true,
        }
    }

    /// The number by which the operator knows it.
    pub(super) fn number(self) -> u32 {
        match self {
            Self::One => 1,
            Self::TwoForQueryNode => 2,
            Self::TwoForAll => 3,
        }
    }
}

/// The times of one of the kubelet's probes, in seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProbeTimes {
    /// Before the first one.
    pub initial_delay: u32,
    /// Between two.
    pub period: u32,
    /// After how many failures in a row it is acted upon.
    pub failures: u32,
}

impl ProbeTimes {
    const fn new(initial_delay: u32, period: u32, failures: u32) -> Self {
        Self { initial_delay, period, failures }
    }
}

/// How the kubelet probes every container.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Probing {
    /// Whether the port accepts connections; until it does the others wait.
    pub startup: Option<ProbeTimes>,
    /// Whether the port accepts connections; if not the container is started again.
    pub liveness: ProbeTimes,
    /// Whether /healthz answers 200; if not the pod is not ready. The initial delay is only
    /// shown: the simulated Milvus is ready sooner than a real one.
    pub readiness: ProbeTimes,
}

impl Probing {
    /// As the Helm chart has it.
    pub const HELM: Self = Self {
        startup: None,
        liveness: ProbeTimes::new(90, 30, 5),
        readiness: ProbeTimes::new(90, 10, 5),
    };
    /// As milvus-operator has it.
    pub const OPERATOR: Self = Self {
        startup: Some(ProbeTimes::new(0, 10, 18)),
        liveness: ProbeTimes::new(0, 15, 3),
        readiness: ProbeTimes::new(0, 15, 2),
    };
    /// As quick as Kubernetes allows, for what must be seen soon.
    pub const QUICK: Self = Self {
        startup: None,
        liveness: ProbeTimes::new(0, 1, 3),
        readiness: ProbeTimes::new(0, 1, 2),
    };
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

/// The data that the simulated query nodes hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DataSettings {
    /// Sealed segments of each collection.
    pub segments: u32,
    /// What one of them takes of a node's memory, in bytes.
    pub segment_bytes: u64,
    /// In how many copies each collection is held.
    pub replicas: u32,
    /// What a query node needs without any, in bytes.
    pub base_bytes: u64,
    /// How long it takes to load one; a node loads one after the other.
    pub load_time: Duration,
    /// The status of all management pages; `None`: they work.
    pub management_status: Option<u16>,
    /// How long a node is gone that has run out of memory.
    pub restart_time: Duration,
}

impl Default for DataSettings {
    fn default() -> Self {
        Self {
            segments: 12,
            segment_bytes: 128 << 20,
            replicas: 1,
            base_bytes: 256 << 20,
            load_time: Duration::from_millis(150),
            management_status: None,
            restart_time: Duration::from_secs(3),
        }
    }
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
    /// What milvus-operator does; only with [`Layout::Operator`].
    pub rolling_mode: RollingMode,
    /// What it consists of.
    pub components: Vec<ComponentSettings>,
    /// How many nodes there are.
    pub nodes: u32,
    /// At how many ports the Kubernetes API is served; each can be cut off from its clients.
    pub api_doors: usize,
    /// How the kubelet probes; `None`: as the layout has it.
    pub probing: Option<Probing>,
    /// The grace period of the pods, in seconds. `None`: as the layout has it, which with
    /// milvus-operator is 30 days.
    pub grace_seconds: Option<u32>,
    /// After how long without progress a Deployment says so, in seconds. `None`: as the layout
    /// has it, which with milvus-operator is 30 days.
    pub progress_deadline_seconds: Option<u32>,
    /// How long a pod must be ready to count as available, in seconds.
    pub min_ready_seconds: u32,
    /// How long a container stays down after its second crash; doubles with each that follows.
    pub crash_backoff: Duration,
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
    /// What of it the query nodes hold, segment by segment; `None`: every query is answered as long
    /// as there is a proxy.
    pub data: Option<DataSettings>,
}

/// 30 days, in seconds: what milvus-operator writes where it means never.
const NEVER: u32 = 2_592_000;

impl SimSettings {
    /// How the kubelet probes.
    pub fn probing(&self) -> Probing {
        self.probing.unwrap_or(match self.layout {
            Layout::Helm | Layout::Reference => Probing::HELM,
            Layout::Operator => Probing::OPERATOR,
        })
    }

    /// The grace period of the pods, in seconds.
    pub fn grace_seconds(&self) -> u32 {
        self.grace_seconds.unwrap_or(match self.layout {
            Layout::Helm | Layout::Reference => 30,
            Layout::Operator => NEVER,
        })
    }

    /// After how long without progress a Deployment says so, in seconds.
    pub fn progress_deadline_seconds(&self) -> u32 {
        self.progress_deadline_seconds.unwrap_or(match self.layout {
            Layout::Helm | Layout::Reference => 600,
            Layout::Operator => NEVER,
        })
    }

    /// Whether a component has two Deployments.
    pub(super) fn is_double(&self, component: &ComponentSettings) -> bool {
        self.layout == Layout::Operator
            && component.kind == WorkloadKind::Deployment
            && self.rolling_mode.is_double(component.role)
    }
}

impl Default for SimSettings {
    fn default() -> Self {
        let collection = |name: &str, rows| CollectionSettings { name: name.to_owned(), rows };
        Self {
            namespace: "milvus-ha".to_owned(),
            instance: "milvus".to_owned(),
            layout: Layout::Helm,
            rolling_mode: RollingMode::One,
            components: vec![
                ComponentSettings::of(Role::Proxy, 2),
                ComponentSettings::of(Role::RootCoord, 1),
                ComponentSettings::of(Role::QueryCoord, 1),
                ComponentSettings::of(Role::DataCoord, 1),
                ComponentSettings::of(Role::QueryNode, 3),
                ComponentSettings::of(Role::DataNode, 2),
                ComponentSettings::of(Role::IndexNode, 1),
            ],
            nodes: 1,
            api_doors: 1,
            probing: None,
            grace_seconds: None,
            progress_deadline_seconds: None,
            min_ready_seconds: 0,
            crash_backoff: Duration::from_secs(2),
            metrics_port: None,
            startup: Duration::from_millis(1_500),
            termination: Duration::from_millis(300),
            history: 5_000,
            milvus_version: "2.3.5".to_owned(),
            milvus_credentials: None,
            collections: vec![collection("products", 10_000), collection("articles", 5_000)],
            data: None,
        }
    }
}

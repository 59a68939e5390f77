//! Says how each component of a cluster is watched: which probe, how often, with which thresholds.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use crate::actors::common::Common;
use crate::actors::prober::ProberSettings;
use crate::actors::supervisor::{ComponentPlan, Planner};
use crate::app::mapping::given;
use crate::app::platform::ClusterPlatform;
use crate::app::probes::{OnPlatform, ProbeSpec, Probes};
use crate::clock::Clock;
use crate::config::Settings;
use crate::config::settings::{
    self, AuthSettings, ClusterSettings, Components, ConnectionMode, Platform,
};
use crate::effects::Probe;
use crate::effects::grpc::GrpcEndpoint;
use crate::effects::milvus::credentials::Credentials;
use crate::effects::milvus::query_nodes::QueryNodesSettings;
use crate::effects::probe::{
    Connection, GrpcProbeSettings, HttpProbeSettings, MilvusProbeSettings, PodsProbeSettings,
    ProcessProbeSettings, TcpProbeSettings,
};
use crate::model::ProberKind;
use crate::policy::flapping::FlapSettings;
use crate::policy::health::HealthSettings;

/// The prober of the whole service over gRPC; always there.
const SERVICE: &str = "milvus";
/// The prober of the Kubernetes API.
const PLATFORM: &str = "kubernetes";
/// The prober of CPU and memory.
const RESOURCES: &str = "resources";

/// Plans one cluster.
pub struct ClusterPlanner {
    name: Arc<str>,
    settings: Arc<Settings>,
    cluster: ClusterSettings,
    platform: ClusterPlatform,
    probes: Probes,
    schedules: Mutex<Common<ProberSettings>>,
    clock: Clock,
}

impl ClusterPlanner {
    /// The planner of the cluster `name` on its started platform.
    pub fn new(
        name: Arc<str>,
        settings: Arc<Settings>,
        cluster: ClusterSettings,
        platform: ClusterPlatform,
        clock: Clock,
    ) -> Self {
        let (probes, schedules) = (Probes::default(), Mutex::default());
        Self { name, settings, cluster, platform, probes, schedules, clock }
    }

    /// The same with the probes that are there already.
    pub fn with_probes(self, probes: Probes) -> Self {
        Self { probes, ..self }
    }

    fn probe(&self, component: &str, kind: ProberKind, spec: ProbeSpec) -> ComponentPlan {
        let component = Arc::from(component);
        let probe = self.probes.get(&component, spec, self.clock);
        self.plan(component, kind, probe)
    }

    fn schedule(&self, prober: &settings::ProberSettings) -> Arc<ProberSettings> {
        let wanted = ProberSettings {
            interval: prober.interval.get(),
            timeout: prober.timeout.get(),
            jitter: prober.jitter,
            mailbox: prober.mailbox,
            respawn: prober.respawn.to_policy(&prober.backoff),
        };
        self.schedules.lock().unwrap_or_else(PoisonError::into_inner).share(wanted)
    }

    fn on_platform(&self) -> OnPlatform {
        OnPlatform(Arc::clone(&self.platform.cluster))
    }

    fn plan(&self, component: Arc<str>, kind: ProberKind, probe: Arc<dyn Probe>) -> ComponentPlan {
        let prober = self.settings.prober(&component);
        ComponentPlan {
            component,
            kind,
            prober: self.schedule(&prober),
            health: HealthSettings {
                failure_threshold: prober.failure_threshold,
                success_threshold: prober.success_threshold,
                startup_grace: self.settings.supervisor.startup_grace.get(),
                flapping: FlapSettings {
                    window: self.settings.supervisor.flap_window.get(),
                    threshold: self.settings.supervisor.flap_threshold,
                },
            },
            probe,
        }
    }

    /// A prober of the table `[probers]` that is not a Milvus component; `None` for one that only
    /// overrides how a component is probed.
    fn dependency(&self, name: &str, prober: &settings::ProberSettings) -> Option<ComponentPlan> {
        let kind = prober.kind?;
        let connection = connection(prober.connection);
        let spec = match kind {
            ProberKind::Http => ProbeSpec::Http(Arc::new(HttpProbeSettings {
                expected_status: prober.expect.status,
                body_contains: Some(prober.expect.body_contains.clone())
                    .filter(|text| !text.is_empty()),
                connection,
                ..HttpProbeSettings::new(prober.url.as_str())
            })),
            ProberKind::Tcp => ProbeSpec::Tcp(TcpProbeSettings { address: prober.address.clone() }),
            ProberKind::Grpc => ProbeSpec::Grpc(Box::new(grpc(prober))),
            ProberKind::Milvus => self.service(name, prober),
            // These belong to what the platform runs and are planned with it.
            ProberKind::Pods
            | ProberKind::Process
            | ProberKind::Resources
            | ProberKind::Platform => return None,
        };
        Some(self.probe(name, kind, spec))
    }

    fn service(&self, name: &str, prober: &settings::ProberSettings) -> ProbeSpec {
        let auth = &self.cluster.auth;
        let endpoint = if prober.url.is_empty() { &self.cluster.milvus } else { &prober.url };
        tracing::debug!(cluster = %self.name, prober = name, endpoint, "planning service prober");
        ProbeSpec::Milvus(Box::new(MilvusProbeSettings {
            endpoint: self::endpoint(endpoint.clone(), auth),
            credentials: credentials(auth),
            database: self.cluster.database.clone(),
            canary_collections: prober.canary_collections.clone(),
            connection: connection(prober.connection),
            clock: self.clock,
        }))
    }

    /// Whether a prober of the table belongs to this cluster.
    fn is_ours(&self, name: &str, prober: &settings::ProberSettings) -> bool {
        let names_it = |cluster: &ClusterSettings| cluster.depends_on.iter().any(|d| d == name);
        if !prober.cluster.is_empty() {
            return prober.cluster == *self.name;
        }
        names_it(&self.cluster) || !self.settings.clusters.values().any(names_it)
    }

    fn workload_plans(&self) -> Vec<ComponentPlan> {
        match self.cluster.platform {
            Platform::Process => self
                .cluster
                .processes
                .iter()
                .map(|(name, p)| self.process(name, &p.health))
                .collect(),
            Platform::Kubernetes => match &self.cluster.components {
                Components::Auto => Vec::new(),
                Components::List(names) => names.iter().map(|name| self.pods(name)).collect(),
            },
        }
    }

    fn pods(&self, component: &str) -> ComponentPlan {
        let prober = self.settings.prober(component);
        let settings = PodsProbeSettings {
            component: component.into(),
            metrics_port: self.cluster.metrics_port,
            connection: connection(prober.connection),
            startup_grace: self.settings.supervisor.startup_grace.get(),
            hung_pod_after: self.settings.supervisor.hung_pod_after.get(),
        };
        self.probe(
            component,
            ProberKind::Pods,
            ProbeSpec::Pods(Box::new(settings), self.on_platform()),
        )
    }

    fn process(&self, component: &str, health: &str) -> ComponentPlan {
        let prober = self.settings.prober(component);
        let settings = ProcessProbeSettings {
            connection: connection(prober.connection),
            ..ProcessProbeSettings::new(component, health)
        };
        self.probe(
            component,
            ProberKind::Process,
            ProbeSpec::Process(Box::new(settings), self.on_platform()),
        )
    }
}

impl Planner for ClusterPlanner {
    fn fixed(&self) -> Vec<ComponentPlan> {
        let mut plans: BTreeMap<Arc<str>, ComponentPlan> = BTreeMap::new();
        let mut add = |plan: ComponentPlan| {
            plans.insert(Arc::clone(&plan.component), plan);
        };
        let service = self.service(SERVICE, &self.settings.prober(SERVICE));
        add(self.probe(SERVICE, ProberKind::Milvus, service));
        let resources = Arc::clone(&self.platform.resources);
        add(self.plan(RESOURCES.into(), ProberKind::Resources, resources));
        if self.cluster.platform == Platform::Kubernetes {
            let spec = ProbeSpec::Platform(self.on_platform());
            add(self.probe(PLATFORM, ProberKind::Platform, spec));
        }
        self.workload_plans().into_iter().for_each(&mut add);
        for (name, prober) in &self.settings.probers.components {
            if self.is_ours(name, prober)
                && let Some(plan) = self.dependency(name, prober)
            {
                add(plan);
            }
        }
        plans.into_values().collect()
    }

    fn discovered(&self, component: &Arc<str>) -> Option<ComponentPlan> {
        match (self.cluster.platform, &self.cluster.components) {
            (Platform::Kubernetes, Components::Auto) => Some(self.pods(component)),
            (Platform::Kubernetes, Components::List(_)) | (Platform::Process, _) => None,
        }
    }
}

/// Whom to ask about the query nodes of a cluster.
pub fn query_nodes_settings(cluster: &ClusterSettings) -> QueryNodesSettings {
    QueryNodesSettings {
        endpoint: endpoint(cluster.milvus.clone(), &cluster.auth),
        credentials: credentials(&cluster.auth),
        metrics_port: cluster.metrics_port,
    }
}

fn endpoint(url: String, auth: &AuthSettings) -> GrpcEndpoint {
    GrpcEndpoint {
        url,
        ca_file: given(&auth.tls_ca_file),
        server_name: Some(auth.tls_server_name.clone()).filter(|name| !name.is_empty()),
    }
}

fn connection(mode: ConnectionMode) -> Connection {
    match mode {
        ConnectionMode::Fresh => Connection::Fresh,
        ConnectionMode::Reuse => Connection::Reuse,
    }
}

/// A bare `host:port` is plain text; a URL says what it is.
fn grpc(prober: &settings::ProberSettings) -> GrpcProbeSettings {
    let given = if prober.url.is_empty() { &prober.address } else { &prober.url };
    let url = if given.contains("://") { given.clone() } else { format!("http://{given}") };
    GrpcProbeSettings {
        endpoint: GrpcEndpoint { url, ..GrpcEndpoint::default() },
        service: String::new(),
    }
}

fn credentials(auth: &AuthSettings) -> Credentials {
    if auth.token_file.is_set() {
        Credentials::Token(auth.token_file.clone())
    } else if auth.username.is_empty() {
        Credentials::None
    } else {
        let password = auth.password_file.clone();
        Credentials::Password { user: auth.username.clone(), password }
    }
}

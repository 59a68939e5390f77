//! The simulation as a whole: starts everything, injects faults, shows what is there.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use serde_json::Value;
use tokio::net::TcpListener;
use tonic::transport::server::TcpIncoming;

use super::controllers::kubelet::Kubelet;
use super::controllers::template::{is_ready, revision_of};
use super::evidence::Evidence;
use super::faults::{Fault, Faults};
use super::kubernetes::json::{self, number, text};
use super::kubernetes::resource::{DAEMON_SETS, DEPLOYMENTS, PODS, STATEFUL_SETS};
use super::kubernetes::server::{Api, ApiRequest, handle};
use super::kubernetes::store::Store;
use super::labels::component_of;
use super::load::Load;
use super::network::Network;
use super::pods::PodRequest;
use super::settings::SimSettings;
use super::smtp::{SmtpSettings, SmtpSink};
use super::webhook::WebhookSink;
use super::world::{FREE_LOOPBACK, World, listen};
use super::{controllers, dependency, milvus, seed};
use crate::clock::Clock;
use crate::effects::milvus::proto::milvus::milvus_service_server::MilvusServiceServer;

/// How many requests the logs keep.
const KEPT_REQUESTS: usize = 20_000;
/// How often waiting looks again.
const LOOK_INTERVAL: Duration = Duration::from_millis(20);

/// Why a simulation cannot start, or a fault cannot be injected.
#[derive(Debug, thiserror::Error)]
pub enum SimError {
    /// No thread or no port.
    #[error("the simulated {part} cannot start: {source}")]
    Start {
        /// Of what.
        part: &'static str,
        /// The operating system's words.
        source: io::Error,
    },
    /// The fault is for something that is not there.
    #[error("there is no {0} to inject a fault into")]
    NoTarget(String),
}

/// A pod as the API shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PodView {
    /// Its name.
    pub name: String,
    /// Its uid.
    pub uid: String,
    /// Its address, once it has one.
    pub ip: Option<String>,
    /// The revision of the template that it was made from.
    pub revision: String,
    /// Ready and not on its way out.
    pub ready: bool,
    /// On its way out.
    pub terminating: bool,
    /// How often its container was started again.
    pub restarts: u64,
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
}

/// A running simulation. Ends when dropped.
#[derive(Debug)]
pub struct Simulation {
    settings: SimSettings,
    clock: Clock,
    store: Store,
    faults: Faults,
    load: Load,
    api: SocketAddr,
    milvus: SocketAddr,
    dependency: SocketAddr,
    metrics_port: u16,
    requests: Evidence<ApiRequest>,
    pod_requests: Evidence<PodRequest>,
    smtp: SmtpSink,
    webhook: WebhookSink,
    _world: World,
}

impl Simulation {
    /// Starts everything on a thread of its own. Pods need their startup time to become ready.
    ///
    /// # Errors
    /// When the operating system gives no thread, or lets nobody listen on 127.0.0.0/8.
    pub fn start(settings: SimSettings) -> Result<Self, SimError> {
        let failed = |part| move |source| SimError::Start { part, source };
        let clock = Clock::system();
        let world = World::start("simulation").map_err(failed("world"))?;
        let network = Network::new(settings.metrics_port).map_err(failed("pod network"))?;
        let metrics_port = network.port();
        let store = Store::new(clock, settings.history);
        let faults = Faults::default();
        let load = Load::new(&settings.components);
        let (requests, pod_requests) = (Evidence::new(KEPT_REQUESTS), Evidence::new(KEPT_REQUESTS));
        seed::plant(&store, &settings, metrics_port);

        let api = Api {
            store: store.clone(),
            requests: requests.clone(),
            faults: faults.clone(),
            load: load.clone(),
        };
        let api = Router::new().fallback(handle).with_state(Arc::new(api));
        let api = serve_http(&world, api).map_err(failed("Kubernetes API"))?;
        let dependency =
            serve_http(&world, dependency::router(faults.clone())).map_err(failed("dependency"))?;
        let proxy = milvus::Proxy {
            settings: settings.clone(),
            faults: faults.clone(),
            store: store.clone(),
        };
        let milvus = serve_milvus(&world, proxy).map_err(failed("Milvus"))?;
        let smtp = SmtpSink::start_in(&world, clock, SmtpSettings::default());
        let smtp = smtp.map_err(failed("mail sink"))?;
        let webhook = WebhookSink::start_in(&world, clock).map_err(failed("webhook sink"))?;
        let kubelet = Kubelet {
            store: store.clone(),
            faults: faults.clone(),
            load: load.clone(),
            requests: pod_requests.clone(),
            network,
            world: world.handle(),
            startup: settings.startup,
            termination: settings.termination,
            pods: BTreeMap::new(),
        };
        world.spawn(controllers::run(store.clone(), kubelet));
        Ok(Self {
            settings,
            clock,
            store,
            faults,
            load,
            api,
            milvus,
            dependency,
            metrics_port,
            requests,
            pod_requests,
            smtp,
            webhook,
            _world: world,
        })
    }

    /// What it was started with.
    pub fn settings(&self) -> &SimSettings {
        &self.settings
    }

    /// The clock by which all evidence is dated.
    pub fn clock(&self) -> Clock {
        self.clock
    }

    /// The Kubernetes API.
    pub fn api_url(&self) -> String {
        format!("http://{}", self.api)
    }

    /// The gRPC service of Milvus.
    pub fn milvus_url(&self) -> String {
        format!("http://{}", self.milvus)
    }

    /// The health page of what Milvus depends on.
    pub fn dependency_url(&self) -> String {
        format!("http://{}/health", self.dependency)
    }

    /// The port of every pod's /healthz and /metrics.
    pub fn metrics_port(&self) -> u16 {
        self.metrics_port
    }

    /// A kubeconfig with which kubectl and any client reach the API.
    pub fn kubeconfig(&self) -> String {
        format!(
            "apiVersion: v1\nkind: Config\ncurrent-context: sim\n\
             clusters:\n- name: sim\n  cluster:\n    server: {}\n\
             users:\n- name: sim\n  user: {{}}\n\
             contexts:\n- name: sim\n  context:\n    cluster: sim\n    user: sim\n    namespace: {}\n",
            self.api_url(),
            self.settings.namespace
        )
    }

    /// What the Kubernetes API was asked.
    pub fn api_requests(&self) -> &Evidence<ApiRequest> {
        &self.requests
    }

    /// What the pods were asked.
    pub fn pod_requests(&self) -> &Evidence<PodRequest> {
        &self.pod_requests
    }

    /// Where mail goes.
    pub fn smtp(&self) -> &SmtpSink {
        &self.smtp
    }

    /// Where webhooks go.
    pub fn webhook(&self) -> &WebhookSink {
        &self.webhook
    }

    /// The pods of a component, in the order of their names.
    pub fn pods(&self, component: &str) -> Vec<PodView> {
        let (_, pods) = self.store.list(PODS, Some(&self.settings.namespace));
        let pods = pods.iter().filter(|pod| component_of(pod) == Some(component));
        pods.map(|pod| pod_view(pod)).collect()
    }

    /// The workload of a component.
    pub fn workload(&self, component: &str) -> Option<WorkloadView> {
        let namespace = Some(self.settings.namespace.as_str());
        [DEPLOYMENTS, STATEFUL_SETS, DAEMON_SETS]
            .into_iter()
            .flat_map(|storage| self.store.list(storage, namespace).1)
            .find(|object| component_of(object) == Some(component))
            .map(|object| workload_view(&object))
    }

    /// Whether every pod of every component is ready and none is superfluous.
    pub fn is_settled(&self) -> bool {
        self.settings.components.iter().all(|component| {
            let name = component.role.as_str();
            let pods = self.pods(name);
            let wanted = self.workload(name).map_or(0, |workload| workload.replicas);
            pods.len() as u64 == wanted && pods.iter().all(|pod| pod.ready)
        })
    }

    /// Waits until [`Simulation::is_settled`]; false when `within` has passed.
    pub async fn settled(&self, within: Duration) -> bool {
        let looking = async {
            while !self.is_settled() {
                tokio::time::sleep(LOOK_INTERVAL).await;
            }
        };
        tokio::time::timeout(within, looking).await.is_ok()
    }

    /// Makes something go wrong from now on.
    ///
    /// # Errors
    /// When it is for a pod or component that is not there.
    pub fn inject(&self, fault: Fault) -> Result<(), SimError> {
        match fault {
            Fault::HangPod { pod } => {
                let (_, pods) = self.store.list(PODS, Some(&self.settings.namespace));
                let found = pods.iter().find(|other| json::name(other) == pod);
                let found = found.ok_or(SimError::NoTarget(pod))?;
                self.faults.hang_pod(json::uid(found));
            }
            Fault::Component500 { component } => {
                for pod in self.targets(&component)? {
                    self.faults.fail_revision(&pod.revision);
                }
            }
            Fault::CrashLoop { component } => {
                for pod in self.targets(&component)? {
                    self.faults.crash_revision(&pod.revision);
                }
            }
            Fault::StallComponent { component, lasts } => {
                let until = self.clock.monotonic() + lasts;
                for pod in self.targets(&component)? {
                    self.faults.stall_pod(&pod.uid, until);
                }
            }
            Fault::SetLoad { component, cpu_milli } => self.load.set(&component, Some(cpu_milli)),
            Fault::KubernetesApi(fault) => self.faults.set_api(Some(fault)),
            Fault::ForgetHistory => self.store.compact(),
            Fault::MetricsApiAbsent => self.faults.set_metrics_absent(true),
            Fault::Milvus(fault) => self.faults.set_milvus(Some(fault)),
            Fault::DependencyDown => self.faults.set_dependency_down(true),
        }
        self.store.wake();
        Ok(())
    }

    /// Ends everything that is wrong and brings every load back to normal.
    pub fn heal(&self) {
        self.faults.clear();
        for component in &self.settings.components {
            self.load.set(component.role.as_str(), None);
        }
        self.store.wake();
    }

    fn targets(&self, component: &str) -> Result<Vec<PodView>, SimError> {
        let pods: Vec<PodView> =
            self.pods(component).into_iter().filter(|pod| !pod.terminating).collect();
        if pods.is_empty() {
            return Err(SimError::NoTarget(format!("pod of {component}")));
        }
        Ok(pods)
    }
}

fn serve_http(world: &World, router: Router) -> io::Result<SocketAddr> {
    let (listener, address) = listen(&world.handle(), FREE_LOOPBACK)?;
    world.spawn(async move {
        if let Err(error) = axum::serve(listener, router).await {
            tracing::warn!(%error, "simulated server ended");
        }
    });
    Ok(address)
}

fn serve_milvus(world: &World, proxy: milvus::Proxy) -> io::Result<SocketAddr> {
    let (listener, address): (TcpListener, SocketAddr) = listen(&world.handle(), FREE_LOOPBACK)?;
    world.spawn(async move {
        let server =
            tonic::transport::Server::builder().add_service(MilvusServiceServer::new(proxy));
        if let Err(error) = server.serve_with_incoming(TcpIncoming::from(listener)).await {
            tracing::warn!(%error, "simulated server ended");
        }
    });
    Ok(address)
}

fn pod_view(pod: &Value) -> PodView {
    let ip = text(pod, "/status/podIP");
    PodView {
        name: json::name(pod).to_owned(),
        uid: json::uid(pod).to_owned(),
        ip: (!ip.is_empty()).then(|| ip.to_owned()),
        revision: revision_of(pod).to_owned(),
        ready: is_ready(pod),
        terminating: json::is_terminating(pod),
        restarts: unsigned(pod, "/status/containerStatuses/0/restartCount"),
    }
}

fn workload_view(object: &Value) -> WorkloadView {
    WorkloadView {
        name: json::name(object).to_owned(),
        replicas: unsigned(object, "/spec/replicas")
            .max(unsigned(object, "/status/desiredNumberScheduled")),
        ready: unsigned(object, "/status/readyReplicas")
            .max(unsigned(object, "/status/numberReady")),
        generation: unsigned(object, "/metadata/generation"),
    }
}

fn unsigned(object: &Value, pointer: &str) -> u64 {
    number(object, pointer).and_then(|value| u64::try_from(value).ok()).unwrap_or(0)
}

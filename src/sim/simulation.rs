//! The simulation as a whole: starts everything, shows what is there.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use super::controllers::kubelet::{Kubelet, Pace};
use super::evidence::Evidence;
use super::faults::state::Faults;
use super::kubernetes::authorization::{AccessRule, Authorization, UsedAccess};
use super::kubernetes::requests::ApiRequest;
use super::kubernetes::resource::{DAEMON_SETS, DEPLOYMENTS, PODS, STATEFUL_SETS};
use super::kubernetes::server::Api;
use super::kubernetes::store::Store;
use super::labels::component_of;
use super::load::Load;
use super::logs::PodLogs;
use super::network::Network;
use super::pods::PodRequest;
use super::servers::{Door, serve_api, serve_http, serve_milvus};
use super::serving::{Held, ServingView};
use super::settings::SimSettings;
use super::smtp::{SmtpSettings, SmtpSink};
use super::views::{PodView, WorkloadView};
use super::webhook::WebhookSink;
use super::world::World;
use super::{controllers, dependency, milvus, seed};
use crate::clock::Clock;

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

/// A running simulation. Ends when dropped.
#[derive(Debug)]
pub struct Simulation {
    pub(super) settings: SimSettings,
    pub(super) clock: Clock,
    pub(super) store: Store,
    pub(super) faults: Faults,
    pub(super) load: Load,
    pub(super) doors: Vec<Door>,
    authorization: Authorization,
    milvus: SocketAddr,
    dependency: SocketAddr,
    metrics_port: u16,
    requests: Evidence<ApiRequest>,
    pod_requests: Evidence<PodRequest>,
    smtp: SmtpSink,
    webhook: WebhookSink,
    pub(super) world: World,
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
        let load = Load::new(&settings.components).with_data(Held::new(&settings));
        let (requests, pod_requests) = (Evidence::new(KEPT_REQUESTS), Evidence::new(KEPT_REQUESTS));
        seed::plant(&store, &settings, metrics_port);

        let logs = PodLogs::new(clock);
        let authorization = Authorization::default();
        let api = Arc::new(Api {
            store: store.clone(),
            requests: requests.clone(),
            faults: faults.clone(),
            load: load.clone(),
            logs: logs.clone(),
            authorization: authorization.clone(),
        });
        let doors = (0..settings.api_doors.max(1))
            .map(|number| serve_api(&world, &api, number))
            .collect::<Result<Vec<_>, _>>()
            .map_err(failed("Kubernetes API"))?;
        let dependency =
            serve_http(&world, dependency::router(faults.clone())).map_err(failed("dependency"))?;
        let proxy = milvus::Proxy {
            settings: settings.clone(),
            faults: faults.clone(),
            store: store.clone(),
            held: load.held().cloned(),
        };
        let milvus = serve_milvus(&world, proxy).map_err(failed("Milvus"))?;
        let smtp = SmtpSink::start_in(&world, clock, SmtpSettings::default());
        let smtp = smtp.map_err(failed("mail sink"))?;
        let webhook = WebhookSink::start_in(&world, clock).map_err(failed("webhook sink"))?;
        let kubelet = Kubelet {
            store: store.clone(),
            faults: faults.clone(),
            load: load.clone(),
            logs,
            requests: pod_requests.clone(),
            network,
            world: world.handle(),
            pace: Pace {
                startup: settings.startup,
                termination: settings.termination,
                backoff: settings.crash_backoff,
            },
            pods: BTreeMap::new(),
        };
        world.spawn(controllers::run(store.clone(), kubelet));
        Ok(Self {
            settings,
            clock,
            store,
            faults,
            load,
            doors,
            authorization,
            milvus,
            dependency,
            metrics_port,
            requests,
            pod_requests,
            smtp,
            webhook,
            world,
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

    /// The Kubernetes API, at the first of its ports.
    pub fn api_url(&self) -> String {
        self.api_urls().swap_remove(0)
    }

    /// The Kubernetes API at each of its ports: there are [`SimSettings::api_doors`].
    pub fn api_urls(&self) -> Vec<String> {
        self.doors.iter().map(|door| format!("http://{}", door.address)).collect()
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
        self.kubeconfig_for(&self.api_url())
    }

    /// Such a kubeconfig for one of [`Simulation::api_urls`].
    pub fn kubeconfig_for(&self, api_url: &str) -> String {
        format!(
            "apiVersion: v1\nkind: Config\ncurrent-context: sim\n\
             clusters:\n- name: sim\n  cluster:\n    server: {}\n\
             users:\n- name: sim\n  user: {{}}\n\
             contexts:\n- name: sim\n  context:\n    cluster: sim\n    user: sim\n    namespace: {}\n",
            api_url, self.settings.namespace
        )
    }

    /// From now on the API allows only what these rules grant, in the namespace of the cluster;
    /// `None`: everything.
    pub fn enforce_access(&self, rules: Option<Vec<AccessRule>>) {
        self.authorization.enforce(&self.settings.namespace, rules);
    }

    /// What was asked of the API so far, allowed or not.
    pub fn used_access(&self) -> BTreeSet<UsedAccess> {
        self.authorization.used()
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

    /// What the query nodes hold at the moment; `None` where that is not simulated.
    pub fn serving(&self) -> Option<ServingView> {
        self.load.held().map(Held::view)
    }

    /// The pods of a component, in the order of their names.
    pub fn pods(&self, component: &str) -> Vec<PodView> {
        let (_, pods) = self.store.list(PODS, Some(&self.settings.namespace));
        let pods = pods.iter().filter(|pod| component_of(pod) == Some(component));
        pods.map(|pod| PodView::of(pod)).collect()
    }

    /// The workload of a component; of two the one that is to have more pods.
    pub fn workload(&self, component: &str) -> Option<WorkloadView> {
        let workloads = self.workloads(component).into_iter();
        workloads.rev().max_by_key(|workload| workload.replicas)
    }

    /// All workloads of a component, in the order of their names.
    pub fn workloads(&self, component: &str) -> Vec<WorkloadView> {
        let namespace = Some(self.settings.namespace.as_str());
        [DEPLOYMENTS, STATEFUL_SETS, DAEMON_SETS]
            .into_iter()
            .flat_map(|storage| self.store.list(storage, namespace).1)
            .filter(|object| component_of(object) == Some(component))
            .map(|object| WorkloadView::of(&object))
            .collect()
    }

    /// Whether every pod of every component is ready, the workloads say so, and none is superfluous.
    pub fn is_settled(&self) -> bool {
        self.settings.components.iter().all(|component| {
            let name = component.role.as_str();
            let pods = self.pods(name);
            let workloads = self.workloads(name);
            let wanted: u64 = workloads.iter().map(|one| one.replicas).sum();
            let counted: u64 = workloads.iter().map(|one| one.ready).sum();
            let ready = pods.iter().all(|pod| pod.ready);
            pods.len() as u64 == wanted && counted == wanted && ready
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
}

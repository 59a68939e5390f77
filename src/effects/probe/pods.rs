//! Probes every pod of a component, all at once, at its own address, and reads its metrics page in
//! the same breath. What the answers mean for the component is judged in `judge`.

pub mod judge;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures::future::join_all;
use tokio::sync::watch;

use super::healthz::HEALTH_PATH;
use super::pages::{Address, Pages};
use super::scrape::METRICS_PATH;
use crate::clock::Clock;
use crate::effects::Probe;
use crate::effects::http::{Connection, HttpClient};
use crate::effects::milvus::performance::Source;
use crate::model::{
    ComponentInventory, Inventory, Outcome, Pod, PodCondition, ProbeObservation, ReasonKind,
    TargetReport,
};
use judge::{judge, judge_with_hung, judge_with_platform, unasked};

/// Most pods that one probe asks; a component with more is judged by these.
pub const MAX_PODS: usize = 1000;

/// Which pods to probe, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PodsProbeSettings {
    /// The component's name in the inventory.
    pub component: Arc<str>,
    /// The port of the health and metrics pages; Milvus' own default is 9091.
    pub metrics_port: u16,
    /// New connections for every probe, or kept ones.
    pub connection: Connection,
    /// How long a pod may take to come up (60 s).
    pub startup_grace: Duration,
    /// A pod that takes this long to end hangs (10 min).
    pub hung_pod_after: Duration,
}

impl PodsProbeSettings {
    /// The pods of `component` on port 9091, with new connections every time.
    pub fn new(component: impl Into<Arc<str>>) -> Self {
        Self {
            component: component.into(),
            metrics_port: 9091,
            connection: Connection::Fresh,
            startup_grace: Duration::from_secs(60),
            hung_pod_after: Duration::from_mins(10),
        }
    }
}

/// See the module's description.
#[derive(Debug)]
pub struct PodsProbe {
    settings: PodsProbeSettings,
    inventory: watch::Receiver<Arc<Inventory>>,
    pages: Pages,
    clock: Clock,
}

impl PodsProbe {
    /// Makes the probe; nothing is opened yet.
    pub fn new(
        settings: PodsProbeSettings,
        inventory: watch::Receiver<Arc<Inventory>>,
        clock: Clock,
    ) -> Self {
        let pages = Pages::new(settings.connection, false, clock);
        Self { settings, inventory, pages, clock }
    }

    async fn probe_pods(
        &self,
        client: &HttpClient,
        component: &ComponentInventory,
        budget: Duration,
    ) -> Vec<TargetReport> {
        let pods = &component.pods[..component.pods.len().min(MAX_PODS)];
        self.pages.retain(|name| pods.iter().any(|pod| &*pod.name == name));
        let source = Source::of(component.role);
        join_all(pods.iter().map(|pod| self.probe_pod(client, pod, source, budget))).await
    }

    async fn probe_pod(
        &self,
        client: &HttpClient,
        pod: &Pod,
        source: Source,
        budget: Duration,
    ) -> TargetReport {
        let Some(ip) = address_to_ask(pod) else { return unasked(pod) };
        let base = base_url(ip, self.settings.metrics_port);
        let address = Address {
            health: format!("{base}{HEALTH_PATH}"),
            metrics: Some(format!("{base}{METRICS_PATH}")),
        };
        self.pages.ask(client, &pod.name, address, source, budget).await
    }
}

#[async_trait]
impl Probe for PodsProbe {
    async fn probe(&self, budget: Duration) -> ProbeObservation {
        let client = match self.pages.client() {
            Ok(client) => client,
            Err(outcome) => return ProbeObservation::of(outcome),
        };
        let inventory = self.inventory.borrow().clone();
        if !inventory.synced {
            return ProbeObservation::of(not_synced(&inventory));
        }
        let nothing = ComponentInventory::default();
        let component = inventory.components.get(&self.settings.component).unwrap_or(&nothing);
        let targets = self.probe_pods(client, component, budget).await;
        let now = self.clock.now();
        let young_since = now.minus(self.settings.startup_grace);
        let verdict = judge(&self.settings.component, component, &targets, young_since);
        let verdict = judge_with_hung(verdict, component, self.settings.hung_pod_after, now);
        let outcome = judge_with_platform(verdict, inventory.error.as_ref());
        ProbeObservation { targets, ..ProbeObservation::of(outcome) }
    }
}

fn not_synced(inventory: &Inventory) -> Outcome {
    let text = match &inventory.error {
        Some(reason) => format!("the platform cannot be asked: {reason}"),
        None => "the platform's first answer has not arrived yet".into(),
    };
    Outcome::degraded(ReasonKind::PlatformUnavailable, text)
}

/// The address of a pod that can be expected to answer.
fn address_to_ask(pod: &Pod) -> Option<&str> {
    match pod.condition {
        PodCondition::Pending { .. }
        | PodCondition::Ready
        | PodCondition::NotReady
        | PodCondition::CrashLoop { .. } => pod.ip.as_deref().filter(|ip| !ip.is_empty()),
        PodCondition::Terminating | PodCondition::Ended { .. } => None,
    }
}

fn base_url(ip: &str, port: u16) -> String {
    if ip.contains(':') { format!("http://[{ip}]:{port}") } else { format!("http://{ip}:{port}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ipv6_address_stands_in_brackets() {
        assert_eq!(base_url("10.0.0.1", 9091), "http://10.0.0.1:9091");
        assert_eq!(base_url("fd00::1", 9091), "http://[fd00::1]:9091");
    }
}

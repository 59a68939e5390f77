//! The rule that falconer is measured against: at each failed check of a component, restart its
//! Deployment. No threshold, no budget, no cooldown, no verification. It has a simulated cluster of
//! its own with the same faults, so that neither disturbs the other.

use std::time::Duration;

use anyhow::Context as _;
use reqwest::Client;
use serde_json::{Value, json};
use tokio::task::JoinHandle;
use tokio::time::{MissedTickBehavior, interval};

use super::configuration::PROBE_INTERVAL;
use super::deeds::disruptions;
use super::injection::inject;
use super::scenario::Step;
use crate::clock::Clock;
use crate::effects::http::{Trust, modest_client};
use crate::model::Timestamp;
use crate::sim::{SimError, SimSettings, Simulation};

/// What the rule looks after.
const COMPONENTS: [&str; 4] = ["proxy", "rootcoord", "querynode", "datanode"];
/// How often it checks: as often as falconer, which is to its default of 30 s as the simulated
/// pods' start is to that of real ones.
pub(super) const CHECK_INTERVAL: Duration = PROBE_INTERVAL;
/// How long a check may take: as long as one of falconer's.
const CHECK_TIMEOUT: Duration = Duration::from_secs(1);
/// How long the API may take to answer.
const API_TIMEOUT: Duration = Duration::from_secs(5);

/// The rule at work in a cluster of its own.
pub(super) struct Reference {
    sim: Simulation,
    script: Script,
    /// Since when, and the loop.
    running: Option<(Timestamp, JoinHandle<()>)>,
}

impl Reference {
    /// Starts its cluster; the rule itself begins with the first fault.
    ///
    /// # Errors
    /// When the cluster cannot be started.
    pub(super) fn start(settings: SimSettings) -> anyhow::Result<Self> {
        let sim = Simulation::start(settings)?;
        let http = modest_client(Trust::Nobody).build().context("no HTTP client")?;
        let (namespace, instance) = (&sim.settings().namespace, &sim.settings().instance);
        let api = sim.api_url();
        let script = Script {
            http,
            pods: format!("{api}/api/v1/namespaces/{namespace}/pods"),
            deployments: format!("{api}/apis/apps/v1/namespaces/{namespace}/deployments"),
            instance: instance.clone(),
            metrics_port: sim.metrics_port(),
            clock: sim.clock(),
        };
        Ok(Self { sim, script, running: None })
    }

    /// Whether its cluster is up.
    pub(super) fn is_ready(&self) -> bool {
        self.running.is_some() || self.sim.is_settled()
    }

    /// Makes the same happen there.
    ///
    /// # Errors
    /// When there is nothing to which it could happen.
    pub(super) fn strike(&mut self, step: &Step) -> Result<(), SimError> {
        inject(&self.sim, step)?;
        if self.running.is_none() {
            let loops = tokio::task::spawn_local(self.script.clone().run());
            self.running = Some((self.sim.clock().now(), loops));
        }
        Ok(())
    }

    /// How many of its restarts the API has accepted so far.
    pub(super) fn actions(&self) -> usize {
        let since = self.running.as_ref().map(|(since, _)| *since);
        since.map_or(0, |since| disruptions(&self.sim, since).len())
    }
}

impl Drop for Reference {
    fn drop(&mut self) {
        if let Some((_, running)) = self.running.take() {
            running.abort();
        }
    }
}

/// What the rule needs.
#[derive(Debug, Clone)]
struct Script {
    http: Client,
    pods: String,
    deployments: String,
    instance: String,
    metrics_port: u16,
    clock: Clock,
}

impl Script {
    /// One component after the other, over and over.
    async fn run(self) {
        let mut ticks = interval(CHECK_INTERVAL);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            for component in COMPONENTS {
                if !self.is_healthy(component).await {
                    self.restart(component).await;
                }
            }
        }
    }

    /// Whether the component's first pod answers 200; no pod, no health.
    async fn is_healthy(&self, component: &str) -> bool {
        let Some(address) = self.first_pod(component).await else { return false };
        let url = format!("http://{address}:{}/healthz", self.metrics_port);
        let answer = self.http.get(url).timeout(CHECK_TIMEOUT).send().await;
        answer.is_ok_and(|answer| answer.status() == 200)
    }

    async fn first_pod(&self, component: &str) -> Option<String> {
        let url = format!("{}?labelSelector=component%3D{component}", self.pods);
        let answer = self.http.get(url).timeout(API_TIMEOUT).send().await.ok()?;
        let text = answer.error_for_status().ok()?.text().await.ok()?;
        let list: Value = serde_json::from_str(&text).ok()?;
        Some(list.pointer("/items/0/status/podIP")?.as_str()?.to_owned())
    }

    /// What `kubectl rollout restart` does. Whether it worked is of no interest to the rule.
    async fn restart(&self, component: &str) {
        let url = format!("{}/{}-{component}", self.deployments, self.instance);
        let now = self.clock.now().to_string();
        let annotations = json!({"kubectl.kubernetes.io/restartedAt": now});
        let patch = json!({"spec": {"template": {"metadata": {"annotations": annotations}}}});
        let request = self
            .http
            .patch(url)
            .header("content-type", "application/strategic-merge-patch+json")
            .body(patch.to_string())
            .timeout(API_TIMEOUT);
        if let Err(error) = request.send().await {
            tracing::debug!(component, %error, "reference rule could not restart");
        }
    }
}

//! The plain rule: the formula of the HPA on CPU, `ceil(replicas × usage ÷ target)` within bounds,
//! and nothing else. It asks the platform for the load and sets the number of replicas at once.

use std::time::Duration;

use anyhow::Context as _;
use reqwest::Client;
use serde_json::{Value, json};
use tokio::task::JoinHandle;
use tokio::time::interval;

use crate::effects::http::{Trust, modest_client};
use crate::sim::Simulation;

/// How often it looks.
const LOOKS_EVERY: Duration = Duration::from_secs(1);
/// How long the API may take to answer.
const API_TIMEOUT: Duration = Duration::from_secs(5);
/// What a query node requests of CPU in the simulation, in thousandths of a core.
const REQUEST_MILLI: f64 = 1_000.0;

/// How many replicas the rule wants, where `usage` of the requests is used, both as shares.
pub(super) fn wanted(replicas: u32, usage: f64, target: f64, (min, max): (u32, u32)) -> u32 {
    let wanted = (f64::from(replicas) * usage / target).ceil() as u32;
    wanted.clamp(min, max)
}

/// The rule at work on the query nodes; it ends with it.
pub(super) struct PlainRule(JoinHandle<()>);

impl PlainRule {
    /// Lets the rule look after the query nodes of `sim`. Must be called inside a local set.
    ///
    /// # Errors
    /// When there is no HTTP client.
    pub(super) fn on(sim: &Simulation, target: f64, bounds: (u32, u32)) -> anyhow::Result<Self> {
        let http = modest_client(Trust::Nobody).build().context("no HTTP client")?;
        let (namespace, instance) = (&sim.settings().namespace, &sim.settings().instance);
        let api = sim.api_url();
        let script = Script {
            http,
            usage: format!("{api}/apis/metrics.k8s.io/v1beta1/namespaces/{namespace}/pods"),
            scale: format!(
                "{api}/apis/apps/v1/namespaces/{namespace}/deployments/{instance}-querynode/scale"
            ),
            target,
            bounds,
        };
        Ok(Self(tokio::task::spawn_local(script.run())))
    }
}

impl Drop for PlainRule {
    fn drop(&mut self) {
        self.0.abort();
    }
}

struct Script {
    http: Client,
    usage: String,
    scale: String,
    target: f64,
    bounds: (u32, u32),
}

impl Script {
    async fn run(self) {
        let mut ticks = interval(LOOKS_EVERY);
        loop {
            ticks.tick().await;
            if let Err(error) = self.look().await {
                tracing::debug!(%error, "plain rule could not look");
            }
        }
    }

    async fn look(&self) -> anyhow::Result<()> {
        let replicas = self.get(&self.scale).await?;
        let replicas = replicas.pointer("/spec/replicas").and_then(Value::as_u64);
        let replicas = u32::try_from(replicas.context("no replicas")?)?;
        let selected = format!("{}?labelSelector=component%3Dquerynode", self.usage);
        let pods = self.get(&selected).await?;
        let pods = pods.pointer("/items").and_then(Value::as_array).context("no pods")?;
        let used: Vec<f64> = pods.iter().filter_map(cpu_milli).collect();
        anyhow::ensure!(!used.is_empty(), "no samples");
        let usage = used.iter().sum::<f64>() / used.len() as f64 / REQUEST_MILLI;
        let wanted = wanted(replicas, usage, self.target, self.bounds);
        if wanted != replicas {
            let patch = json!({"spec": {"replicas": wanted}}).to_string();
            let request = self.http.patch(&self.scale).timeout(API_TIMEOUT).body(patch);
            let request = request.header("content-type", "application/merge-patch+json");
            request.send().await?.error_for_status()?;
        }
        Ok(())
    }

    async fn get(&self, url: &str) -> anyhow::Result<Value> {
        let answer = self.http.get(url).timeout(API_TIMEOUT).send().await?;
        Ok(serde_json::from_str(&answer.error_for_status()?.text().await?)?)
    }
}

/// `"250000000n"` → 250.
fn cpu_milli(pod: &Value) -> Option<f64> {
    let text = pod.pointer("/containers/0/usage/cpu")?.as_str()?;
    let nanos: f64 = text.strip_suffix('n')?.parse().ok()?;
    Some(nanos / 1_000_000.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rule_is_the_formula_within_its_bounds() {
        for (replicas, usage, expected) in
            [(4, 0.7, 4), (4, 0.71, 5), (4, 0.35, 2), (4, 0.1, 2), (4, 9.0, 8), (3, 0.5, 3)]
        {
            assert_eq!(wanted(replicas, usage, 0.7, (2, 8)), expected, "{replicas} {usage}");
        }
        let pod = json!({"containers": [{"usage": {"cpu": "250000000n"}}]});
        assert_eq!(cpu_milli(&pod), Some(250.0));
    }
}

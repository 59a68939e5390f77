//! Breaks pods of the simulated cluster, and heals them.

use std::sync::Mutex;
use std::time::Duration;

use anyhow::{Context, ensure};
use falconer::sim::{Fault, Simulation};
use serde_json::{Value, json};

use super::observer::{client, lock};

/// What a pod is reported as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Deleted, or being deleted.
    Gone,
    /// A container of it is in `CrashLoopBackOff`.
    CrashLoop,
    /// Its containers run, it is not ready.
    NotReady,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Gone, Self::CrashLoop, Self::NotReady];

    /// Its name in the figures.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Gone => "gone",
            Self::CrashLoop => "crash_loop",
            Self::NotReady => "not_ready",
        }
    }
}

/// The simulated cluster, as somebody with kubectl would treat it.
pub struct Cluster<'a> {
    sim: &'a Simulation,
    client: reqwest::Client,
    components: Vec<String>,
    /// Pods that were made not ready and are to be made ready again.
    unready: Mutex<Vec<String>>,
}

impl<'a> Cluster<'a> {
    /// All components of `sim`.
    pub fn new(sim: &'a Simulation) -> anyhow::Result<Self> {
        let roles = sim.settings().components.iter();
        let components = roles.map(|component| component.role.as_str().to_owned()).collect();
        Ok(Self { sim, client: client()?, components, unready: Mutex::default() })
    }

    /// Their names.
    pub fn components(&self) -> &[String] {
        &self.components
    }

    /// Breaks a pod of `component`, of a crash loop all of them, and says which one to look at.
    /// `hangs`: the health page of one that is not ready never answers; one that is deleted is gone
    /// at once.
    pub async fn break_one(
        &self,
        component: &str,
        kind: Kind,
        hangs: bool,
    ) -> anyhow::Result<String> {
        let pods = self.sim.pods(component);
        let ready: Vec<_> = pods.iter().filter(|pod| pod.ready).collect();
        ensure!(!ready.is_empty(), "{component} has no ready pod");
        let pod = ready[fastrand::usize(..ready.len())].name.clone();
        match kind {
            Kind::Gone => {
                let grace = if hangs { "?gracePeriodSeconds=0" } else { "" };
                let url = format!("{}{grace}", self.url(&pod));
                self.client.delete(url).send().await?.error_for_status()?;
            }
            Kind::CrashLoop => self.sim.inject(Fault::CrashLoop { component: component.into() })?,
            Kind::NotReady => {
                if hangs {
                    self.sim.inject(Fault::HangPod { pod: pod.clone() })?;
                }
                self.set_ready(&pod, false).await?;
                lock(&self.unready).push(pod.clone());
            }
        }
        Ok(pod)
    }

    /// Everything is well again.
    pub async fn heal(&self) -> anyhow::Result<()> {
        self.sim.heal();
        let unready = std::mem::take(&mut *lock(&self.unready));
        for pod in unready {
            self.set_ready(&pod, true).await?;
        }
        Ok(())
    }

    /// Waits until every pod is ready.
    pub async fn settled(&self, within: Duration) -> bool {
        self.sim.settled(within).await
    }

    fn url(&self, pod: &str) -> String {
        let namespace = &self.sim.settings().namespace;
        format!("{}/api/v1/namespaces/{namespace}/pods/{pod}", self.sim.api_url())
    }

    /// Writes the pod's readiness, as a kubelet would.
    async fn set_ready(&self, pod: &str, ready: bool) -> anyhow::Result<()> {
        let url = self.url(pod);
        let answer = self.client.get(&url).send().await?;
        if answer.status().as_u16() == 404 {
            return Ok(());
        }
        let mut object: Value = answer.error_for_status()?.json().await?;
        let conditions = object.pointer_mut("/status/conditions").and_then(Value::as_array_mut);
        for condition in conditions.context("conditions")? {
            if ["Ready", "ContainersReady"].iter().any(|kind| condition["type"] == **kind) {
                condition["status"] = json!(if ready { "True" } else { "False" });
            }
        }
        let patch = json!({"status": {"conditions": object["status"]["conditions"]}});
        let patch = self
            .client
            .patch(format!("{url}/status"))
            .header("content-type", "application/merge-patch+json")
            .body(patch.to_string());
        patch.send().await?.error_for_status()?;
        Ok(())
    }
}

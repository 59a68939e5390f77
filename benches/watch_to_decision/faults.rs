//! Breaks pods of the simulated cluster, and heals them.

use std::time::Duration;

use anyhow::ensure;
use falconer::sim::{Fault, Simulation};

use super::observer::client;

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
}

impl<'a> Cluster<'a> {
    /// All components of `sim`.
    pub fn new(sim: &'a Simulation) -> anyhow::Result<Self> {
        let roles = sim.settings().components.iter();
        let components = roles.map(|component| component.role.as_str().to_owned()).collect();
        Ok(Self { sim, client: client()?, components })
    }

    /// Their names.
    pub fn components(&self) -> &[String] {
        &self.components
    }

    /// Breaks a pod of `component`, of a crash loop all of them, and says which one to look at. One
    /// whose page hangs is not ready as soon as the kubelet's probe has found that. `at_once`: one
    /// that is deleted has no time to end.
    pub async fn break_one(
        &self,
        component: &str,
        kind: Kind,
        at_once: bool,
    ) -> anyhow::Result<String> {
        let pods = self.sim.pods(component);
        let ready: Vec<_> = pods.iter().filter(|pod| pod.ready).collect();
        ensure!(!ready.is_empty(), "{component} has no ready pod");
        let pod = ready[fastrand::usize(..ready.len())].name.clone();
        match kind {
            Kind::Gone => {
                let grace = if at_once { "?gracePeriodSeconds=0" } else { "" };
                let url = format!("{}{grace}", self.url(&pod));
                self.client.delete(url).send().await?.error_for_status()?;
            }
            Kind::CrashLoop => self.sim.inject(Fault::CrashLoop { component: component.into() })?,
            Kind::NotReady => self.sim.inject(Fault::HangPod { pod: pod.clone() })?,
        }
        Ok(pod)
    }

    /// Everything is well again.
    pub fn heal(&self) {
        self.sim.heal();
    }

    /// Waits until every pod is ready.
    pub async fn settled(&self, within: Duration) -> bool {
        self.sim.settled(within).await
    }

    fn url(&self, pod: &str) -> String {
        let namespace = &self.sim.settings().namespace;
        format!("{}/api/v1/namespaces/{namespace}/pods/{pod}", self.sim.api_url())
    }
}

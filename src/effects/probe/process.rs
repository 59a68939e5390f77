//! Probes the one process of a component on this machine: whether it runs, its health page, its
//! metrics page.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::watch;

use super::healthz::HEALTH_PATH;
use super::pages::{Address, Pages};
use super::scrape::METRICS_PATH;
use crate::clock::Clock;
use crate::effects::Probe;
use crate::effects::http::{Connection, needs_tls};
use crate::effects::milvus::performance::Source;
use crate::model::{Inventory, Outcome, Pod, PodCondition, ProbeObservation, ReasonKind};

/// Which process to probe, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProcessProbeSettings {
    /// The component's name in the inventory.
    pub component: Arc<str>,
    /// Its health page, e.g. `http://127.0.0.1:9091/healthz`.
    pub health_url: String,
    /// Its metrics page; by default `/metrics` beside the health page.
    pub metrics_url: Option<String>,
    /// New connections for every probe, or kept ones.
    pub connection: Connection,
}

impl ProcessProbeSettings {
    /// The process of `component` with this health page, and `/metrics` beside it.
    pub fn new(component: impl Into<Arc<str>>, health_url: impl Into<String>) -> Self {
        Self {
            component: component.into(),
            health_url: health_url.into(),
            metrics_url: None,
            connection: Connection::Fresh,
        }
    }

    fn metrics_address(&self) -> Option<String> {
        let beside =
            || Some(format!("{}{METRICS_PATH}", self.health_url.strip_suffix(HEALTH_PATH)?));
        self.metrics_url.clone().or_else(beside)
    }
}

/// See the module's description.
#[derive(Debug)]
pub struct ProcessProbe {
    settings: ProcessProbeSettings,
    inventory: watch::Receiver<Arc<Inventory>>,
    pages: Pages,
}

impl ProcessProbe {
    /// Makes the probe; nothing is opened yet.
    pub fn new(
        settings: ProcessProbeSettings,
        inventory: watch::Receiver<Arc<Inventory>>,
        clock: Clock,
    ) -> Self {
        let tls = needs_tls(&settings.health_url);
        let pages = Pages::new(settings.connection, tls, clock);
        Self { settings, inventory, pages }
    }
}

#[async_trait]
impl Probe for ProcessProbe {
    async fn probe(&self, budget: Duration) -> ProbeObservation {
        let client = match self.pages.client() {
            Ok(client) => client,
            Err(outcome) => return ProbeObservation::of(outcome),
        };
        let inventory = self.inventory.borrow().clone();
        if !inventory.synced {
            let text = "the process has not been looked for yet";
            return ProbeObservation::of(Outcome::degraded(ReasonKind::PlatformUnavailable, text));
        }
        let component = inventory.components.get(&self.settings.component);
        let pod = component.and_then(|component| newest(&component.pods));
        if let Err(outcome) = check_runs(&self.settings.component, pod) {
            return ProbeObservation::of(outcome);
        }
        let name = pod.map_or(&*self.settings.component, |pod| &*pod.name);
        let source = Source::of(component.and_then(|component| component.role));
        let address = Address {
            health: self.settings.health_url.clone(),
            metrics: self.settings.metrics_address(),
        };
        let target = self.pages.ask(client, name, address, source, budget).await;
        let outcome = explain(pod, target.outcome.clone());
        ProbeObservation { targets: vec![target], ..ProbeObservation::of(outcome) }
    }
}

/// The process that is there now; one that ended only where there is no other.
fn newest(pods: &[Pod]) -> Option<&Pod> {
    let has_ended = |pod: &&Pod| matches!(pod.condition, PodCondition::Ended { .. });
    pods.iter().rev().find(|pod| !has_ended(pod)).or_else(|| pods.last())
}

/// Whether it makes sense to ask: somebody else's server on the same port would prove nothing.
fn check_runs(component: &str, pod: Option<&Pod>) -> Result<(), Outcome> {
    let Some(pod) = pod else {
        let text = format!("{component} is not running");
        return Err(Outcome::failed(ReasonKind::NotRunning, text));
    };
    match &pod.condition {
        PodCondition::Ended { message } => {
            let text = format!("{} is not running: {message}", pod.name);
            Err(Outcome::failed(ReasonKind::NotRunning, text))
        }
        PodCondition::CrashLoop { message } => {
            let text = format!("{}: {message}", pod.name);
            Err(Outcome::failed(ReasonKind::CrashLoop, text))
        }
        PodCondition::Terminating => {
            let text = format!("{} is being stopped", pod.name);
            Err(Outcome::failed(ReasonKind::Terminating, text))
        }
        PodCondition::Pending { .. } | PodCondition::Ready | PodCondition::NotReady => Ok(()),
    }
}

/// A process that is only starting has a better reason than its refused connection.
fn explain(pod: Option<&Pod>, outcome: Outcome) -> Outcome {
    match (pod.map(|pod| &pod.condition), &outcome) {
        (Some(PodCondition::Pending { message }), Outcome::Failed { reason }) => {
            Outcome::failed(ReasonKind::Pending, format!("{message}: {reason}"))
        }
        _ => outcome,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Resources;

    fn pod(name: &str, condition: PodCondition) -> Pod {
        Pod {
            name: name.into(),
            ip: None,
            condition,
            requests: Resources::default(),
            limits: Resources::default(),
            started_at: None,
            workload: None,
            life: crate::model::PodLife::default(),
        }
    }

    #[test]
    fn a_process_that_does_not_run_is_not_asked() {
        let ended = PodCondition::Ended { message: "exit status 1".into() };
        let crashing = PodCondition::CrashLoop { message: "7 restarts".into() };
        for (condition, kind) in [
            (ended, ReasonKind::NotRunning),
            (crashing, ReasonKind::CrashLoop),
            (PodCondition::Terminating, ReasonKind::Terminating),
        ] {
            let pod = pod("milvus", condition);
            let outcome = check_runs("standalone", Some(&pod)).unwrap_err();
            assert_eq!(outcome.reason().unwrap().kind, kind);
        }
        let outcome = check_runs("standalone", None).unwrap_err();
        assert_eq!(outcome.reason().unwrap().text, "standalone is not running");
        assert!(check_runs("standalone", Some(&pod("milvus", PodCondition::Ready))).is_ok());
    }

    #[test]
    fn a_process_that_ended_gives_way_to_the_one_that_runs() {
        let ended = PodCondition::Ended { message: String::new() };
        let pods = [pod("a", PodCondition::Ready), pod("b", ended)];
        assert_eq!(&*newest(&pods).unwrap().name, "a");
    }

    #[test]
    fn the_metrics_page_is_beside_the_health_page_unless_it_is_named() {
        let mut settings = ProcessProbeSettings::new("standalone", "http://h:9091/healthz");
        assert_eq!(settings.metrics_address().unwrap(), "http://h:9091/metrics");
        settings.health_url = "http://h:1/other".into();
        assert_eq!(settings.metrics_address(), None);
        settings.metrics_url = Some("http://h:2/m".into());
        assert_eq!(settings.metrics_address().unwrap(), "http://h:2/m");
    }
}

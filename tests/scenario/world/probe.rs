//! Probes of the world: healthy, degraded, failed, late, silent, broken.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use falconer::effects::Probe;
use falconer::effects::probe::platform::PlatformProbe;
use falconer::model::{
    Inventory, Outcome, PodUsage, ProbeObservation, ProberKind, ReasonKind, TargetReport, Timestamp,
};
use tokio::sync::watch;

use super::death::Actor;
use super::target::{Manner, Seen, Told};
use super::{At, State, World};

/// The probe of one target.
pub struct WorldProbe {
    world: World,
    at: At,
    platform: PlatformProbe,
}

/// What one probe will see.
struct Script {
    /// How long it takes; `None` for ever.
    delay: Option<Duration>,
    outcome: Outcome,
    usage: Vec<PodUsage>,
    panics: bool,
}

/// A probe under way. It tells the world how it ended, even if nobody waited for it.
struct Attempt<'a> {
    world: &'a World,
    at: At,
    began: Timestamp,
    budget: Duration,
    told: Option<Told>,
}

impl Drop for Attempt<'_> {
    fn drop(&mut self) {
        let mut state = self.world.lock();
        let ended = state.now();
        let given_up = ended.since(self.began) >= self.budget;
        // Whoever ended before its time was not given up but died.
        let Some(told) = self.told.or(given_up.then_some(Told::Failed)) else { return };
        state.probed(self.at, Seen { began: self.began, ended, told });
    }
}

impl WorldProbe {
    /// The probe of the target at `at`, in a cluster that shows `inventory`.
    pub fn new(world: World, at: At, inventory: watch::Receiver<Arc<Inventory>>) -> Self {
        Self { world, at, platform: PlatformProbe::new(inventory) }
    }
}

#[async_trait]
impl Probe for WorldProbe {
    async fn probe(&self, budget: Duration) -> ProbeObservation {
        let (script, began) = {
            let mut state = self.world.lock();
            let began = state.now();
            state.target_mut(self.at).log.last_began = Some(began);
            state.probe_begins(self.at);
            (state.script(self.at, budget), began)
        };
        let mut attempt = Attempt { world: &self.world, at: self.at, began, budget, told: None };
        match script.delay {
            Some(delay) => tokio::time::sleep(delay).await,
            None => std::future::pending().await,
        }
        if script.panics {
            self.world.lock().dies(Actor::Prober(self.at));
            panic!("scenario: the probe breaks");
        }
        let is_platform = self.world.lock().target(self.at).plan.kind == ProberKind::Platform;
        let observation = if is_platform {
            self.platform.probe(budget).await
        } else {
            let outcome = script.outcome;
            let report = TargetReport {
                name: "pod".into(),
                address: "".into(),
                outcome: outcome.clone(),
                latency: Duration::ZERO,
                performance: None,
            };
            let parts = ProbeObservation::of(outcome);
            ProbeObservation { targets: vec![report], usage: script.usage, ..parts }
        };
        attempt.told = Some(match &observation.outcome {
            Outcome::Healthy => Told::Healthy,
            Outcome::Degraded { reason } if reason.kind == ReasonKind::ScaledToZero => Told::Off,
            Outcome::Degraded { .. } => Told::Degraded,
            Outcome::Failed { .. } => Told::Failed,
        });
        observation
    }
}

impl State {
    fn probed(&mut self, at: At, seen: Seen) {
        self.counts.probes += 1;
        self.trace.mix(seen.ended.as_millis() ^ (at.target as u64) << 48 ^ seen.told as u64);
        let target = self.target_mut(at);
        let before = target.log.seen.back().map(|seen| seen.told);
        let is_down = target.run.is_some() && target.is_unready();
        target.log.add(seen, is_down);
        if before != Some(seen.told) {
            let id = target.id.clone();
            self.say(format_args!("probe of {id}: {:?}", seen.told));
        }
    }

    /// What the probe will see.
    fn script(&mut self, at: At, budget: Duration) -> Script {
        let quick = self.dice.millis(1, 80);
        let target = self.target(at);
        let is_off = target.run.as_ref().is_some_and(|run| run.desired == 0);
        let sickness = target.sickness.as_ref().filter(|_| !is_off);
        let manner = sickness.map(|sickness| sickness.manner);
        let healthy = Script {
            delay: Some(quick),
            outcome: Outcome::Healthy,
            usage: Vec::new(),
            panics: false,
        };
        let script = match manner {
            Some(Manner::Fails) => Script { outcome: refused(), ..healthy },
            Some(Manner::Hangs) => Script { delay: None, ..healthy },
            // Nobody waits for the answer.
            Some(Manner::Slow) => Script { delay: Some(budget * 3), ..healthy },
            Some(Manner::Degraded) => {
                let outcome = Outcome::degraded(ReasonKind::Limited, "it is slow");
                Script { outcome, ..healthy }
            }
            Some(Manner::Flaps) if self.dice.chance(0.5) => {
                Script { outcome: refused(), ..healthy }
            }
            Some(Manner::Panics) if self.may_die(Actor::Prober(at)) => {
                Script { panics: true, ..healthy }
            }
            Some(Manner::Flaps | Manner::Panics) | None => {
                let (outcome, usage) = self.without_sickness(at);
                Script { outcome, usage, ..healthy }
            }
        };
        self.last_known(at, script)
    }

    /// What a target tells that has no sickness of its own.
    fn without_sickness(&mut self, at: At) -> (Outcome, Vec<PodUsage>) {
        let target = self.target(at);
        if let Some(run) = &target.run {
            let outcome = if target.present_since.is_none() {
                Outcome::failed(ReasonKind::NoPods, "no pods")
            } else if run.desired == 0 {
                Outcome::degraded(ReasonKind::ScaledToZero, "scaled to 0 replicas")
            } else {
                Outcome::Healthy
            };
            return (outcome, Vec::new());
        }
        match target.plan.kind {
            ProberKind::Resources => self.resources(at.cluster),
            ProberKind::Milvus => (self.service(at.cluster), Vec::new()),
            ProberKind::Pods
            | ProberKind::Process
            | ProberKind::Http
            | ProberKind::Tcp
            | ProberKind::Grpc
            | ProberKind::Platform => (Outcome::Healthy, Vec::new()),
        }
    }

    /// The service fails where most of its components do.
    fn service(&self, cluster: usize) -> Outcome {
        let components = || {
            let all = self.places(cluster).map(|at| self.target(at));
            all.filter(|target| target.run.is_some() && target.present_since.is_some())
        };
        let sick = components().filter(|target| target.fails()).count();
        if sick * 2 > components().count() {
            Outcome::failed(ReasonKind::ReportedUnhealthy, "most components are sick")
        } else {
            Outcome::Healthy
        }
    }

    fn resources(&mut self, cluster: usize) -> (Outcome, Vec<PodUsage>) {
        if self.clusters[cluster].is_down() {
            let text = "the platform cannot be asked";
            return (Outcome::degraded(ReasonKind::PlatformUnavailable, text), Vec::new());
        }
        let now = self.now();
        let mut usage = Vec::new();
        for at in self.places(cluster) {
            let target = self.target(at);
            if target.present_since.is_none() {
                continue;
            }
            let Some(run) = &target.run else { continue };
            let percent = run.load();
            let sample = |number| PodUsage {
                pod: run.pod_name(number).to_string(),
                cpu_milli: Some(u64::from(percent) * 10),
                memory_bytes: Some((1 << 30) / 4),
                cpu_percent_of_request: Some(percent),
                memory_percent_of_request: Some(25),
                cpu_percent_of_limit: Some(percent / 2),
                memory_percent_of_limit: Some(6),
                sampled_at: Some(now),
                window: std::time::Duration::ZERO,
            };
            usage.extend((0..run.desired).map(sample));
        }
        // A sample comes and goes.
        if !usage.is_empty() && self.dice.chance(0.05) && !self.calm {
            let index = self.dice.index(usage.len());
            usage.remove(index);
        }
        (Outcome::Healthy, usage)
    }

    /// While the platform cannot be asked, what runs on it is at most degraded.
    fn last_known(&self, at: At, script: Script) -> Script {
        let unknown = self.clusters[at.cluster].newest().error.is_some();
        if !unknown || self.target(at).run.is_none() || script.outcome.is_failed() {
            return script;
        }
        let text = "the platform cannot be asked, last known state";
        Script { outcome: Outcome::degraded(ReasonKind::PlatformUnavailable, text), ..script }
    }
}

fn refused() -> Outcome {
    Outcome::failed(ReasonKind::Refused, "connection refused")
}

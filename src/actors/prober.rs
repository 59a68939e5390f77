//! Probes one component again and again. Owns its schedule and nothing else: what the outcome
//! means is judged by the supervisor.
//!
//! The schedule has a fixed rate and a phase of its own. A component that has not answered for a
//! while is probed less often; the first answer brings its cadence back.

use std::sync::Arc;
use std::time::Duration;

use super::pacer::{Pacer, Seat};
use super::supervisor::ReportOutbox;
use crate::clock::Clock;
use crate::effects::Probe;
use crate::metrics::{CircuitParty, Metrics};
use crate::model::{
    ComponentId, Outcome, ProbeObservation, ProbeReport, ProberKind, ReasonKind, Timestamp,
};
use crate::policy::backoff::RespawnSettings;
use crate::policy::circuit::{Circuit, CircuitChange};
use crate::policy::schedule::{Schedule, silence};
use actix::prelude::*;

/// What a probe may take beyond its time-out before its prober gives it up.
const PROBE_SLACK: Duration = Duration::from_millis(500);

/// A deadline that is noticed this much too late was missed because the process or the machine
/// stood still; what happened meanwhile says nothing of the component.
const STOOD_STILL: Duration = Duration::from_secs(2);

/// How one component is probed.
#[derive(Debug, Clone, PartialEq)]
pub struct ProberSettings {
    /// From one probe's due time to the next one's.
    pub interval: Duration,
    /// Deadline of one probe as a whole.
    pub timeout: Duration,
    /// Each due time is moved by up to half this share of the interval, either way.
    pub jitter: f64,
    /// Capacity of the prober's own mailbox.
    pub mailbox: usize,
    /// How the actor is made anew after it has ended.
    pub respawn: RespawnSettings,
}

impl Default for ProberSettings {
    fn default() -> Self {
        Self {
            interval: Duration::from_secs(30),
            timeout: Duration::from_secs(5),
            jitter: 0.1,
            mailbox: 16,
            respawn: RespawnSettings::default(),
        }
    }
}

/// Everything a prober is made of.
#[derive(Clone)]
pub struct ProberParts {
    /// What is probed.
    pub id: ComponentId,
    /// How, as a label.
    pub kind: ProberKind,
    /// Its schedule.
    pub settings: ProberSettings,
    /// The probe itself.
    pub probe: Arc<dyn Probe>,
    /// Where reports go.
    pub reports: ReportOutbox,
    /// Spreads the probes of the whole process; the same one for all of them.
    pub pacer: Pacer,
    /// Time.
    pub clock: Clock,
    /// Instruments.
    pub metrics: Metrics,
}

/// The actor.
pub struct Prober {
    parts: ProberParts,
    /// Its part in the pace and its due times; since it was started.
    running: Option<Running>,
    /// Whether the component answers at all.
    circuit: Circuit,
}

struct Running {
    seat: Seat,
    schedule: Schedule,
}

impl Prober {
    /// A prober whose first probe comes as soon as the pace allows.
    pub fn new(parts: ProberParts) -> Self {
        Self { parts, running: None, circuit: Circuit::default() }
    }

    /// Takes a place in the pace of all probers and waits for its first turn.
    fn begin(&mut self, ctx: &mut Context<Self>) {
        let ProberSettings { interval, jitter, .. } = self.parts.settings;
        let now = self.parts.clock.uptime();
        let (seat, place) = self.parts.pacer.join(interval, now);
        let schedule = Schedule::new(interval, jitter, place.phase, now + place.first_in);
        self.running = Some(Running { seat, schedule });
        ctx.run_later(place.first_in, Self::on_probe_due);
    }

    /// Probes now, or in a moment where too many are due at once.
    fn on_probe_due(&mut self, ctx: &mut Context<Self>) {
        let now = self.parts.clock.uptime();
        let wait =
            self.running.as_ref().map_or(Duration::ZERO, |running| running.seat.reserve(now));
        if wait.is_zero() {
            self.begin_probe(ctx);
        } else {
            self.parts.metrics.probe_paced();
            ctx.run_later(wait, Self::begin_probe);
        }
    }

    fn begin_probe(&mut self, ctx: &mut Context<Self>) {
        let started_at = self.parts.clock.now();
        let started = self.parts.clock.monotonic();
        let probe = Arc::clone(&self.parts.probe);
        let timeout = self.parts.settings.timeout;
        let work = async move {
            match tokio::time::timeout(timeout + PROBE_SLACK, probe.probe(timeout)).await {
                Ok(observation) => observation,
                Err(_) => timed_out(timeout),
            }
        };
        ctx.spawn(work.into_actor(self).map(move |observation, prober, ctx| {
            let duration = prober.parts.clock.monotonic() - started;
            let observation = prober.unless_we_stood_still(observation, duration);
            prober.fold(&observation.outcome, started_at);
            prober.on_probe_done(started_at, duration, observation);
            prober.schedule_next(ctx);
        }));
    }

    fn unless_we_stood_still(
        &self,
        observation: ProbeObservation,
        took: Duration,
    ) -> ProbeObservation {
        let late = took.saturating_sub(self.parts.settings.timeout + PROBE_SLACK);
        let kind = observation.outcome.reason().map(|reason| reason.kind);
        if late < STOOD_STILL || kind != Some(ReasonKind::Timeout) {
            return observation;
        }
        let late = humantime::format_duration(Duration::from_secs(late.as_secs()));
        let text = format!("not probed, falconer itself stood still: {late} late");
        ProbeObservation::of(Outcome::failed(ReasonKind::OwnLimit, text))
    }

    /// Learns from one outcome whether the component answers at all.
    fn fold(&mut self, outcome: &Outcome, asked_at: Timestamp) {
        if outcome.is_inconclusive() {
            return;
        }
        let is_silent =
            outcome.is_failed() && outcome.reason().is_some_and(|reason| reason.kind.is_silence());
        let change = if is_silent {
            let settings = silence(self.parts.settings.interval);
            self.circuit.unanswered(&settings, fastrand::f64(), asked_at)
        } else {
            self.circuit.answered()
        };
        let component = &self.parts.id;
        match change {
            CircuitChange::Stayed | CircuitChange::Reopened { .. } => {}
            CircuitChange::Opened { .. } => {
                self.parts.metrics.circuit_opened(CircuitParty::Target);
                tracing::info!(%component, "component does not answer, probed less often");
            }
            CircuitChange::Closed { failures } => {
                self.parts.metrics.circuit_closed(CircuitParty::Target);
                tracing::info!(%component, failures, "component answers again, probed as usual");
            }
        }
    }

    fn on_probe_done(
        &self,
        started_at: Timestamp,
        duration: Duration,
        observation: ProbeObservation,
    ) {
        let parts = &self.parts;
        parts.metrics.probe_completed(&parts.id, parts.kind, &observation.outcome, duration);
        tracing::debug!(
            component = %parts.id,
            outcome = observation.outcome.as_str(),
            duration_ms = duration.as_millis() as u64,
            "probe completed"
        );
        parts.reports.report(ProbeReport {
            id: parts.id.clone(),
            kind: parts.kind,
            started_at,
            duration,
            observation,
        });
    }

    /// Fixed rate, not fixed delay: a slow probe does not shift the later ones. Due times that
    /// passed while a probe was under way are left out, never made up for in a burst.
    fn schedule_next(&mut self, ctx: &mut Context<Self>) {
        let Some(running) = &mut self.running else { return };
        let (clock, uptime) = (self.parts.clock, self.parts.clock.uptime());
        let until = self.circuit.open_until();
        let hold = until.map_or(Duration::ZERO, |until| until.since(clock.now()));
        let due = running.schedule.advance(uptime, hold, fastrand::f64());
        ctx.run_later(due.saturating_sub(uptime), Self::on_probe_due);
    }
}

impl Actor for Prober {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        #[cfg(any(test, feature = "fault-injection"))]
        super::fault_injection::arm(&format!("prober/{}", self.parts.id.component), &ctx.address());
        self.begin(ctx);
    }
}

/// What it counted must not stay when it ends.
impl Drop for Prober {
    fn drop(&mut self) {
        if !self.circuit.is_closed() {
            self.parts.metrics.circuit_closed(CircuitParty::Target);
        }
    }
}

fn timed_out(timeout: Duration) -> ProbeObservation {
    ProbeObservation::of(Outcome::failed(
        ReasonKind::Timeout,
        format!("timeout after {}", humantime::format_duration(timeout)),
    ))
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use async_trait::async_trait;

    use super::*;
    use crate::actors::link::Link;
    use crate::actors::supervisor::ProbeCompleted;
    use crate::actors::testing::{Recorder, in_virtual_time};

    /// Answers after a delay, or never.
    struct Slow(Option<Duration>);

    #[async_trait]
    impl Probe for Slow {
        async fn probe(&self, _: Duration) -> ProbeObservation {
            match self.0 {
                Some(delay) => tokio::time::sleep(delay).await,
                None => std::future::pending().await,
            }
            ProbeObservation::of(Outcome::Healthy)
        }
    }

    fn settings() -> ProberSettings {
        ProberSettings {
            interval: Duration::from_secs(1),
            timeout: Duration::from_secs(5),
            ..ProberSettings::default()
        }
    }

    /// Runs probers side by side for `seconds` of virtual time and returns what they reported.
    fn run(probes: Vec<(&'static str, Slow)>, seconds: u64) -> Vec<ProbeReport> {
        let reports = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&reports);
        in_virtual_time(async move {
            let link = Link::<ProbeCompleted>::new();
            let seen = Recorder::behind(&link);
            let clock = Clock::starting_at(Timestamp::default());
            for (name, probe) in probes {
                let parts = ProberParts {
                    id: ComponentId::new("milvus-ha", name),
                    kind: ProberKind::Http,
                    settings: settings(),
                    probe: Arc::new(probe),
                    reports: ReportOutbox::new(link.clone(), Metrics::default()),
                    pacer: Pacer::default(),
                    clock,
                    metrics: Metrics::default(),
                };
                Prober::new(parts).start();
            }
            tokio::time::sleep(Duration::from_secs(seconds)).await;
            kept.lock().unwrap().extend(seen.lock().unwrap().drain(..).map(|m| m.0));
        });
        let mut guard = reports.lock().unwrap();
        std::mem::take(&mut *guard)
    }

    fn starts_of(reports: &[ProbeReport], component: &str) -> Vec<Timestamp> {
        let ours = reports.iter().filter(|report| &*report.id.component == component);
        ours.map(|report| report.started_at).collect()
    }

    #[test]
    fn a_stalled_prober_does_not_delay_its_siblings() {
        let probes = vec![
            ("proxy", Slow(None)),
            ("rootcoord", Slow(None)),
            ("datanode", Slow(None)),
            ("querynode", Slow(Some(Duration::from_millis(2)))),
        ];
        let reports = run(probes, 600);
        let starts = starts_of(&reports, "querynode");
        assert!((599..=601).contains(&starts.len()), "{} probes in 600 s", starts.len());
        for pair in starts.windows(2) {
            let gap = pair[1].since(pair[0]).as_millis();
            assert!((890..=1_110).contains(&gap), "a gap of {gap} ms");
        }
    }

    #[test]
    fn a_probe_that_never_returns_is_given_up_and_told_as_a_time_out() {
        let reports = run(vec![("proxy", Slow(None))], 60);
        assert!(reports.len() >= 9, "{} reports", reports.len());
        for report in &reports {
            let reason = report.observation.outcome.reason().expect("a reason");
            assert_eq!(reason.text, "timeout after 5s");
        }
    }

    #[test]
    fn due_times_that_pass_during_a_slow_probe_are_left_out_and_not_made_up_for() {
        let slow = Slow(Some(Duration::from_millis(2_500)));
        let starts = starts_of(&run(vec![("proxy", slow)], 61), "proxy");
        assert!((18..=21).contains(&starts.len()), "{} probes", starts.len());
        assert!(starts.windows(2).all(|pair| pair[1].since(pair[0]).as_millis() >= 2_500));
    }
}

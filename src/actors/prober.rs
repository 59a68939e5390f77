//! Probes one component again and again, and out of turn when its supervisor asks. Owns its
//! schedule and nothing else: what the outcome means is judged by the supervisor.
//!
//! The schedule has a fixed rate and a phase of its own. A dependency that has not answered for a
//! while is probed less often; its first answer brings the cadence back.

mod out_of_turn;

use std::sync::Arc;
use std::time::Duration;

use super::pacer::{Pacer, Seat};
use super::supervisor::ReportOutbox;
use crate::clock::Clock;
use crate::effects::Probe;
use crate::metrics::{CircuitParty, Metrics, ProbeMetrics};
use crate::model::{
    ComponentId, Outcome, ProbeObservation, ProbeReport, ProbeTrigger, ProberKind, ReasonKind,
    Timestamp,
};
use crate::policy::backoff::RespawnSettings;
use crate::policy::circuit::{Circuit, CircuitChange};
use crate::policy::schedule::{Schedule, silence};
use actix::prelude::*;

use out_of_turn::OutOfTurn;
pub use out_of_turn::ProbeNow;

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
    /// Its schedule. Many probers have the same.
    pub settings: Arc<ProberSettings>,
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
    /// Shared with the parent, which makes its next incarnation of them.
    parts: Arc<ProberParts>,
    /// What is counted with every probe.
    probes: ProbeMetrics,
    /// Its part in the pace and its due times; since it was started.
    running: Option<Running>,
    /// Whether the component answers at all.
    circuit: Circuit,
    /// The probe under way, if there is one; never two.
    under_way: Option<ProbeTrigger>,
    out_of_turn: OutOfTurn,
}

struct Running {
    seat: Seat,
    schedule: Schedule,
}

impl Prober {
    /// A prober whose first probe comes as soon as the pace allows.
    pub fn new(parts: impl Into<Arc<ProberParts>>) -> Self {
        let parts = parts.into();
        Self {
            probes: parts.metrics.probes(&parts.id, parts.kind),
            parts,
            running: None,
            circuit: Circuit::default(),
            under_way: None,
            out_of_turn: OutOfTurn::default(),
        }
    }

    /// Takes a place in the pace of all probers and waits for its first turn.
    fn begin(&mut self, ctx: &mut Context<Self>) {
        let ProberSettings { interval, jitter, .. } = *self.parts.settings;
        let now = self.parts.clock.uptime();
        let (seat, place) = self.parts.pacer.join(interval, now);
        let schedule = Schedule::new(interval, jitter, place.phase, now + place.first_in);
        self.running = Some(Running { seat, schedule });
        ctx.run_later(place.first_in, Self::on_probe_due);
    }

    /// Probes now, or in a moment where too many are due at once.
    fn on_probe_due(&mut self, ctx: &mut Context<Self>) {
        self.when_paced(Self::begin_scheduled, ctx);
    }

    fn when_paced(&mut self, begin: fn(&mut Self, &mut Context<Self>), ctx: &mut Context<Self>) {
        let now = self.parts.clock.uptime();
        let wait =
            self.running.as_ref().map_or(Duration::ZERO, |running| running.seat.reserve(now));
        if wait.is_zero() {
            begin(self, ctx);
        } else {
            self.parts.metrics.probe_paced();
            ctx.run_later(wait, begin);
        }
    }

    /// A probe out of turn that is still under way serves as the scheduled one.
    fn begin_scheduled(&mut self, ctx: &mut Context<Self>) {
        if self.under_way.is_some() {
            self.under_way = Some(ProbeTrigger::Schedule);
        } else {
            self.begin_probe(ProbeTrigger::Schedule, ctx);
        }
    }

    fn begin_probe(&mut self, trigger: ProbeTrigger, ctx: &mut Context<Self>) {
        self.under_way = Some(trigger);
        self.out_of_turn.begun(self.parts.clock.monotonic());
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
            let trigger = prober.under_way.take().unwrap_or_default();
            prober.fold(trigger, &observation.outcome, started_at);
            prober.on_probe_done(trigger, started_at, duration, observation);
            match trigger {
                ProbeTrigger::Schedule => prober.schedule_next(ctx),
                ProbeTrigger::Change => {}
            }
            prober.arm_out_of_turn(ctx);
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

    /// Learns from one outcome whether the component answers at all. Silence out of turn, right
    /// after a change, says little of that.
    fn fold(&mut self, trigger: ProbeTrigger, outcome: &Outcome, asked_at: Timestamp) {
        let out_of_turn = trigger == ProbeTrigger::Change && outcome.is_failed();
        if outcome.is_inconclusive() || out_of_turn {
            return;
        }
        let is_silent =
            outcome.is_failed() && outcome.reason().is_some_and(|reason| reason.kind.is_silence());
        let change = if is_silent {
            let settings = silence(self.parts.kind, self.parts.settings.interval);
            self.circuit.unanswered(&settings, fastrand::f64(), asked_at)
        } else {
            self.circuit.answered()
        };
        let component = &self.parts.id;
        match change {
            CircuitChange::Stayed | CircuitChange::Reopened { .. } => {}
            CircuitChange::Opened { .. } => {
                self.parts.metrics.circuit_opened(CircuitParty::Target);
                tracing::info!(%component, "component does not answer");
            }
            CircuitChange::Closed { failures } => {
                self.parts.metrics.circuit_closed(CircuitParty::Target);
                tracing::info!(%component, failures, "component answers again");
            }
        }
    }

    fn on_probe_done(
        &self,
        trigger: ProbeTrigger,
        started_at: Timestamp,
        duration: Duration,
        observation: ProbeObservation,
    ) {
        let parts = &self.parts;
        self.probes.completed(&observation.outcome, duration);
        tracing::debug!(
            component = %parts.id,
            outcome = observation.outcome.as_str(),
            duration_ms = duration.as_millis() as u64,
            "probe completed"
        );
        parts.reports.report(ProbeReport {
            id: parts.id.clone(),
            kind: parts.kind,
            trigger,
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
mod tests;

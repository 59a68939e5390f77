//! Probes one component again and again. Owns its schedule and nothing else: what the outcome
//! means is judged by the supervisor.

use std::sync::Arc;
use std::time::Duration;

use actix::prelude::*;
use tokio::time::Instant;

use super::supervisor::ReportOutbox;
use crate::clock::Clock;
use crate::effects::Probe;
use crate::metrics::Metrics;
use crate::model::{
    ComponentId, Outcome, ProbeObservation, ProbeReport, ProberKind, ReasonKind, Timestamp,
};
use crate::policy::backoff::RespawnSettings;

/// The first probe of a component comes within this time, so that a start is not a burst.
const FIRST_PROBE_WITHIN: Duration = Duration::from_secs(1);

/// What a probe may take beyond its time-out before its prober gives it up.
const PROBE_SLACK: Duration = Duration::from_millis(500);

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
    /// Time.
    pub clock: Clock,
    /// Instruments.
    pub metrics: Metrics,
}

/// The actor.
pub struct Prober {
    parts: ProberParts,
    /// The due time without jitter; advances by whole intervals.
    nominal: Instant,
}

impl Prober {
    /// A prober whose first probe comes at once, or nearly.
    pub fn new(parts: ProberParts) -> Self {
        let nominal = parts.clock.monotonic();
        Self { parts, nominal }
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
            prober.on_probe_done(started_at, duration, observation);
            prober.schedule_next(ctx);
        }));
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
        let now = self.parts.clock.monotonic();
        let interval = self.parts.settings.interval.max(Duration::from_millis(1));
        self.nominal += interval;
        if self.nominal < now {
            let missed = (now - self.nominal).as_nanos() / interval.as_nanos();
            let steps = u32::try_from(missed + 1).unwrap_or(u32::MAX);
            self.nominal += interval * steps;
        }
        let offset = interval.mul_f64(self.parts.settings.jitter.clamp(0.0, 1.0) / 2.0);
        let due = self.nominal + offset.mul_f64(2.0 * fastrand::f64());
        let delay = due.saturating_duration_since(now + offset);
        ctx.run_later(delay, Self::begin_probe);
    }
}

impl Actor for Prober {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        #[cfg(feature = "fault-injection")]
        super::fault_injection::arm(&format!("prober/{}", self.parts.id.component), ctx);
        let spread = self.parts.settings.interval.min(FIRST_PROBE_WITHIN);
        let first = spread.mul_f64(fastrand::f64());
        self.nominal += first;
        ctx.run_later(first, Self::begin_probe);
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

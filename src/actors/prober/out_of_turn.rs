//! Probes between two scheduled ones: asked for when something is known to have changed, never
//! two at a time, never in quick succession. The schedule stays as it is.

use std::time::Duration;

use actix::prelude::*;
use tokio::time::Instant;

use super::Prober;
use crate::model::ProbeTrigger;

/// From the start of one probe to that of one out of turn, at least; so a pod that comes and goes
/// cannot make a storm of probes.
const GAP: Duration = Duration::from_secs(1);

/// Something about the component has changed: probe it out of turn. Several that come before the
/// probe begins are one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Message)]
#[rtype(result = "()")]
pub struct ProbeNow;

/// What is known of probes out of turn.
#[derive(Debug, Default)]
pub(super) struct OutOfTurn {
    /// Asked for, and no probe has begun since.
    wanted: bool,
    /// When the newest probe of either kind has begun.
    newest: Option<Instant>,
}

impl OutOfTurn {
    /// A probe begins: it will see whatever it was wanted for.
    pub(super) fn begun(&mut self, now: Instant) {
        self.wanted = false;
        self.newest = Some(now);
    }

    /// How long the next one has to wait.
    fn gap_left(&self, now: Instant) -> Duration {
        self.newest.map_or(Duration::ZERO, |at| (at + GAP).saturating_duration_since(now))
    }
}

impl Prober {
    fn on_probe_now(&mut self, ctx: &mut Context<Self>) {
        if !std::mem::replace(&mut self.out_of_turn.wanted, true) {
            self.arm_out_of_turn(ctx);
        }
    }

    /// Begins the probe that is wanted, if there is one, or sets the timer for it. A probe under
    /// way may have looked before the change, so another one follows it.
    pub(super) fn arm_out_of_turn(&mut self, ctx: &mut Context<Self>) {
        if !self.out_of_turn.wanted || self.under_way.is_some() {
            return;
        }
        let wait = self.out_of_turn.gap_left(self.parts.clock.monotonic());
        if wait.is_zero() {
            self.when_paced(Self::begin_out_of_turn, ctx);
        } else {
            ctx.run_later(wait, Self::arm_out_of_turn);
        }
    }

    /// A scheduled probe may have come first.
    fn begin_out_of_turn(&mut self, ctx: &mut Context<Self>) {
        if self.out_of_turn.wanted && self.under_way.is_none() {
            self.begin_probe(ProbeTrigger::Change, ctx);
        }
    }
}

impl Handler<ProbeNow> for Prober {
    type Result = ();

    fn handle(&mut self, _: ProbeNow, ctx: &mut Self::Context) {
        self.on_probe_now(ctx);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use async_trait::async_trait;

    use super::super::{ProberParts, ProberSettings};
    use super::*;
    use crate::actors::link::Link;
    use crate::actors::pacer::Pacer;
    use crate::actors::supervisor::{ProbeCompleted, ReportOutbox};
    use crate::actors::testing::{Recorder, in_virtual_time};
    use crate::clock::Clock;
    use crate::effects::Probe;
    use crate::metrics::Metrics;
    use crate::model::{
        ComponentId, Outcome, ProbeObservation, ProbeReport, ProberKind, Timestamp,
    };

    /// Takes a while, and notices when it runs twice at the same time.
    struct Alone {
        takes: Duration,
        running: AtomicUsize,
    }

    #[async_trait]
    impl Probe for Alone {
        async fn probe(&self, _: Duration) -> ProbeObservation {
            assert_eq!(self.running.fetch_add(1, Ordering::SeqCst), 0, "two at a time");
            tokio::time::sleep(self.takes).await;
            self.running.fetch_sub(1, Ordering::SeqCst);
            ProbeObservation::of(Outcome::Healthy)
        }
    }

    async fn seconds(count: f64) {
        tokio::time::sleep(Duration::from_secs_f64(count)).await;
    }

    /// Starts a prober with an interval of 30 s without jitter, lets `script` ask it, and gives
    /// the reports of `seconds` of virtual time.
    fn reports<F>(takes: Duration, script: impl FnOnce(Addr<Prober>) -> F) -> Vec<ProbeReport>
    where
        F: Future<Output = ()>,
    {
        let kept = Arc::new(std::sync::Mutex::new(Vec::new()));
        let given = Arc::clone(&kept);
        in_virtual_time(async move {
            let link = Link::<ProbeCompleted>::new();
            let seen = Recorder::behind(&link);
            let parts = ProberParts {
                id: ComponentId::new("milvus-ha", "querynode"),
                kind: ProberKind::Pods,
                settings: Arc::new(ProberSettings { jitter: 0.0, ..ProberSettings::default() }),
                probe: Arc::new(Alone { takes, running: AtomicUsize::new(0) }),
                reports: ReportOutbox::new(link.clone(), Metrics::default()),
                pacer: Pacer::default(),
                clock: Clock::starting_at(Timestamp::default()),
                metrics: Metrics::default(),
            };
            script(Prober::new(parts).start()).await;
            seconds(1.0).await;
            given.lock().unwrap().extend(seen.lock().unwrap().drain(..).map(|m| m.0));
        });
        std::mem::take(&mut *kept.lock().unwrap())
    }

    fn starts(reports: &[ProbeReport], trigger: ProbeTrigger) -> Vec<u64> {
        let ours = reports.iter().filter(|report| report.trigger == trigger);
        ours.map(|report| report.started_at.as_millis()).collect()
    }

    #[test]
    fn a_change_is_probed_at_once_and_the_schedule_stays_as_it_is() {
        let seen = reports(Duration::from_millis(2), |prober| async move {
            seconds(10.0).await;
            prober.send(ProbeNow).await.unwrap();
            seconds(81.0).await;
        });
        assert_eq!(starts(&seen, ProbeTrigger::Change).len(), 1);
        let at = starts(&seen, ProbeTrigger::Change)[0];
        assert!((10_000..=10_002).contains(&at), "{at}");
        let scheduled = starts(&seen, ProbeTrigger::Schedule);
        assert_eq!(scheduled.len(), 4, "{scheduled:?}");
        for pair in scheduled.windows(2) {
            assert!((29_998..=30_002).contains(&(pair[1] - pair[0])), "{scheduled:?}");
        }
    }

    #[test]
    fn a_pod_that_comes_and_goes_makes_no_storm_of_probes() {
        let seen = reports(Duration::from_millis(2), |prober| async move {
            seconds(2.0).await;
            for _ in 0..10_000 {
                prober.do_send(ProbeNow);
                seconds(0.001).await;
            }
        });
        let extra = starts(&seen, ProbeTrigger::Change);
        assert!((9..=12).contains(&extra.len()), "{extra:?}");
        assert!(extra.windows(2).all(|pair| pair[1] - pair[0] >= 999), "{extra:?}");
    }

    #[test]
    fn a_change_during_a_slow_probe_is_probed_after_it_and_never_beside_it() {
        let seen = reports(Duration::from_secs(4), |prober| async move {
            seconds(2.0).await;
            for _ in 0..20 {
                prober.do_send(ProbeNow);
                seconds(0.1).await;
            }
            seconds(100.0).await;
        });
        assert_eq!(starts(&seen, ProbeTrigger::Change).len(), 1);
        assert_eq!(starts(&seen, ProbeTrigger::Schedule).len(), 4);
    }

    #[test]
    fn a_probe_out_of_turn_that_is_under_way_when_the_scheduled_one_is_due_serves_as_that_one() {
        let seen = reports(Duration::from_secs(4), |prober| async move {
            seconds(29.0).await;
            prober.do_send(ProbeNow);
            seconds(60.0).await;
        });
        assert_eq!(starts(&seen, ProbeTrigger::Change).len(), 0);
        let scheduled = starts(&seen, ProbeTrigger::Schedule);
        assert!((3..=4).contains(&scheduled.len()), "{scheduled:?}");
        assert!((28_999..=29_002).contains(&scheduled[1]), "{scheduled:?}");
        assert!(scheduled[2] - scheduled[0] <= 60_002, "{scheduled:?}");
    }
}

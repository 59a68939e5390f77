//! When a component is probed: at a fixed rate, with a phase of its own. Owns no timer and reads no
//! clock: times are durations since an origin that all schedules of the process share.

use std::time::Duration;

use super::backoff::BackoffSettings;
use super::circuit::CircuitSettings;
use crate::model::ProberKind;

/// No interval is shorter: timers have no finer grain.
const SHORTEST_INTERVAL: Duration = Duration::from_millis(1);

/// Due times lie on a grid that all schedules of the process share, so that a few probes begin
/// together and the process sleeps in between: waking up costs about as much as half a probe. Few
/// enough that no listen queue and no pace notices, and short enough that no schedule does.
const GRAIN: Duration = Duration::from_millis(10);

/// Probes without any answer in a row before a component is probed less often: well beyond every
/// sensible failure_threshold, so that nothing is detected later for it.
const SILENT_AFTER: u32 = 10;

/// A component that does not answer is probed at least once in so many intervals…
const LONGEST_SILENCE: u32 = 5;

/// …and, where its interval is not longer anyway, at least once in this time, so that its recovery
/// is seen soon.
const SEEN_WITHIN: Duration = Duration::from_secs(30);

/// When a target that does not answer is probed less often, and by how much: whole intervals, so
/// that its phase stays. With intervals of half a minute and more nothing changes, and never for
/// what falconer itself may restart, whose recovery somebody waits for.
pub fn silence(kind: ProberKind, interval: Duration) -> CircuitSettings {
    let longest = match kind {
        ProberKind::Http | ProberKind::Tcp | ProberKind::Grpc => LONGEST_SILENCE,
        ProberKind::Milvus
        | ProberKind::Pods
        | ProberKind::Process
        | ProberKind::Resources
        | ProberKind::Platform => 1,
    };
    let interval = interval.max(SHORTEST_INTERVAL);
    let fit = SEEN_WITHIN.as_nanos() / interval.as_nanos();
    let most = u32::try_from(fit).unwrap_or(longest).clamp(1, longest);
    CircuitSettings {
        threshold: SILENT_AFTER,
        backoff: BackoffSettings {
            initial: interval * most.min(2),
            factor: 1.5,
            max: interval * most,
            jitter: 0.0,
        },
        // One prober, one probe under way: there is nobody else to wait for.
        trial_timeout: Duration::ZERO,
    }
}

/// The due times of one component: `phase + n × interval`, each moved by its jitter.
#[derive(Debug, Clone, PartialEq)]
pub struct Schedule {
    interval: Duration,
    /// Half of the jitter, as a time: no due time is moved by more.
    offset: Duration,
    /// The next due time without its jitter.
    next: Duration,
}

impl Schedule {
    /// A schedule whose due times lie `phase` (a share of the interval, 0 to 1) after each multiple
    /// of `interval`. Its first one is the first after `begins_at`, so at most an interval later.
    /// `jitter` is the share of the interval within which a due time is moved, half of it either
    /// way; with 0 the period is exact.
    pub fn new(interval: Duration, jitter: f64, phase: f64, begins_at: Duration) -> Self {
        let interval = interval.max(SHORTEST_INTERVAL);
        let phase = interval.mul_f64(phase.clamp(0.0, 1.0));
        let mut schedule =
            Self { interval, offset: interval.mul_f64(jitter.clamp(0.0, 1.0) / 2.0), next: phase };
        schedule.skip_to(begins_at + Duration::from_nanos(1));
        schedule
    }

    /// The next due time, which is then past for this schedule: on the grid of the process, so up
    /// to a hundredth of a second after the exact one. Due times that have passed at `now`
    /// are left out, never made up for in a burst; so are those of the next `hold`, to the nearest
    /// one. The phase stays. `random` is uniform in 0..1.
    pub fn advance(&mut self, now: Duration, hold: Duration, random: f64) -> Duration {
        self.skip_to(now + hold.saturating_sub(self.interval / 2));
        let nominal = self.next;
        self.next += self.interval;
        let exact = (nominal + self.offset.mul_f64(2.0 * random)).saturating_sub(self.offset);
        on_grid(exact, self.interval)
    }

    fn skip_to(&mut self, at: Duration) {
        let late = at.saturating_sub(self.next).as_nanos();
        let missed = late.div_ceil(self.interval.as_nanos());
        self.next += self.interval * u32::try_from(missed).unwrap_or(u32::MAX);
    }
}

/// The first instant of the grid that is not before `at`. Intervals that are not much longer than
/// the grid's own are left alone.
fn on_grid(at: Duration, interval: Duration) -> Duration {
    if interval < GRAIN * 10 {
        return at;
    }
    let nanos = at.as_nanos().next_multiple_of(GRAIN.as_nanos());
    u64::try_from(nanos).map_or(at, Duration::from_nanos)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn ms(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    #[test]
    fn without_jitter_the_period_is_exact_and_does_not_drift() {
        let mut schedule = Schedule::new(ms(1_000), 0.0, 0.25, ms(10_100));
        let mut now = ms(10_100);
        for turn in 0..1_000 {
            let due = schedule.advance(now, Duration::ZERO, 0.9);
            assert_eq!(due, ms(10_250 + 1_000 * turn));
            now = due + ms(3); // each probe is a little late and takes its time
        }
    }

    #[test]
    fn probes_that_are_due_at_nearly_the_same_time_begin_together() {
        let due = |interval: u64, phase: f64| {
            Schedule::new(ms(interval), 0.0, phase, Duration::ZERO).advance(
                ms(1),
                Duration::ZERO,
                0.0,
            )
        };
        let together = [0.2511, 0.2555, 0.26].map(|phase| due(1_000, phase));
        assert_eq!(together, [ms(260); 3]);
        assert_eq!(due(1_000, 0.2601), ms(270));
        // A schedule as fine as the grid itself stays as it is.
        assert_eq!(due(50, 0.5), ms(25));
    }

    #[test]
    fn due_times_that_have_passed_are_left_out_and_the_phase_stays() {
        let mut schedule = Schedule::new(ms(1_000), 0.0, 0.0, Duration::ZERO);
        assert_eq!(schedule.advance(ms(1), Duration::ZERO, 0.0), ms(1_000));
        assert_eq!(schedule.advance(ms(5_500), Duration::ZERO, 0.0), ms(6_000));
        assert_eq!(schedule.advance(ms(6_010), ms(2_990), 0.0), ms(9_000));
        assert_eq!(schedule.advance(ms(9_010), Duration::ZERO, 0.0), ms(10_000));
    }

    #[test]
    fn a_probe_that_comes_early_by_its_jitter_is_not_made_twice() {
        let mut schedule = Schedule::new(ms(1_000), 0.1, 0.0, Duration::ZERO);
        assert_eq!(schedule.advance(ms(500), Duration::ZERO, 0.0), ms(950));
        assert_eq!(schedule.advance(ms(960), Duration::ZERO, 0.0), ms(1_950));
    }

    #[test]
    fn silence_stretches_an_interval_to_five_and_never_beyond_half_a_minute() {
        let stretch_of = |kind: ProberKind, seconds: u64| {
            let interval = Duration::from_secs(seconds);
            let settings = silence(kind, interval);
            let delays = (0..9).map(|n| settings.backoff.delay(n, 0.3).as_secs_f64());
            delays.map(|delay| delay / interval.as_secs_f64()).collect::<Vec<_>>()
        };
        let stretch = |seconds| stretch_of(ProberKind::Tcp, seconds);
        assert_eq!(stretch(1)[..5], [2.0, 3.0, 4.5, 5.0, 5.0]);
        assert_eq!(stretch(8)[..4], [2.0, 3.0, 3.0, 3.0]);
        assert_eq!(stretch(30)[..3], [1.0, 1.0, 1.0]);
        assert_eq!(stretch(300)[..3], [1.0, 1.0, 1.0]);
        assert_eq!(stretch_of(ProberKind::Pods, 1)[..3], [1.0, 1.0, 1.0], "it may be restarted");
    }

    proptest! {
        #[test]
        fn the_first_due_time_is_within_an_interval_and_jitter_within_its_share(
            interval in 1_u64..100_000,
            phase in 0.0_f64..1.0,
            begins in 0_u64..1_000_000,
            jitter in 0.0_f64..1.0,
            random in 0.0_f64..1.0,
        ) {
            let nominal = |jitter: f64, random: f64| {
                let mut schedule = Schedule::new(ms(interval), jitter, phase, ms(begins));
                schedule.advance(ms(begins), Duration::ZERO, random)
            };
            let exact = nominal(0.0, random);
            prop_assert!(exact > ms(begins) && exact <= ms(begins + interval) + GRAIN);
            let moved = nominal(jitter, random);
            prop_assert!(moved.abs_diff(exact) <= ms(interval).mul_f64(jitter / 2.0) + GRAIN);
        }
    }
}

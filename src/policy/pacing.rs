//! How fast probes may begin, over all components of the process: the start of many is spread, and
//! so is what has become due at once after the process or the machine stood still. Owns no timer
//! and reads no clock: times are durations since one origin.
//!
//! Both limits are a generic cell rate algorithm (ITU-T I.371, virtual scheduling): one number, the
//! theoretical time of the next arrival. Who asks reserves the next free slot and waits for it;
//! nothing is held while a probe is under way, so a target that hangs takes nobody's slot.

use std::time::Duration;

/// First probes a second. A few hundred new connections a second trouble no name server, no
/// connection tracking and no listen queue, and a cluster of ordinary size is seen at once.
const STARTS_PER_SECOND: f64 = 400.0;

/// Probes may begin this many times faster than all schedules together ask for: what is merely
/// uneven (jitter, timers that fire together) never waits, and what a pause has piled up is worked
/// off in a quarter of the time that it would take to come due again.
const HEADROOM: f64 = 4.0;

/// The least rate: so few connections need no pacing.
const LEAST_PER_SECOND: f64 = 1_000.0;

/// Probes that may begin at the same instant: as many as the smallest listen queue in use takes
/// (128, of which a server may share out half to others).
const BURST: u32 = 64;

/// A generic cell rate algorithm.
#[derive(Debug, Clone, Default, PartialEq)]
struct Gcra {
    /// When the next arrival is due at an even rate.
    theoretical: Duration,
}

impl Gcra {
    /// Reserves the next free slot and says how long to wait for it: at most `burst` at one
    /// instant, and `per_second` in the long run.
    fn reserve(&mut self, per_second: f64, burst: u32, now: Duration) -> Duration {
        let increment = Duration::from_secs_f64(1.0 / per_second);
        let tolerance = increment * burst.saturating_sub(1);
        let slot = self.theoretical.max(now);
        self.theoretical = slot + increment;
        slot.saturating_sub(tolerance).saturating_sub(now)
    }
}

/// What a new schedule gets.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Place {
    /// How long to wait for the first probe.
    pub first_in: Duration,
    /// Its phase, as a share of its interval.
    pub phase: f64,
}

/// The pace of the whole process.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Pace {
    starts: Gcra,
    probes: Gcra,
    /// Probes a second that all schedules together ask for.
    load: f64,
    /// Schedules so far.
    joined: u64,
}

impl Pace {
    /// A schedule with this interval begins.
    pub fn join(&mut self, interval: Duration, now: Duration) -> Place {
        self.load += per_second(interval);
        // Where more than that is asked for in the long run, the start need not be slower.
        let first_in = self.starts.reserve(STARTS_PER_SECOND.max(self.load), 1, now);
        let phase = phase(self.joined);
        self.joined += 1;
        Place { first_in, phase }
    }

    /// A schedule with this interval ends.
    pub fn leave(&mut self, interval: Duration) {
        self.load = (self.load - per_second(interval)).max(0.0);
    }

    /// Reserves the next slot for a probe that is due; how long it must wait for it.
    pub fn reserve(&mut self, now: Duration) -> Duration {
        self.probes.reserve(self.limit(), BURST, now)
    }

    /// Probes that may begin in a second.
    fn limit(&self) -> f64 {
        (self.load * HEADROOM).max(LEAST_PER_SECOND)
    }
}

/// Fractional multiples of the golden ratio fill the interval evenly, however many there will be
/// (three-distance theorem); random phases would clump.
fn phase(number: u64) -> f64 {
    const CONJUGATE: u64 = 0x9E37_79B9_7F4A_7C15; // 2^64 / golden ratio
    number.wrapping_mul(CONJUGATE) as f64 / 2.0_f64.powi(64)
}

fn per_second(interval: Duration) -> f64 {
    1.0 / interval.as_secs_f64().max(0.001)
}

#[cfg(test)]
mod tests {
    use super::*;

    const INTERVAL: Duration = Duration::from_secs(30);

    /// The largest number of `times` within any window.
    fn most_within(times: &mut [Duration], window: Duration) -> usize {
        times.sort();
        let count = |(index, first): (usize, &Duration)| {
            times[index..].iter().take_while(|time| **time < *first + window).count()
        };
        times.iter().enumerate().map(count).max().unwrap_or(0)
    }

    #[test]
    fn a_few_start_at_once_and_ten_thousand_within_their_interval() {
        let mut pace = Pace::default();
        let few: Vec<Duration> =
            (0..20).map(|_| pace.join(INTERVAL, Duration::ZERO).first_in).collect();
        assert!(few.iter().all(|wait| *wait < Duration::from_millis(50)), "{few:?}");
        let mut many: Vec<Duration> =
            (20..10_000).map(|_| pace.join(INTERVAL, Duration::ZERO).first_in).collect();
        assert!(most_within(&mut many, Duration::from_secs(1)) <= 401);
        assert!(many.iter().all(|wait| *wait < INTERVAL));
    }

    #[test]
    fn phases_are_spread_over_the_whole_interval_however_many_there_are() {
        for count in [10, 100, 1_000, 10_000] {
            let mut pace = Pace::default();
            let mut phases: Vec<Duration> = (0..count)
                .map(|_| Duration::from_secs(1).mul_f64(pace.join(INTERVAL, INTERVAL).phase))
                .collect();
            let tenth = most_within(&mut phases, Duration::from_millis(100));
            assert!(tenth <= count / 10 + 4, "{tenth} of {count} within a tenth");
        }
    }

    #[test]
    fn a_normal_schedule_never_waits_and_what_a_pause_piled_up_is_spread() {
        let mut pace = Pace::default();
        for _ in 0..10_000 {
            pace.join(INTERVAL, Duration::ZERO);
        }
        let gap = Duration::from_secs_f64(30.0 / 10_000.0);
        let minute = |pace: &mut Pace| {
            (0..20_000_u32).map(|n| pace.reserve(INTERVAL + gap * n)).max().expect("some")
        };
        assert_eq!(minute(&mut pace), Duration::ZERO);
        let now = Duration::from_secs(600);
        let mut waits: Vec<Duration> = (0..10_000).map(|_| pace.reserve(now)).collect();
        let most = most_within(&mut waits, Duration::from_millis(100));
        assert!(most <= 64 + 134, "{most} at once");
        let last = *waits.iter().max().expect("some");
        assert!(last < INTERVAL / 3, "over after {last:?}");
    }

    #[test]
    fn who_leaves_takes_its_share_of_the_rate_along() {
        let mut pace = Pace::default();
        for _ in 0..1_000 {
            pace.join(Duration::from_millis(100), Duration::ZERO);
        }
        assert!((pace.limit() - 40_000.0).abs() < 1.0);
        for _ in 0..1_000 {
            pace.leave(Duration::from_millis(100));
        }
        assert!((pace.limit() - LEAST_PER_SECOND).abs() < 1e-6);
    }
}

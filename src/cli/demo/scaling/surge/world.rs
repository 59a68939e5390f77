//! Query nodes in simulated time: pods that need a while to be ready, and another one to load their
//! segments; until then the others bear the load alone.

use std::time::Duration;

/// A step of the simulation.
pub(super) const TICK: Duration = Duration::from_secs(5);
/// The load is calm, rises, stays, falls, and is calm again.
const CALM: Duration = Duration::from_mins(1);
const RISES: Duration = Duration::from_mins(5);
const STAYS: Duration = Duration::from_mins(2);
const FALLS: Duration = Duration::from_mins(5);
/// The end of it.
pub(super) const END: Duration = Duration::from_mins(30);
/// CPU in per cent of the request: what every rule aims at.
pub(super) const TARGET: u32 = 70;
/// What a pod requests, in thousandths of a core.
pub(super) const REQUEST_MILLI: u64 = 1_000;
/// What it may use at most.
const LIMIT_MILLI: u64 = 2_000;
/// What a pod uses that serves nothing.
const IDLE_MILLI: u64 = 20;
/// From a pod's creation until it is ready.
const READY_AFTER: Duration = Duration::from_secs(20);
/// From then until it has loaded its segments.
const SERVES_AFTER: Duration = Duration::from_secs(25);
/// At first.
const REPLICAS: u32 = 2;

/// The load before it is measured, in cores.
pub(super) fn cores_at(at: Duration) -> f64 {
    const LOW: f64 = 1.2;
    const HIGH: f64 = 6.0;
    let share = |since: Duration, of: Duration| since.as_secs_f64() / of.as_secs_f64();
    let (top, fall) = (CALM + RISES, CALM + RISES + STAYS);
    if at < CALM || at >= fall + FALLS {
        LOW
    } else if at < top {
        LOW + (HIGH - LOW) * share(at.saturating_sub(CALM), RISES)
    } else if at < fall {
        HIGH
    } else {
        HIGH - (HIGH - LOW) * share(at.saturating_sub(fall), FALLS)
    }
}

/// One pod.
#[derive(Debug, Clone, Copy)]
pub(super) struct SimPod {
    pub(super) number: u32,
    pub(super) created: Duration,
    pub(super) is_ready: bool,
    pub(super) serves: bool,
    pub(super) cpu_milli: u64,
}

/// See the module's description.
#[derive(Debug)]
pub(super) struct World {
    pub(super) now: Duration,
    pub(super) pods: Vec<SimPod>,
    made: u32,
    noise: fastrand::Rng,
}

impl World {
    pub(super) fn new() -> Self {
        // The same noise for every rule, and each time.
        let mut world = Self {
            now: Duration::ZERO,
            pods: Vec::new(),
            made: 0,
            noise: fastrand::Rng::with_seed(7),
        };
        world.set_replicas(REPLICAS);
        for pod in &mut world.pods {
            (pod.is_ready, pod.serves) = (true, true);
        }
        world
    }

    pub(super) fn replicas(&self) -> u32 {
        u32::try_from(self.pods.len()).unwrap_or(u32::MAX)
    }

    /// Adds pods, or takes the youngest away.
    pub(super) fn set_replicas(&mut self, replicas: u32) {
        self.pods.truncate(replicas as usize);
        while self.replicas() < replicas {
            self.made += 1;
            self.pods.push(SimPod {
                number: self.made,
                created: self.now,
                is_ready: false,
                serves: false,
                cpu_milli: IDLE_MILLI,
            });
        }
    }

    /// Lets time pass until `now`.
    pub(super) fn advance(&mut self, now: Duration) {
        self.now = now;
        for pod in &mut self.pods {
            let age = now.saturating_sub(pod.created);
            pod.is_ready |= age >= READY_AFTER;
            pod.serves |= age >= READY_AFTER + SERVES_AFTER;
        }
        let serving = self.serving().max(1);
        // What is measured is never quite what is.
        let noise = 0.92 + 0.16 * self.noise.f64();
        let share = (cores_at(now) * 1_000.0 * noise / serving as f64) as u64;
        for pod in &mut self.pods {
            let load = if pod.serves { share } else { 0 };
            pod.cpu_milli = (IDLE_MILLI + load).min(LIMIT_MILLI);
        }
    }

    pub(super) fn serving(&self) -> u64 {
        self.pods.iter().filter(|pod| pod.serves).count() as u64
    }

    /// Whether those that serve bear more than their share, noise apart.
    pub(super) fn is_above_target(&self) -> bool {
        let room = self.serving() as f64 * REQUEST_MILLI as f64 * f64::from(TARGET) / 100.0;
        cores_at(self.now) * 1_000.0 > room
    }
}

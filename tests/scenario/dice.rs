//! The seeded dice of a run: every fault, delay and setting is drawn here.

use std::time::Duration;

use fastrand::Rng;

/// A seeded source of randomness.
pub struct Dice(Rng);

impl Dice {
    /// The dice of this seed.
    pub fn new(seed: u64) -> Self {
        // Neighbouring seeds must not begin alike.
        Self(Rng::with_seed(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0x5eed))
    }

    /// True with this probability.
    pub fn chance(&mut self, probability: f64) -> bool {
        self.0.f64() < probability
    }

    /// Whether something that happens `per_hour` times an hour happens in this second.
    pub fn now(&mut self, per_hour: f64) -> bool {
        self.chance(per_hour / 3_600.0)
    }

    /// A number from `from` up to and including `to`.
    pub fn number(&mut self, from: u64, to: u64) -> u64 {
        self.0.u64(from..=to)
    }

    /// The same for what counts replicas.
    pub fn count(&mut self, from: u32, to: u32) -> u32 {
        self.0.u32(from..=to)
    }

    /// An index below `length`.
    pub fn index(&mut self, length: usize) -> usize {
        self.0.usize(0..length)
    }

    /// From 0 to 1.
    pub fn share(&mut self) -> f64 {
        self.0.f64()
    }

    /// Whole seconds.
    pub fn seconds(&mut self, from: u64, to: u64) -> Duration {
        Duration::from_secs(self.number(from, to))
    }

    /// Milliseconds.
    pub fn millis(&mut self, from: u64, to: u64) -> Duration {
        Duration::from_millis(self.number(from, to))
    }

    /// One of these.
    pub fn one<T: Clone>(&mut self, of: &[T]) -> T {
        of[self.0.usize(0..of.len())].clone()
    }

    /// One of these numbers of seconds.
    pub fn one_of_seconds(&mut self, of: &[u64]) -> Duration {
        Duration::from_secs(self.one(of))
    }
}

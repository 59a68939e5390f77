//! `backoff` and `respawn` of several tables: how an actor is made anew after it has ended.

use serde::{Deserialize, Serialize};

use crate::config::values::HumanDuration;
use crate::policy::backoff as policy;

/// Exponential back-off.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct BackoffSettings {
    /// The first delay.
    pub initial: HumanDuration,
    /// Each next delay is this many times longer.
    pub factor: f64,
    /// No delay is longer, before jitter.
    pub max: HumanDuration,
    /// A delay is changed by up to this share of itself; 0 to 1.
    pub jitter: f64,
}

impl Default for BackoffSettings {
    fn default() -> Self {
        Self {
            initial: HumanDuration::from_secs(1),
            factor: 2.0,
            max: HumanDuration::from_secs(300),
            jitter: 0.2,
        }
    }
}

impl BackoffSettings {
    /// The same as the policy takes it.
    pub fn to_policy(&self) -> policy::BackoffSettings {
        policy::BackoffSettings {
            initial: self.initial.get(),
            factor: self.factor,
            max: self.max.get(),
            jitter: self.jitter,
        }
    }
}

/// How often an actor may end before its parent fails with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct RespawnLimit {
    /// So many times.
    pub burst: u32,
    /// In this time.
    pub per: HumanDuration,
}

impl Default for RespawnLimit {
    fn default() -> Self {
        Self { burst: 10, per: HumanDuration::from_secs(600) }
    }
}

impl RespawnLimit {
    /// The same, with a back-off beside it, as the policy takes it.
    pub fn to_policy(self, backoff: &BackoffSettings) -> policy::RespawnSettings {
        policy::RespawnSettings {
            backoff: backoff.to_policy(),
            intensity: policy::Intensity { burst: self.burst as usize, window: self.per.get() },
        }
    }
}

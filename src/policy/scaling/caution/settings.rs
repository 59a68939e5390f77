//! The numbers of the caution.

use std::time::Duration;

use serde::Serialize;

use crate::model::Percent;

/// How much care is taken of what holds data.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct CautionSettings {
    /// Whether any is.
    pub enabled: bool,
    /// The forecast memory of every query node that remains stays below this share of its limit.
    pub memory_percent: Percent,
    /// Nothing older than this is believed.
    pub evidence_age: Duration,
    /// Whether a query node is emptied before it is taken away.
    pub drain: bool,
    /// How long that may take; then the node is given back.
    pub drain_timeout: Duration,
    /// After one was taken away without being emptied, so long no other one is.
    pub undrained_wait: Duration,
    /// How long new query nodes are waited for until they serve, before more are added.
    pub serving_timeout: Duration,
    /// The second threshold: load that is so many times its threshold waits for nothing.
    pub urgent_pressure: f64,
}

impl Default for CautionSettings {
    fn default() -> Self {
        Self {
            enabled: true,
            memory_percent: 80,
            evidence_age: Duration::from_secs(60),
            drain: true,
            drain_timeout: Duration::from_mins(30),
            undrained_wait: Duration::from_mins(10),
            serving_timeout: Duration::from_mins(10),
            urgent_pressure: 1.3,
        }
    }
}

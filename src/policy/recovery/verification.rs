//! Whether an action helped. Owns the rule, never asks anybody.

use std::fmt;
use std::time::Duration;

use super::refusal::words;
use super::settings::RecoverySettings;
use super::under_way::{ActionUnderWay, RolloutProgress};
use crate::model::Timestamp;

/// What is known of an action so far.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verification {
    /// Rolled out and healthy.
    Recovered {
        /// How long after the platform accepted it.
        took: Duration,
    },
    /// The pod was replaced and its replacement is well; others that were sick before still are.
    PodReplaced {
        /// How long after the platform accepted it.
        took: Duration,
    },
    /// It did not help.
    NotRecovered {
        /// Why.
        reason: VerificationFailure,
    },
    /// Too early to tell.
    Pending,
}

/// Why an action did not help.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum VerificationFailure {
    /// The platform says that the rollout will not complete.
    RolloutFailed {
        /// The platform's words.
        message: String,
    },
    /// The rollout did not finish in time.
    NotRolledOut {
        /// The time it had.
        timeout: Duration,
        /// What was last known of it.
        last: String,
    },
    /// It was rolled out, but the component did not become healthy in time.
    NotHealthy {
        /// The time it had.
        timeout: Duration,
    },
}

impl fmt::Display for VerificationFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::RolloutFailed { message } => write!(f, "the rollout failed: {message}"),
            Self::NotRolledOut { timeout, last } => {
                write!(f, "not rolled out within {}: {last}", words(*timeout))
            }
            Self::NotHealthy { timeout } => {
                write!(f, "rolled out, but not healthy within {}", words(*timeout))
            }
        }
    }
}

/// Whether what was sick before is all that still is, but for the pod that was removed.
fn only_others_are_sick(action: &ActionUnderWay) -> bool {
    let (Some(pod), Some(after)) = (&action.pod, &action.sick_after) else { return false };
    !after.is_empty() && !after.contains(&pod.name) && after.is_subset(&action.sick_before)
}

/// Judges `action` at `now`.
pub fn verify(
    action: &ActionUnderWay,
    settings: &RecoverySettings,
    now: Timestamp,
) -> Verification {
    let Some(accepted_at) = action.accepted_at else {
        return Verification::Pending;
    };
    if let RolloutProgress::Failed { message } = &action.rollout {
        let reason = VerificationFailure::RolloutFailed { message: message.clone() };
        return Verification::NotRecovered { reason };
    }
    let rolled_out = action.rollout == RolloutProgress::Complete;
    if rolled_out && action.healthy_since.is_some() {
        return Verification::Recovered { took: now.since(accepted_at) };
    }
    if rolled_out && only_others_are_sick(action) {
        return Verification::PodReplaced { took: now.since(accepted_at) };
    }
    let timeout = settings.verify_timeout;
    if now.since(accepted_at) < timeout {
        return Verification::Pending;
    }
    let reason = if rolled_out {
        VerificationFailure::NotHealthy { timeout }
    } else {
        VerificationFailure::NotRolledOut { timeout, last: action.rollout.to_string() }
    };
    Verification::NotRecovered { reason }
}

//! The closed sets that records are made of. Their names are those in the file.

use serde::{Deserialize, Serialize};

/// What a guard says; a closed set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum GuardWord {
    /// It has nothing against the action.
    Pass,
    /// It refuses the action.
    Refuse,
    /// The action may be right, but not yet.
    Wait,
    /// A person is needed.
    Escalate,
    /// There was nothing to guard.
    #[serde(rename = "not_asked")]
    NotAsked,
}

impl GuardWord {
    /// As it stands in the file.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Refuse => "refuse",
            Self::Wait => "wait",
            Self::Escalate => "escalate",
            Self::NotAsked => "not_asked",
        }
    }
}

/// What was decided; a closed set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DecisionVerdict {
    /// A step is taken.
    Act,
    /// Nothing is done.
    Refuse,
    /// Nothing is done yet.
    Wait,
    /// It is left to a person.
    Escalate,
}

impl DecisionVerdict {
    /// As it stands in the file.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Act => "act",
            Self::Refuse => "refuse",
            Self::Wait => "wait",
            Self::Escalate => "escalate",
        }
    }
}

/// Where an action is; a closed set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ActionPhase {
    /// It is about to be asked for: written before it is.
    Begun,
    /// The platform accepted it; whether it helps is being watched.
    Accepted,
    /// It was verified: it helped.
    Succeeded,
    /// It was verified: it did not help in time.
    Failed,
    /// The platform refused it or could not be reached.
    Error,
    /// Dry-run: only shown.
    DryRun,
    /// falconer cannot know what became of it, e.g. because it was killed meanwhile.
    Unknown,
}

impl ActionPhase {
    /// As it stands in the file.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Begun => "begun",
            Self::Accepted => "accepted",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Error => "error",
            Self::DryRun => "dry_run",
            Self::Unknown => "unknown",
        }
    }
}

/// Where a piece of evidence is from; a closed set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EvidenceSource {
    /// The last lines of a log.
    Log,
    /// What the platform says of an object.
    Event,
    /// The last results of a probe.
    Probe,
}

impl EvidenceSource {
    /// As it stands in the file.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Log => "log",
            Self::Event => "event",
            Self::Probe => "probe",
        }
    }
}

/// What became of an alert; a closed set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AlertChange {
    /// It began.
    Raised,
    /// What is known or done has changed.
    Updated,
    /// It is over.
    Resolved,
    /// Somebody looks after it.
    Acknowledged,
    /// Somebody else is called, because nobody has acknowledged it.
    Escalated,
    /// Somebody wants to hear nothing of such alerts for a time.
    Silenced,
    /// Somebody wants to hear of them again.
    Expired,
}

impl AlertChange {
    /// As it stands in the file.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Raised => "raised",
            Self::Updated => "updated",
            Self::Resolved => "resolved",
            Self::Acknowledged => "acknowledged",
            Self::Escalated => "escalated",
            Self::Silenced => "silenced",
            Self::Expired => "expired",
        }
    }
}

/// What became of a message to a receiver; a closed set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DeliveryOutcome {
    /// It was made, and is about to be sent for the first time.
    Made,
    /// The receiver accepted it.
    Delivered,
    /// An attempt failed; another one follows.
    Failed,
    /// No attempt succeeded in time, and none follows.
    GivenUp,
    /// Its receiver is not configured any more.
    Dropped,
}

impl DeliveryOutcome {
    /// As it stands in the file.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Made => "made",
            Self::Delivered => "delivered",
            Self::Failed => "failed",
            Self::GivenUp => "given_up",
            Self::Dropped => "dropped",
        }
    }
}

/// Who may act; a closed set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LeadershipChange {
    /// This process leads from now on.
    Gained,
    /// This process leads no more.
    Lost,
}

impl LeadershipChange {
    /// As it stands in the file.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Gained => "gained",
            Self::Lost => "lost",
        }
    }
}

/// What became of a circuit breaker; a closed set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum BreakerChange {
    /// Nothing more is done until a person resets it.
    Tripped,
    /// A person reset it.
    Reset,
}

impl BreakerChange {
    /// As it stands in the file.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Tripped => "tripped",
            Self::Reset => "reset",
        }
    }
}

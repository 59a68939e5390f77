//! The kinds of records, and how long each is worth its room.

use serde::{Deserialize, Serialize};

/// What kind of record; a closed set, used as a metric label and in the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum JournalKind {
    /// A probe ended.
    Probe,
    /// A component's state changed.
    State,
    /// It was decided whether to act.
    Decision,
    /// An action began or ended.
    Action,
    /// What was saved before something was taken away.
    Evidence,
    /// An alert was raised, updated or resolved.
    Alert,
    /// A receiver was told, or could not be.
    Delivery,
    /// This process may act, or may not.
    Leadership,
    /// A circuit breaker tripped or was reset.
    Breaker,
    /// The configuration was read again.
    Reload,
    /// It was decided whether to change replicas.
    Scaling,
}

impl JournalKind {
    /// Every kind.
    pub const ALL: [Self; 11] = [
        Self::Probe,
        Self::State,
        Self::Decision,
        Self::Action,
        Self::Evidence,
        Self::Alert,
        Self::Delivery,
        Self::Leadership,
        Self::Breaker,
        Self::Reload,
        Self::Scaling,
    ];

    /// The value of the metric label, and of the column `kind`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Probe => "probe",
            Self::State => "state",
            Self::Decision => "decision",
            Self::Action => "action",
            Self::Evidence => "evidence",
            Self::Alert => "alert",
            Self::Delivery => "delivery",
            Self::Leadership => "leadership",
            Self::Breaker => "breaker",
            Self::Reload => "reload",
            Self::Scaling => "scaling",
        }
    }

    /// Whether some of these may be lost when too many come at once.
    pub const fn may_be_lost(self) -> bool {
        self.rank() == 0
    }

    /// In which order kinds give way when the journal is too large: 0 first, [`Self::LAST_RANK`]
    /// last.
    pub const fn rank(self) -> u8 {
        match self {
            Self::Probe => 0,
            Self::Evidence => 1,
            Self::State
            | Self::Alert
            | Self::Delivery
            | Self::Leadership
            | Self::Reload
            | Self::Scaling => 2,
            Self::Decision | Self::Action | Self::Breaker => 3,
        }
    }

    /// The highest rank.
    pub const LAST_RANK: u8 = 3;
}

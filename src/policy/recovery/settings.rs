//! What may be done how often, as in `[recoverer]` and `[recoverer.<component>]`.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// One rung of the ladder; the next one is taken when one did not help.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LadderStep {
    /// A rolling restart of the workload, as `kubectl rollout restart` does it.
    RolloutRestart,
    /// Leave it to a person.
    Escalate,
}

/// A step that is carried out by the platform.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ActionStep {
    /// A rolling restart.
    RolloutRestart,
}

impl ActionStep {
    /// The name of the step in `actors.toml`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::RolloutRestart => LadderStep::RolloutRestart.as_str(),
        }
    }
}

impl LadderStep {
    /// What the platform is asked for; `None` where a person is.
    pub const fn action(self) -> Option<ActionStep> {
        match self {
            Self::RolloutRestart => Some(ActionStep::RolloutRestart),
            Self::Escalate => None,
        }
    }

    /// The name as it stands in `actors.toml`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::RolloutRestart => "rollout_restart",
            Self::Escalate => "escalate",
        }
    }
}

/// At most `actions` in any time of length `per`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Budget {
    /// How many.
    pub actions: usize,
    /// In which time.
    pub per: Duration,
}

/// What holds for one component.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RecoverySettings {
    /// Whether anything is done at all.
    pub enabled: bool,
    /// What to try, in this order.
    pub ladder: Vec<LadderStep>,
    /// The least time between the starts of two actions on the component.
    pub cooldown: Duration,
    /// How many actions on the component.
    pub budget: Budget,
    /// How long after an action the component may take to roll out and be healthy.
    pub verify_timeout: Duration,
    /// How long at most an action waits until every dependency and every other component was
    /// probed since the incident began, so that a common cause can show itself.
    pub settle: Duration,
    /// A component that was not sick for this long starts again at the foot of its ladder.
    pub ladder_memory: Duration,
    /// A component that is sick again this soon after its recovery was not helped by the step: the
    /// next one follows. Zero: cooldown and budget alone bound how often a step that helps is taken.
    pub recurrence_window: Duration,
}

impl Default for RecoverySettings {
    fn default() -> Self {
        Self {
            enabled: true,
            ladder: vec![LadderStep::RolloutRestart, LadderStep::Escalate],
            cooldown: Duration::from_mins(5),
            budget: Budget { actions: 3, per: Duration::from_hours(1) },
            verify_timeout: Duration::from_mins(10),
            settle: Duration::from_mins(1),
            ladder_memory: Duration::from_mins(30),
            recurrence_window: Duration::from_mins(10),
        }
    }
}

/// What holds for all components together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct GlobalSettings {
    /// How many actions on all components of all clusters (`global_budget`).
    pub budget: Budget,
    /// How many actions at the same time in one cluster, verification included.
    pub max_concurrent: usize,
}

impl Default for GlobalSettings {
    fn default() -> Self {
        Self { budget: Budget { actions: 10, per: Duration::from_hours(1) }, max_concurrent: 1 }
    }
}

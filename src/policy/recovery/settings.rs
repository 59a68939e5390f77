//! What may be done how often, as in `[recoverer]` and `[recoverer.<component>]`.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// One rung of the ladder; the next one is taken when one did not help.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LadderStep {
    /// The sick pods only, one at a time, by eviction.
    DeletePod,
    /// A rolling restart of the workload, as `kubectl rollout restart` does it.
    RolloutRestart,
    /// Back to the revision before, where the sickness began with the newest one.
    Rollback,
    /// Leave it to a person.
    Escalate,
}

impl LadderStep {
    /// The name as it stands in `actors.toml`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::DeletePod => "delete_pod",
            Self::RolloutRestart => "rollout_restart",
            Self::Rollback => "rollback",
            Self::Escalate => "escalate",
        }
    }
}

/// A step that is carried out by the platform.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ActionStep {
    /// The eviction of one sick pod.
    DeletePod,
    /// The removal of a pod that hangs in its end; no rung of the ladder.
    ForceDelete,
    /// A rolling restart.
    RolloutRestart,
    /// A return to the revision before.
    Rollback,
}

impl ActionStep {
    /// The name of the step, as in `actors.toml` where it is a rung.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::DeletePod => LadderStep::DeletePod.as_str(),
            Self::ForceDelete => "force_delete",
            Self::RolloutRestart => LadderStep::RolloutRestart.as_str(),
            Self::Rollback => LadderStep::Rollback.as_str(),
        }
    }

    /// Whether it is a rung of the ladder, so that the next one follows where it did not help.
    pub const fn is_rung(self) -> bool {
        match self {
            Self::DeletePod | Self::RolloutRestart | Self::Rollback => true,
            Self::ForceDelete => false,
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
    /// Whether somebody wrote the ladder for this very component: what has one instance only is not
    /// touched without.
    pub explicit_ladder: bool,
    /// A pod that takes this long to end hangs and is removed by force; `None`: it is reported only.
    pub force_delete_after: Option<Duration>,
    /// A sickness that began this soon after the newest revision began with it.
    pub rollback_window: Duration,
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
            ladder: vec![LadderStep::DeletePod, LadderStep::RolloutRestart, LadderStep::Escalate],
            explicit_ladder: false,
            force_delete_after: None,
            rollback_window: Duration::from_hours(1),
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
    /// How many actions on all components of one cluster (`cluster_budget`).
    pub cluster_budget: Budget,
    /// How many actions at the same time in one cluster, verification included.
    pub max_concurrent: usize,
}

impl Default for GlobalSettings {
    fn default() -> Self {
        let budget = Budget { actions: 10, per: Duration::from_hours(1) };
        Self { budget, cluster_budget: budget, max_concurrent: 1 }
    }
}

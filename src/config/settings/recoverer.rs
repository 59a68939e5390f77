//! `[recoverer]` and `[recoverer.COMPONENT]`: whether, how and how often workloads are restarted.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize, Serializer};

use super::respawn::RespawnLimit;
use super::window::MaintenanceWindow;
use crate::config::values::{self, HumanDuration};

/// `[recoverer]` itself and, by component, the result of laying `[recoverer.COMPONENT]` over it.
#[derive(Debug, Clone, PartialEq, Default, Deserialize)]
#[serde(default)]
pub struct RecovererSettings {
    /// The keys of `[recoverer]`.
    pub defaults: RecovererDefaults,
    /// The components that have a table of their own, each with the defaults already filled in.
    pub components: BTreeMap<String, RecoverySettings>,
}

impl RecovererSettings {
    /// How `component` is restarted, whether it has a table of its own or not.
    pub fn component(&self, component: &str) -> RecoverySettings {
        match self.components.get(component) {
            Some(settings) => settings.clone(),
            None => RecoverySettings::from(&self.defaults),
        }
    }

    /// Notes which components have a ladder of their own in `user`, the shape of the file with the
    /// environment laid over it.
    pub(crate) fn note_explicit_ladders(&mut self, user: &serde_json::Value) {
        let table = user.get("recoverer");
        for (name, component) in &mut self.components {
            let own = table.and_then(|table| table.get(name)?.get("ladder"));
            component.explicit_ladder = own.is_some();
        }
    }
}

/// In the shape of the file: the defaults' keys beside the components' tables.
impl Serialize for RecovererSettings {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Flat<'a> {
            #[serde(flatten)]
            defaults: &'a RecovererDefaults,
            #[serde(flatten)]
            components: &'a BTreeMap<String, RecoverySettings>,
        }
        Flat { defaults: &self.defaults, components: &self.components }.serialize(serializer)
    }
}

/// One step of the ladder, tried in order until one helps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LadderStep {
    /// Delete the sick pods.
    DeletePod,
    /// Restart the workload, pod by pod.
    RolloutRestart,
    /// Return to the revision before the newest one, if the sickness began with that.
    Rollback,
    /// Leave it to a person.
    Escalate,
}

/// So many actions in a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Budget {
    /// How many.
    pub actions: u32,
    /// In this time.
    pub per: HumanDuration,
}

impl Default for Budget {
    fn default() -> Self {
        Self { actions: 3, per: HumanDuration::from_secs(3_600) }
    }
}

/// The keys of `[recoverer]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct RecovererDefaults {
    /// Whether anything is restarted at all.
    pub enabled: bool,
    /// Whether actions are only shown.
    pub dry_run: bool,
    /// The steps, in order.
    pub ladder: Vec<LadderStep>,
    /// Between two actions on one component.
    pub cooldown: HumanDuration,
    /// How long an action may take to show that it helped.
    pub verify_timeout: HumanDuration,
    /// Recoveries at the same time, at most.
    pub max_concurrent: u32,
    /// Actions on one component.
    pub budget: Budget,
    /// Actions on the components of one cluster.
    pub cluster_budget: Budget,
    /// Actions on everything.
    pub global_budget: Budget,
    /// A pod that takes this long to end is removed by force; zero = never.
    #[serde(deserialize_with = "values::duration_or_none")]
    pub force_delete_after: HumanDuration,
    /// A sickness that began this soon after a rollout began with it.
    pub rollback_window: HumanDuration,
    /// What is sick again this soon was not helped: the next step follows.
    pub recurrence_window: HumanDuration,
    /// How long an action waits for the logs and events of its pods.
    pub evidence_timeout: HumanDuration,
    /// Times of the week in which nothing is done.
    pub maintenance: Vec<MaintenanceWindow>,
    /// How often the actor may be made anew.
    pub respawn: RespawnLimit,
}

impl Default for RecovererDefaults {
    fn default() -> Self {
        Self {
            enabled: true,
            dry_run: false,
            ladder: vec![LadderStep::DeletePod, LadderStep::RolloutRestart, LadderStep::Escalate],
            cooldown: HumanDuration::from_secs(300),
            verify_timeout: HumanDuration::from_secs(600),
            max_concurrent: 1,
            budget: Budget::default(),
            cluster_budget: Budget { actions: 10, ..Budget::default() },
            global_budget: Budget { actions: 10, ..Budget::default() },
            force_delete_after: HumanDuration::default(),
            rollback_window: HumanDuration::from_secs(3_600),
            recurrence_window: HumanDuration::from_secs(600),
            evidence_timeout: HumanDuration::from_secs(5),
            maintenance: Vec::new(),
            respawn: RespawnLimit::default(),
        }
    }
}

/// How one component is restarted, everything resolved.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct RecoverySettings {
    /// Whether it is restarted at all.
    pub enabled: bool,
    /// Whether actions are only shown.
    pub dry_run: bool,
    /// The steps, in order.
    pub ladder: Vec<LadderStep>,
    /// Between two actions on it.
    pub cooldown: HumanDuration,
    /// How long an action may take to show that it helped.
    pub verify_timeout: HumanDuration,
    /// Actions on it.
    pub budget: Budget,
    /// A pod of it that takes this long to end is removed by force; zero = never.
    #[serde(deserialize_with = "values::duration_or_none")]
    pub force_delete_after: HumanDuration,
    /// A sickness that began this soon after a rollout began with it.
    pub rollback_window: HumanDuration,
    /// Where it is sick again this soon, the step before did not help.
    pub recurrence_window: HumanDuration,
    /// Whether the ladder was written for this very component, not for all.
    #[serde(skip)]
    pub explicit_ladder: bool,
}

impl From<&RecovererDefaults> for RecoverySettings {
    fn from(defaults: &RecovererDefaults) -> Self {
        Self {
            enabled: defaults.enabled,
            dry_run: defaults.dry_run,
            ladder: defaults.ladder.clone(),
            cooldown: defaults.cooldown,
            verify_timeout: defaults.verify_timeout,
            budget: defaults.budget,
            force_delete_after: defaults.force_delete_after,
            rollback_window: defaults.rollback_window,
            recurrence_window: defaults.recurrence_window,
            explicit_ladder: false,
        }
    }
}

impl Default for RecoverySettings {
    fn default() -> Self {
        Self::from(&RecovererDefaults::default())
    }
}

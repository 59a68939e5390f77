//! What falconer asked the platform for, from its decision to its end, as the platform sees it.

use std::time::Duration;

use falconer::model::{ComponentId, Timestamp, WorkloadRef};

use super::workload::{Growth, Remedy, Rollout};
use super::{At, State};

/// What was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum What {
    /// A rolling restart.
    Restart {
        /// Its idempotency key.
        key: String,
        /// What is written into the workload.
        stamp: Timestamp,
    },
    /// Other replicas.
    Scale {
        /// From this number.
        from: u32,
        /// To this number.
        to: u32,
    },
}

/// What became of the call, as far as falconer can know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// It goes on.
    Running,
    /// The platform said yes.
    Taken(Timestamp),
    /// The platform said no.
    Refused(Timestamp),
    /// What it was based on is not so any more: it may be decided anew at once.
    Outdated(Timestamp),
    /// No answer came in time.
    Lost(Timestamp),
    /// Whoever asked died before the answer.
    Abandoned(Timestamp),
    /// It never arrived, as falconer has found out since.
    NeverArrived(Timestamp),
}

/// One call.
#[derive(Debug, Clone)]
pub struct Action {
    /// On which target.
    pub at: At,
    /// On which workload.
    pub workload: WorkloadRef,
    /// What was asked for.
    pub what: What,
    /// When it was decided.
    pub decided_at: Timestamp,
    /// When the platform was called.
    pub began_at: Timestamp,
    /// Whether the platform did it.
    pub executed: bool,
    /// What became of the call.
    pub end: End,
    /// Whether falconer was told that it failed.
    pub told_failed: bool,
}

/// A restart that was decided; a repeated try belongs to the same decision.
#[derive(Debug, Clone)]
pub struct Decision {
    /// Its key.
    pub key: String,
    /// On which target.
    pub at: At,
    /// When it was last tried.
    pub decided_at: Timestamp,
    /// What it writes.
    pub stamp: Timestamp,
    /// How its tries ended.
    pub tries: Vec<usize>,
}

impl End {
    /// In a word.
    pub const fn words(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Taken(_) => "taken",
            Self::Refused(_) => "refused",
            Self::Outdated(_) => "outdated",
            Self::Lost(_) => "answer lost",
            Self::Abandoned(_) => "abandoned",
            Self::NeverArrived(_) => "never arrived",
        }
    }
}

impl What {
    /// In words.
    pub fn words(&self) -> String {
        match self {
            Self::Restart { key, .. } => format!("restart {key}"),
            Self::Scale { from, to } => format!("scale from {from} to {to}"),
        }
    }
}

impl State {
    /// Whether falconer must know that `action` of `cluster` is still under way.
    pub fn is_under_way(&self, cluster: usize, index: usize) -> bool {
        let action = &self.clusters[cluster].actions[index];
        let since = match action.end {
            End::Running => return true,
            End::Refused(_) | End::Outdated(_) | End::Lost(_) | End::NeverArrived(_) => {
                return false;
            }
            End::Taken(at) | End::Abandoned(at) => at,
        };
        let settings = &self.plan.settings;
        let id: &ComponentId = &self.target(action.at).id;
        let limit = match action.what {
            What::Restart { .. } => settings.recoverer.for_component(id).verify_timeout,
            What::Scale { .. } => settings.scaler.ready_timeout,
        };
        let over = action.told_failed || self.now().since(since) >= limit;
        action.executed && !over && self.is_unfinished(action.at, index)
    }

    /// Whether the pods are still being replaced or made because of this action.
    fn is_unfinished(&self, at: At, index: usize) -> bool {
        let Some(run) = &self.target(at).run else { return false };
        let rolls = run.rollout.as_ref().is_some_and(|rollout| rollout.action == Some(index));
        rolls || run.growth.as_ref().is_some_and(|growth| growth.action == Some(index))
    }

    /// The platform carries out a restart. `index` is falconer's action; a person has none.
    pub fn begin_rollout(&mut self, at: At, index: Option<usize>) {
        let now = self.now();
        let until = match self.dice.number(0, 99) {
            0..=74 => Some(now + self.dice.seconds(5, 120)),
            75..=86 => Some(now + self.dice.seconds(120, 500)),
            _ => None,
        };
        let remedy = if self.dice.chance(0.85) { Remedy::Cures } else { Remedy::ComesBackSick };
        let rollout = Rollout { since: now, until, remedy, remedied: false, action: index };
        if let Some(run) = &mut self.target_mut(at).run {
            run.rollout = Some(rollout);
        }
        self.changed(at.cluster);
    }

    /// The platform sets the replicas.
    pub fn begin_growth(&mut self, at: At, to: u32, index: Option<usize>) {
        let now = self.now();
        let until = match self.dice.number(0, 99) {
            0..=69 => Some(now + self.dice.seconds(2, 60)),
            70..=94 => Some(now + self.dice.seconds(60, 400)),
            _ => Some(now + Duration::from_secs(1_500)),
        };
        if let Some(run) = &mut self.target_mut(at).run {
            let before = run.desired;
            run.desired = to;
            run.growth = (to > before).then_some(Growth { until, before, action: index });
        }
        self.changed(at.cluster);
    }

    /// A rollout has come to its end: it helps or not, and where pods stay sick it goes on.
    pub fn roll_out(&mut self, at: At) {
        let (now, calm) = (self.now(), self.calm);
        let target = self.target_mut(at);
        let Some(rollout) = target.run.as_mut().and_then(|run| run.rollout.as_mut()) else {
            return;
        };
        if !std::mem::replace(&mut rollout.remedied, true)
            && rollout.remedy == Remedy::Cures
            && let Some(sickness) = target.sickness.take_if(|sickness| sickness.curable)
        {
            let relapses_after = sickness.relapses_after.filter(|_| !calm);
            let relapse = relapses_after.map(|after| (now + after, sickness));
            target.relapse = relapse;
        }
        if target.is_unready() {
            return;
        }
        if let Some(run) = &mut target.run {
            run.rollout = None;
            run.generation += 1;
            run.started_at = now;
        }
        let (id, sick) = (target.id.clone(), target.sickness.is_some());
        self.say(format_args!("{id} has rolled out{}", if sick { ", still sick" } else { "" }));
    }
}

//! Which step is next for a sick component: the first rung from where its ladder stands that makes
//! sense for what is known. Whether it may be taken now is for the guards.

use super::decision::{PodTarget, RevisionChange};
use super::ledger::RecoveryLedger;
use super::refusal::words;
use super::request::{PodState, RecoveryRequest};
use super::settings::{ActionStep, LadderStep, RecoverySettings};
use crate::model::{Timestamp, Workload, WorkloadKind};

/// A step, with what it is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NextStep {
    /// The step.
    pub step: ActionStep,
    /// Its place in the ladder.
    pub index: usize,
    /// The pod to remove.
    pub pod: Option<PodTarget>,
    /// The revisions to leave and to return to.
    pub revisions: Option<RevisionChange>,
    /// The rungs that were passed over, each with its reason.
    pub skipped: Vec<String>,
}

impl NextStep {
    fn new(
        step: ActionStep,
        index: usize,
        pod: Option<&PodState>,
        revisions: Option<RevisionChange>,
    ) -> Self {
        let pod =
            pod.map(|one| PodTarget { name: one.pod.name.clone(), uid: one.pod.life.uid.clone() });
        Self { step, index, pod, revisions, skipped: Vec::new() }
    }

    /// What makes it the same action when it is tried again.
    pub fn key(&self, request: &RecoveryRequest) -> String {
        let step = self.step.as_str();
        match &self.pod {
            Some(pod) => format!("{}/{}-{step}/{}", request.incident, self.index, pod.name),
            None => format!("{}/{}-{step}", request.incident, self.index),
        }
    }
}

/// There is none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoStep {
    /// How many rungs came before.
    pub steps_taken: usize,
    /// The rungs that were passed over, each with its reason.
    pub skipped: Vec<String>,
}

/// What the ladder is climbed with.
pub struct Climb<'a> {
    /// What is known.
    pub request: &'a RecoveryRequest,
    /// The workload that was chosen.
    pub workload: &'a Workload,
    /// What was done before.
    pub ledger: &'a RecoveryLedger,
    /// The ladder.
    pub settings: &'a RecoverySettings,
    /// The time.
    pub now: Timestamp,
}

impl Climb<'_> {
    /// The next step.
    ///
    /// # Errors
    /// When the ladder says a person, or ends.
    pub fn next(&self) -> Result<NextStep, NoStep> {
        let steps_taken = self.ledger.ladder_index(
            &self.request.component,
            &self.request.incident,
            self.request.unhealthy_since,
            self.settings,
        );
        if let Some(step) = self.hung_pod(steps_taken) {
            return Ok(step);
        }
        let mut skipped = Vec::new();
        if self.workload.rolling_out
            && let Some(step) = self.rollback_of_what_rolls(steps_taken, &mut skipped)
        {
            return Ok(step);
        }
        let rungs = self.settings.ladder.iter().enumerate().skip(steps_taken);
        for (index, rung) in rungs {
            let step = match rung {
                LadderStep::DeletePod => self.delete_pod(index),
                LadderStep::RolloutRestart if self.request.serves => {
                    Err("the component still serves".to_owned())
                }
                LadderStep::RolloutRestart => {
                    Ok(NextStep::new(ActionStep::RolloutRestart, index, None, None))
                }
                LadderStep::Rollback => self.rollback(index),
                LadderStep::Escalate => break,
            };
            match step {
                Ok(step) => return Ok(NextStep { skipped, ..step }),
                Err(why) => skipped.push(format!("{}: {why}", rung.as_str())),
            }
        }
        Err(NoStep { steps_taken, skipped })
    }

    /// A pod that should have ended long ago, where removing it by force is allowed.
    fn hung_pod(&self, index: usize) -> Option<NextStep> {
        let after = self.settings.force_delete_after?;
        let hung = self.request.pods.iter().find(|one| {
            one.pod.hangs_for(self.now).is_some_and(|time| time >= after)
                && !self.ledger.has_removed(
                    &self.request.component,
                    &one.pod,
                    ActionStep::ForceDelete,
                )
        })?;
        Some(NextStep::new(ActionStep::ForceDelete, index, Some(hung), None))
    }

    /// The one sick pod to remove. Never one that may be the last to serve.
    fn delete_pod(&self, index: usize) -> Result<NextStep, String> {
        let pods = &self.request.pods;
        if self.workload.reference.kind == WorkloadKind::Process {
            return Err("a process has no pods".to_owned());
        }
        let sick: Vec<&PodState> =
            pods.iter().filter(|one| one.sick.is_some() && !one.is_terminating()).collect();
        let Some(first) = sick.iter().find(|one| self.may_remove(one)) else {
            return Err(if sick.is_empty() {
                "no single pod is found sick".to_owned()
            } else {
                "its sick pods were replaced already".to_owned()
            });
        };
        let standing = pods.iter().filter(|one| !one.is_terminating()).count();
        if standing > 1 && sick.len() == standing {
            return Err(format!("all {standing} pods are sick"));
        }
        let ready = pods.iter().filter(|one| one.is_ready()).count();
        if first.is_ready() && ready == 1 && standing > 1 {
            return Err(format!("{} is the last pod that the platform has ready", first.pod.name));
        }
        Ok(NextStep::new(ActionStep::DeletePod, index, Some(first), None))
    }

    fn may_remove(&self, one: &PodState) -> bool {
        !self.ledger.has_removed(&self.request.component, &one.pod, ActionStep::DeletePod)
    }

    /// Back to the revision before, if the sickness began with the newest one.
    fn rollback(&self, index: usize) -> Result<NextStep, String> {
        let Some(revision) = &self.workload.revision else {
            return Err("its revisions are not known".to_owned());
        };
        let Some(previous) = revision.previous else {
            return Err(format!("revision {} has none before it", revision.number));
        };
        let since = self.request.unhealthy_since;
        if since < revision.since {
            return Err(format!("it was sick before revision {}", revision.number));
        }
        let window = self.settings.rollback_window;
        if since.since(revision.since) > window {
            return Err(format!(
                "it was well for more than {} with revision {}",
                words(window),
                revision.number
            ));
        }
        let of_newest = |one: &PodState| {
            let template = one.pod.life.template.as_ref();
            template.is_some_and(|template| revision.templates.contains(template))
        };
        let mut sick = self.request.pods.iter().filter(|one| one.sick.is_some()).peekable();
        if sick.peek().is_none() {
            return Err("no pod of the newest revision is found sick".to_owned());
        }
        if !sick.all(of_newest) {
            return Err(format!("pods older than revision {} are sick too", revision.number));
        }
        let change = RevisionChange { from: revision.number, to: previous };
        Ok(NextStep::new(ActionStep::Rollback, index, None, Some(change)))
    }

    /// A rollout that does not come to its end keeps every other step off; a rollback ends it.
    fn rollback_of_what_rolls(&self, from: usize, skipped: &mut Vec<String>) -> Option<NextStep> {
        let mut rungs = self.settings.ladder.iter().enumerate().skip(from);
        let (index, _) = rungs.find(|(_, rung)| **rung == LadderStep::Rollback)?;
        match self.rollback(index) {
            Ok(step) => Some(step),
            Err(why) => {
                skipped.push(format!("rollback: {why}"));
                None
            }
        }
    }
}

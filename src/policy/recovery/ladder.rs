//! Which step is next for a sick component: the first rung from where its ladder stands that makes
//! sense for what is known. Whether it may be taken now is for the guards.

use super::decision::{PodTarget, RevisionChange, TriedStep};
use super::ledger::RecoveryLedger;
use super::refusal::words;
use super::request::{PodState, RecoveryRequest};
use super::settings::{ActionStep, LadderStep, RecoverySettings};
use crate::model::{Owner, Revision, Timestamp, Workload, WorkloadKind};

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

    /// What makes it the same action when it is tried again: nothing else has this key.
    pub fn key(&self, request: &RecoveryRequest) -> String {
        let step = format!("{}/{}-{}", request.incident, self.index, self.step.as_str());
        match (&self.pod, &self.revisions) {
            // The next pod of a StatefulSet has the same name, but is another one.
            (Some(PodTarget { name, uid }), _) => {
                format!("{step}/{name}@{}", uid.as_deref().unwrap_or_default())
            }
            // Somebody may have deployed another one in between.
            (None, Some(change)) => format!("{step}/{}", change.from),
            (None, None) => step,
        }
    }
}

/// There is none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoStep {
    /// The steps that were taken, oldest first.
    pub tried: Vec<TriedStep>,
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
        let first = self.ledger.ladder_index(self.request, self.settings);
        if let Some(step) = self.hung_pod(first) {
            return Ok(step);
        }
        if let Some(step) = self.rollback_of_what_rolls(first) {
            return Ok(step);
        }
        let mut skipped = Vec::new();
        let rungs = self.settings.ladder.iter().enumerate().skip(first);
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
        let (tried, mut earlier) = self.ledger.way_to(&self.request.component, first);
        earlier.retain(|one| !skipped.contains(one));
        earlier.append(&mut skipped);
        Err(NoStep { tried, skipped: earlier })
    }

    /// A pod that should have ended long ago, where removing it by force is allowed. It may serve
    /// still: where nothing else does, it is left alone.
    fn hung_pod(&self, index: usize) -> Option<NextStep> {
        let after = self.settings.force_delete_after?;
        if self.request.serves && !self.request.pods.iter().any(PodState::is_well) {
            return None;
        }
        let hung = self.request.pods.iter().find(|one| {
            one.pod.hangs_for(self.now).is_some_and(|time| time >= after)
                && self.is_first(one, ActionStep::ForceDelete)
        })?;
        Some(NextStep::new(ActionStep::ForceDelete, index, Some(hung), None))
    }

    /// The one sick pod to remove, rather one that the platform has not ready. Never one that may
    /// be the last to serve.
    fn delete_pod(&self, index: usize) -> Result<NextStep, String> {
        if self.workload.reference.kind == WorkloadKind::Process {
            return Err("a process has no pods".to_owned());
        }
        let standing: Vec<&PodState> =
            self.request.pods.iter().filter(|one| !one.is_terminating()).collect();
        let sick = || standing.iter().filter(|one| one.sick.is_some());
        if sick().next().is_none() {
            return Err("no single pod is found sick".to_owned());
        }
        let left = self.ledger.pods_left(&self.request.component, index);
        let may_go = |one: &&&PodState| {
            self.is_first(one, ActionStep::DeletePod)
                && left.is_none_or(|names| names.contains(&one.pod.name))
        };
        let Some(pod) = sick().filter(may_go).min_by_key(|one| one.is_ready()) else {
            return Err("its sick pods were replaced already".to_owned());
        };
        if standing.len() > 1 && sick().count() == standing.len() {
            return Err(format!("all {} pods are sick", standing.len()));
        }
        let ready = standing.iter().filter(|one| one.is_ready()).count();
        if pod.is_ready() && ready == 1 && standing.len() > 1 {
            return Err(format!("{} is the last pod that the platform has ready", pod.pod.name));
        }
        if self.request.serves && !standing.iter().any(|one| one.is_well()) {
            return Err("it serves, but no other pod is known to be well".to_owned());
        }
        Ok(NextStep::new(ActionStep::DeletePod, index, Some(pod), None))
    }

    /// Whether `step` was not taken on this very pod yet.
    fn is_first(&self, one: &PodState, step: ActionStep) -> bool {
        !self.ledger.has_removed(&self.request.component, &one.pod, step)
    }

    /// Back to the revision before, if the sickness began with the newest one.
    fn rollback(&self, index: usize) -> Result<NextStep, String> {
        if let Owner::MilvusOperator { name } = &self.workload.owner {
            return Err(format!("milvus-operator would undo it: change Milvus/{name} instead"));
        }
        let Some(revision) = &self.workload.revision else {
            return Err("its revisions are not known".to_owned());
        };
        let Some(previous) = revision.previous else {
            return Err(format!("revision {} has none before it", revision.number));
        };
        self.began_with(revision)?;
        let change = RevisionChange { from: revision.number, to: previous };
        let step = NextStep::new(ActionStep::Rollback, index, None, Some(change));
        self.leads_forward(revision.number, previous, &step.key(self.request))?;
        Ok(step)
    }

    /// Whether the sickness began with this revision, and all that is sick is of it.
    fn began_with(&self, revision: &Revision) -> Result<(), String> {
        let (since, number) = (self.request.unhealthy_since, revision.number);
        if since < revision.since {
            return Err(format!("it was sick before revision {number}"));
        }
        let window = self.settings.rollback_window;
        if since.since(revision.since) > window {
            let window = words(window);
            return Err(format!("it was well for more than {window} with revision {number}"));
        }
        let of_newest = |one: &PodState| {
            let template = one.pod.life.template.as_ref();
            template.is_some_and(|template| revision.templates.contains(template))
        };
        let standing = self.request.pods.iter().filter(|one| !one.is_terminating());
        let mut sick = standing.filter(|one| one.sick.is_some()).peekable();
        if sick.peek().is_none() {
            return Err("no pod of the newest revision is found sick".to_owned());
        }
        if !sick.all(of_newest) {
            return Err(format!("pods older than revision {number} are sick too"));
        }
        Ok(())
    }

    /// Whether `to` is not what was sick or left before, so that nothing is moved to and fro.
    fn leads_forward(&self, from: u64, to: u64, key: &str) -> Result<(), String> {
        let (component, workload) = (&self.request.component, &self.workload.reference);
        if self.ledger.has_rolled_back(component, &self.request.incident, key) {
            return Err("it was rolled back in this incident already".to_owned());
        }
        if to > from {
            return Err(format!("revision {to} is newer than revision {from}"));
        }
        if self.ledger.has_left(component, workload, to) {
            return Err(format!("revision {to} is what falconer has rolled back before"));
        }
        if self.ledger.was_sick_under(component, workload, to) {
            return Err(format!("it was sick with revision {to} too"));
        }
        Ok(())
    }

    /// A rollout that does not come to its end keeps every other step off; a rollback ends it.
    fn rollback_of_what_rolls(&self, from: usize) -> Option<NextStep> {
        if !self.workload.rolling_out {
            return None;
        }
        let rungs = self.settings.ladder.iter().enumerate().skip(from);
        let (index, _) = rungs
            .take_while(|(_, rung)| **rung != LadderStep::Escalate)
            .find(|(_, rung)| **rung == LadderStep::Rollback)?;
        // Why not is said when its turn comes.
        self.rollback(index).ok()
    }
}

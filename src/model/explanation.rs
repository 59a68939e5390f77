//! Why falconer did something about a component, or did not: plain data, the same whether a running
//! falconer is asked or its journal is read. Owns how it is put together out of the journal, and
//! its bounds; asks nobody.

mod gather;

use serde::{Deserialize, Serialize};

use super::health::HealthState;
use super::journal::{ActionPhase, BreakerChange, DecisionVerdict, EvidenceSource, GuardWord};
use super::time::Timestamp;

pub use gather::{actions_of, breakers, explain, queries};

/// More decisions than these are never shown.
pub const MOST_DECISIONS: usize = 100;
/// More actions than these are never shown.
pub const MOST_ACTIONS: usize = 100;
/// More pieces of evidence than these are never shown.
pub const MOST_EVIDENCE: usize = 40;
/// All evidence that is shown together is not longer, in bytes.
pub const EVIDENCE_LIMIT: usize = 512 * 1024;
/// A headline is not longer, in bytes.
const HEADLINE_LIMIT: usize = 200;

/// How much somebody wants to see.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Extent {
    /// How many decisions, and how many actions.
    pub last: usize,
    /// Whether the texts of the evidence are wanted, not only their headlines.
    pub evidence: bool,
}

impl Extent {
    /// Within what is ever shown.
    pub fn bounded(self) -> Self {
        Self { last: self.last.clamp(1, MOST_DECISIONS), ..self }
    }
}

/// Everything that explains one component.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Explanation {
    /// The cluster.
    pub cluster: String,
    /// The component.
    pub component: String,
    /// When this was put together.
    pub as_of: Timestamp,
    /// How the component is; `None` where nothing is known of that.
    pub state: Option<StateShown>,
    /// Its open incident.
    pub incident: Option<IncidentShown>,
    /// What holds beyond the component and bears on it: an open circuit breaker, another leader, …
    pub notices: Vec<String>,
    /// What every guard said of the newest report; only a running falconer knows it, and only while
    /// the component is sick.
    pub newest: Option<DecisionShown>,
    /// The decisions in the journal, the newest first. One that is taken again and again is written
    /// down once.
    pub decisions: Vec<DecisionShown>,
    /// The actions, the newest first.
    pub actions: Vec<ActionShown>,
}

/// How a component is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StateShown {
    /// The judged state.
    pub state: HealthState,
    /// Since when.
    pub since: Timestamp,
    /// Why, where it is not simply healthy.
    pub reason: Option<String>,
}

/// An open incident.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IncidentShown {
    /// Its name.
    pub incident: String,
    /// What people are told of it.
    pub title: String,
    /// Since when.
    pub since: Timestamp,
}

/// One decision.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DecisionShown {
    /// When.
    pub at: Timestamp,
    /// About which incident.
    pub incident: Option<String>,
    /// What.
    pub verdict: DecisionVerdict,
    /// The step that is taken, e.g. `rollout_restart`.
    pub step: Option<String>,
    /// As a sentence.
    pub summary: String,
    /// What each guard said, in the order in which they decide.
    pub guards: Vec<GuardShown>,
}

impl DecisionShown {
    /// The guards that object, the one that decided first.
    pub fn objections(&self) -> impl Iterator<Item = &GuardShown> {
        self.guards.iter().filter(|guard| match guard.verdict {
            GuardWord::Refuse | GuardWord::Wait | GuardWord::Escalate => true,
            GuardWord::Pass | GuardWord::NotAsked => false,
        })
    }
}

/// What one guard said.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GuardShown {
    /// The guard, e.g. `cooldown`.
    pub guard: String,
    /// What it says.
    pub verdict: GuardWord,
    /// Why, with its numbers.
    pub words: String,
}

/// One action, from its beginning to its end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ActionShown {
    /// Its idempotency key.
    pub key: String,
    /// On which component.
    pub component: String,
    /// The step, e.g. `delete_pod`.
    pub step: String,
    /// On what.
    pub target: String,
    /// The exact change.
    pub change: String,
    /// What became of it, the oldest first.
    pub phases: Vec<PhaseShown>,
    /// What was kept before it.
    pub evidence: Vec<EvidenceShown>,
}

impl ActionShown {
    /// When it began.
    pub fn begun_at(&self) -> Timestamp {
        self.phases.first().map_or(Timestamp::default(), |phase| phase.at)
    }
}

/// A moment of an action.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PhaseShown {
    /// When.
    pub at: Timestamp,
    /// What.
    pub phase: ActionPhase,
    /// Why, or how it ended.
    pub words: String,
}

/// One piece of evidence.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EvidenceShown {
    /// When it was kept.
    pub at: Timestamp,
    /// Where it is from.
    pub source: EvidenceSource,
    /// Of what.
    pub object: String,
    /// Its last line that says something, cut short.
    pub headline: String,
    /// How long all of it is, in bytes.
    pub bytes: usize,
    /// All of it, where that was asked for and there is room.
    pub text: Option<String>,
}

/// A cluster in which nothing more is done until a person has looked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BreakerShown {
    /// The cluster.
    pub cluster: String,
    /// Since when.
    pub since: Timestamp,
    /// Which budget was spent.
    pub why: String,
    /// What was done before, the newest first.
    pub actions: Vec<ActionShown>,
}

/// The newest thing that became of a cluster's breaker, as the journal has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BreakerNews {
    /// When.
    pub at: Timestamp,
    /// What.
    pub change: BreakerChange,
    /// In words.
    pub words: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_is_shown_nothing_or_everything() {
        let last = |last| Extent { last, evidence: false }.bounded().last;
        assert_eq!((last(0), last(7), last(usize::MAX)), (1, 7, MOST_DECISIONS));
    }
}

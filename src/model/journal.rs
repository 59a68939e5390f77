//! What is written down: one entry for everything that was seen, decided, done and told. Owns the
//! closed set of records and their bounds; never stores anything (see `effects::Journal`).

mod kind;
mod records;
mod sets;

use std::sync::Arc;
use std::time::Duration;

use super::alert::IncidentId;
use super::component::ComponentId;
use super::health::HealthState;
use super::report::{Outcome, Reason};
use super::time::Timestamp;

pub use kind::JournalKind;
pub use records::{
    ActionRecord, AlertRecord, DecisionRecord, DeliveryRecord, EvidenceRecord, GuardRecord,
    ReloadNote, Words,
};
pub use sets::{
    ActionPhase, AlertChange, BreakerChange, DecisionVerdict, DeliveryOutcome, EvidenceSource,
    GuardWord, LeadershipChange,
};

/// One line of the journal.
#[derive(Debug, Clone, PartialEq)]
pub struct JournalEntry {
    /// When it happened.
    pub at: Timestamp,
    /// The cluster it is about; `None` for falconer as a whole.
    pub cluster: Option<Arc<str>>,
    /// The component it is about; `None` for a whole cluster.
    pub component: Option<Arc<str>>,
    /// The incident it belongs to.
    pub incident: Option<IncidentId>,
    /// What happened.
    pub record: JournalRecord,
}

/// What happened; a closed set.
#[derive(Debug, Clone, PartialEq)]
pub enum JournalRecord {
    /// A probe ended. Of these some may be lost when too many come at once; of the others none.
    Probe {
        /// What it saw.
        outcome: Outcome,
        /// How long it took as a whole.
        latency: Duration,
    },
    /// A component's judged state changed.
    State {
        /// The state before.
        from: HealthState,
        /// The state since.
        to: HealthState,
        /// Why, where it is not simply healthy.
        reason: Option<Reason>,
    },
    /// It was decided whether to act, and how.
    Decision(Box<DecisionRecord>),
    /// An action began or ended.
    Action(Box<ActionRecord>),
    /// What was saved before something was taken away.
    Evidence(Box<EvidenceRecord>),
    /// An alert was raised, updated or resolved.
    Alert(Box<AlertRecord>),
    /// A receiver was told, or could not be.
    Delivery(Box<DeliveryRecord>),
    /// This process may act from now on, or may not.
    Leadership {
        /// Which.
        change: LeadershipChange,
        /// Who leads, and why.
        words: Words,
    },
    /// The circuit breaker of a cluster.
    Breaker {
        /// What became of it.
        change: BreakerChange,
        /// With its numbers, or who reset it.
        words: Words,
    },
    /// The configuration was read again.
    Reload(Box<ReloadNote>),
    /// It was decided whether to change the number of replicas.
    Scaling {
        /// What kind of decision, e.g. `started`; from a closed set of the scaler.
        decision: String,
        /// A sentence for people with its numbers.
        words: Words,
    },
}

impl JournalRecord {
    /// What kind of record it is.
    pub const fn kind(&self) -> JournalKind {
        match self {
            Self::Probe { .. } => JournalKind::Probe,
            Self::State { .. } => JournalKind::State,
            Self::Decision(_) => JournalKind::Decision,
            Self::Action(_) => JournalKind::Action,
            Self::Evidence(_) => JournalKind::Evidence,
            Self::Alert(_) => JournalKind::Alert,
            Self::Delivery(_) => JournalKind::Delivery,
            Self::Leadership { .. } => JournalKind::Leadership,
            Self::Breaker { .. } => JournalKind::Breaker,
            Self::Reload(_) => JournalKind::Reload,
            Self::Scaling { .. } => JournalKind::Scaling,
        }
    }

    /// About how many bytes of memory its texts take.
    fn text_bytes(&self) -> usize {
        let reason = |reason: Option<&Reason>| reason.map_or(0, |reason| reason.text.len());
        match self {
            Self::Probe { outcome, .. } => reason(outcome.reason()),
            Self::State { reason: why, .. } => reason(why.as_ref()),
            Self::Decision(record) => record.bytes(),
            Self::Action(record) => record.bytes(),
            Self::Evidence(record) => record.bytes(),
            Self::Alert(record) => record.bytes(),
            Self::Delivery(record) => record.bytes(),
            Self::Leadership { words, .. } | Self::Breaker { words, .. } => words.len(),
            Self::Reload(record) => record.bytes(),
            Self::Scaling { decision, words } => decision.len() + words.len(),
        }
    }
}

impl JournalEntry {
    /// An entry about falconer as a whole.
    pub fn general(at: Timestamp, record: JournalRecord) -> Self {
        Self { at, cluster: None, component: None, incident: None, record }
    }

    /// An entry about one component.
    pub fn of(at: Timestamp, id: &ComponentId, record: JournalRecord) -> Self {
        let (cluster, component) = (Arc::clone(&id.cluster), Arc::clone(&id.component));
        Self { at, cluster: Some(cluster), component: Some(component), incident: None, record }
    }

    /// An entry about one whole cluster.
    pub fn of_cluster(at: Timestamp, cluster: &Arc<str>, record: JournalRecord) -> Self {
        Self { cluster: Some(Arc::clone(cluster)), ..Self::general(at, record) }
    }

    /// The same as part of `incident`.
    pub fn within(self, incident: &IncidentId) -> Self {
        Self { incident: Some(incident.clone()), ..self }
    }

    /// About how many bytes of memory it takes.
    pub fn bytes(&self) -> usize {
        let incident = self.incident.as_ref().map_or(0, |incident| incident.as_str().len());
        size_of::<Self>() + incident + self.record.text_bytes()
    }
}

/// Which entries of the journal somebody wants to see: the newest `limit` of these kinds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JournalQuery {
    /// The component they are about, if any matters.
    pub component: Option<ComponentId>,
    /// Of which kinds; none = of all but probe reports.
    pub kinds: Vec<JournalKind>,
    /// How many, counted over all kinds; at most [`JournalQuery::MOST`].
    pub limit: usize,
}

impl JournalQuery {
    /// More entries than these are never given at once.
    pub const MOST: usize = 1_000;

    /// The newest `limit` entries of one kind about one component.
    pub fn of(component: &ComponentId, kind: JournalKind, limit: usize) -> Self {
        Self { component: Some(component.clone()), kinds: vec![kind], limit }
    }

    /// Whether `entry` is wanted, apart from the number.
    pub fn wants(&self, entry: &JournalEntry) -> bool {
        let is_about = |id: &ComponentId| {
            entry.cluster.as_deref() == Some(&*id.cluster)
                && entry.component.as_deref() == Some(&*id.component)
        };
        self.component.as_ref().is_none_or(is_about) && self.wants_kind(entry.record.kind())
    }

    /// Whether entries of this kind are wanted.
    pub fn wants_kind(&self, kind: JournalKind) -> bool {
        if self.kinds.is_empty() { !kind.may_be_lost() } else { self.kinds.contains(&kind) }
    }

    /// How many are given at most.
    pub fn bounded_limit(&self) -> usize {
        self.limit.min(Self::MOST)
    }
}

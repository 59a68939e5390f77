//! What the recoverer writes down: each changed decision with every guard's verdict, the evidence,
//! and each action before and after. Never waits for it: see `gate.rs` for what must be on disk.

use std::borrow::Cow;
use std::fmt::Write as _;

use super::deed::Deed;
use super::prepare::Prepared;
use super::{Recover, Recoverer};
use crate::model::journal::{
    ActionPhase, ActionRecord, DecisionRecord, DecisionVerdict, EvidenceRecord, EvidenceSource,
    GuardRecord, GuardWord,
};
use crate::model::{ComponentId, IncidentId, JournalEntry, JournalRecord};
use crate::policy::recovery::{
    Assessment, Finding, GuardVerdict, RecoveryDecision, RecoveryRequest,
};

/// More pieces of evidence than these are never kept for one action.
const MOST_PIECES: usize = 40;
/// More pods than these are never named in the probes' evidence.
const MOST_NAMED: usize = 50;

/// About whose action something is written.
pub(super) struct Subject<'a> {
    pub(super) incident: &'a IncidentId,
    pub(super) component: &'a ComponentId,
}

impl Recoverer {
    /// Writes down where an action stands.
    pub(super) fn write_action(
        &self,
        subject: &Subject<'_>,
        deed: &Deed,
        phase: ActionPhase,
        words: impl Into<String>,
    ) {
        let cluster = self.around.clusters.get(&subject.component.cluster);
        let change = cluster.map_or_else(String::new, |cluster| deed.describe(cluster.as_ref()));
        let record = ActionRecord {
            key: deed.key.clone(),
            step: Cow::Borrowed(deed.step.as_str()),
            target: deed.target().into(),
            change: change.into(),
            phase,
            words: words.into().into(),
        };
        self.write(subject, JournalRecord::Action(Box::new(record)));
    }

    /// Writes down what was gathered before an action, and what the probes found. Gives a sentence
    /// about it.
    pub(super) fn write_evidence(
        &self,
        subject: &Subject<'_>,
        report: &Recover,
        prepared: &Prepared,
    ) -> String {
        let key = &prepared.key;
        let probes = EvidenceRecord::new(
            key,
            EvidenceSource::Probe,
            subject.component.to_string(),
            probes(report),
        );
        self.write(subject, JournalRecord::Evidence(Box::new(probes)));
        match &prepared.evidence {
            Ok(pieces) => {
                for piece in pieces.iter().take(MOST_PIECES) {
                    let (object, text) = (&*piece.object, piece.text.as_str());
                    let record = EvidenceRecord::new(key, piece.source, object, text);
                    self.write(subject, JournalRecord::Evidence(Box::new(record)));
                }
                format!("{} pieces of evidence kept", pieces.len().min(MOST_PIECES) + 1)
            }
            Err(why) => format!("no evidence of the pods kept: {why}"),
        }
    }

    /// Writes down a decision with every guard's verdict.
    pub(super) fn write_decision(
        &self,
        request: &RecoveryRequest,
        assessment: &Assessment,
        summary: &str,
    ) {
        let (verdict, step) = match &assessment.decision {
            RecoveryDecision::Act(plan) => (DecisionVerdict::Act, Some(plan.step.as_str())),
            RecoveryDecision::Refuse { .. } => (DecisionVerdict::Refuse, None),
            RecoveryDecision::Wait { .. } => (DecisionVerdict::Wait, None),
            RecoveryDecision::Escalate { .. } => (DecisionVerdict::Escalate, None),
            RecoveryDecision::InFlight => return,
        };
        let record = DecisionRecord {
            verdict,
            step: step.map(Cow::Borrowed),
            summary: summary.into(),
            guards: assessment.verdicts.iter().map(guard_record).collect(),
        };
        let subject = Subject { incident: &request.incident, component: &request.component };
        self.write(&subject, JournalRecord::Decision(Box::new(record)));
    }

    fn write(&self, subject: &Subject<'_>, record: JournalRecord) {
        let entry = JournalEntry::of(self.around.clock.now(), subject.component, record);
        self.around.journal.record(entry.within(subject.incident));
    }
}

fn guard_record(verdict: &GuardVerdict) -> GuardRecord {
    GuardRecord {
        guard: Cow::Borrowed(verdict.guard.as_str()),
        verdict: match &verdict.finding {
            Finding::Pass(_) => GuardWord::Pass,
            Finding::Refuse(_) => GuardWord::Refuse,
            Finding::Wait { .. } => GuardWord::Wait,
            Finding::Escalate(_) => GuardWord::Escalate,
            Finding::NotAsked => GuardWord::NotAsked,
        },
        words: verdict.finding.to_string().into(),
    }
}

/// What the newest probes found, of the component and of each pod.
fn probes(report: &Recover) -> String {
    let request = &report.request;
    let mut text = format!(
        "{} is unhealthy since {}: {}\n",
        request.component, request.unhealthy_since, report.reason
    );
    for one in request.pods.iter().take(MOST_NAMED) {
        let found =
            one.sick.as_ref().map_or_else(|| "not found sick".to_owned(), ToString::to_string);
        let (name, condition) = (&one.pod.name, &one.pod.condition);
        let _ = writeln!(text, "pod {name}: {found}; the platform says {condition:?}");
    }
    text
}

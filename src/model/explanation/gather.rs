//! Puts an explanation together out of entries of the journal, wherever they were read.

use std::collections::BTreeMap;

use super::{
    ActionShown, BreakerNews, DecisionShown, EVIDENCE_LIMIT, EvidenceShown, Explanation, Extent,
    GuardShown, HEADLINE_LIMIT, IncidentShown, MOST_ACTIONS, MOST_EVIDENCE, PhaseShown, StateShown,
};
use crate::model::journal::{
    ActionRecord, AlertChange, BreakerChange, DecisionRecord, EvidenceRecord,
};
use crate::model::{
    ComponentId, IncidentId, JournalEntry, JournalKind, JournalQuery, JournalRecord, Timestamp,
};

/// An action is written down so often at most, as a rule: begun, accepted, verified, and some tries
/// that the platform did not take.
const PHASES_OF_AN_ACTION: usize = 6;
/// So many alerts are looked through for the open incident.
const ALERTS: usize = 50;
/// So many changes of breakers are looked through, of all clusters.
const BREAKERS: usize = 200;

/// What to ask a journal for, so that [`explain`] has what it needs. Each bounded by itself, so that
/// many of one kind push out none of another.
pub fn queries(id: &ComponentId, extent: Extent) -> Vec<JournalQuery> {
    let last = extent.bounded().last;
    let of = |kind, limit| JournalQuery::of(id, kind, limit);
    vec![
        of(JournalKind::State, 1),
        of(JournalKind::Alert, ALERTS),
        of(JournalKind::Decision, last),
        of(JournalKind::Action, last * PHASES_OF_AN_ACTION),
        of(JournalKind::Evidence, MOST_EVIDENCE),
        JournalQuery { component: None, kinds: vec![JournalKind::Breaker], limit: BREAKERS },
    ]
}

/// The explanation that follows from `entries`, the newest first within each kind.
pub fn explain(
    id: &ComponentId,
    entries: &[JournalEntry],
    extent: Extent,
    as_of: Timestamp,
) -> Explanation {
    let extent = extent.bounded();
    let is_ours = |entry: &&JournalEntry| {
        entry.cluster.as_deref() == Some(&*id.cluster)
            && entry.component.as_deref() == Some(&*id.component)
    };
    let ours: Vec<&JournalEntry> = entries.iter().filter(is_ours).collect();
    let decisions = ours.iter().filter_map(|entry| decision(entry)).take(extent.last).collect();
    let mut actions = actions(&ours, extent.last);
    add_evidence(&mut actions, &ours, extent.evidence);
    let stopped = breakers(entries).remove(&*id.cluster);
    Explanation {
        cluster: id.cluster.to_string(),
        component: id.component.to_string(),
        as_of,
        state: ours.iter().find_map(|entry| state(entry)),
        incident: incident(&ours),
        notices: stopped.filter(is_open).map(|news| news.words).into_iter().collect(),
        newest: None,
        decisions,
        actions,
    }
}

fn is_open(news: &BreakerNews) -> bool {
    match news.change {
        BreakerChange::Tripped => true,
        BreakerChange::Reset => false,
    }
}

/// The newest thing that became of each cluster's breaker.
pub fn breakers(entries: &[JournalEntry]) -> BTreeMap<String, BreakerNews> {
    let mut newest: BTreeMap<String, BreakerNews> = BTreeMap::new();
    for entry in entries {
        let (Some(cluster), JournalRecord::Breaker { change, words }) =
            (&entry.cluster, &entry.record)
        else {
            continue;
        };
        let news = BreakerNews { at: entry.at, change: *change, words: words.to_string() };
        // The newest come first; two of one instant in the order in which they stand.
        newest.entry(cluster.to_string()).or_insert(news);
    }
    newest
}

fn state(entry: &JournalEntry) -> Option<StateShown> {
    let JournalRecord::State { to, reason, .. } = &entry.record else { return None };
    let reason = reason.as_ref().map(|reason| reason.text.clone());
    Some(StateShown { state: *to, since: entry.at, reason })
}

/// The incident of the newest alert, unless that says that it is over.
fn incident(ours: &[&JournalEntry]) -> Option<IncidentShown> {
    let mut alerts = ours.iter().filter_map(|entry| match &entry.record {
        JournalRecord::Alert(alert) => Some((entry, alert, entry.incident.as_ref()?)),
        _ => None,
    });
    let (newest, alert, incident) = alerts.next()?;
    if alert.change == AlertChange::Resolved {
        return None;
    }
    let (mut since, mut title) = (newest.at, alert.title.to_string());
    for (entry, alert, _) in alerts.filter(|(_, _, other)| *other == incident) {
        since = entry.at;
        if title.is_empty() {
            title = alert.title.to_string();
        }
    }
    Some(IncidentShown { incident: incident.as_str().to_owned(), title, since })
}

fn decision(entry: &JournalEntry) -> Option<DecisionShown> {
    let JournalRecord::Decision(decision) = &entry.record else { return None };
    let DecisionRecord { verdict, step, summary, .. } = decision.as_ref();
    let guards = decision.kept_guards().iter().map(|guard| GuardShown {
        guard: guard.guard.to_string(),
        verdict: guard.verdict,
        words: guard.words.to_string(),
    });
    Some(DecisionShown {
        at: entry.at,
        incident: entry.incident.as_ref().map(name_of),
        verdict: *verdict,
        step: step.as_ref().map(ToString::to_string),
        summary: summary.to_string(),
        guards: guards.collect(),
    })
}

fn name_of(incident: &IncidentId) -> String {
    incident.as_str().to_owned()
}

/// The actions that are written down in `entries` (the newest first), each with all its phases; the
/// one that began last first.
fn actions(entries: &[&JournalEntry], most: usize) -> Vec<ActionShown> {
    let mut actions: Vec<ActionShown> = Vec::new();
    for entry in entries.iter().rev() {
        let JournalRecord::Action(record) = &entry.record else { continue };
        let phase =
            PhaseShown { at: entry.at, phase: record.phase, words: record.words.to_string() };
        match actions.iter_mut().find(|action| action.key == record.key) {
            Some(action) => action.phases.push(phase),
            None => actions.push(begun(entry, record, phase)),
        }
    }
    actions.reverse();
    actions.truncate(most.min(MOST_ACTIONS));
    actions
}

fn begun(entry: &JournalEntry, record: &ActionRecord, phase: PhaseShown) -> ActionShown {
    ActionShown {
        key: record.key.clone(),
        component: entry.component.as_deref().unwrap_or_default().to_owned(),
        step: record.step.to_string(),
        target: record.target.to_string(),
        change: record.change.to_string(),
        phases: vec![phase],
        evidence: Vec::new(),
    }
}

/// The actions of `cluster` that are written down in `entries`, the newest first.
pub fn actions_of(cluster: &str, entries: &[JournalEntry], most: usize) -> Vec<ActionShown> {
    let ours = entries.iter().filter(|entry| entry.cluster.as_deref() == Some(cluster));
    actions(&ours.collect::<Vec<_>>(), most)
}

/// Adds to each action what was kept before it, in the order in which it was kept.
fn add_evidence(actions: &mut [ActionShown], entries: &[&JournalEntry], with_text: bool) {
    let mut room = if with_text { EVIDENCE_LIMIT } else { 0 };
    let pieces = entries.iter().filter_map(|entry| match &entry.record {
        JournalRecord::Evidence(evidence) => Some((entry.at, evidence)),
        _ => None,
    });
    for (at, evidence) in pieces.take(MOST_EVIDENCE) {
        let Some(action) = actions.iter_mut().find(|action| action.key == evidence.key) else {
            continue;
        };
        let fits = with_text && evidence.text().len() <= room;
        if fits {
            room -= evidence.text().len();
        }
        action.evidence.insert(0, piece(at, evidence, fits));
    }
}

fn piece(at: Timestamp, evidence: &EvidenceRecord, with_text: bool) -> EvidenceShown {
    let text = evidence.text();
    let lines = text.lines().rev().map(str::trim);
    let mut headline =
        lines.into_iter().find(|line| !line.is_empty()).unwrap_or_default().to_owned();
    if headline.len() > HEADLINE_LIMIT {
        headline.truncate(headline.floor_char_boundary(HEADLINE_LIMIT));
        headline.push('…');
    }
    EvidenceShown {
        at,
        source: evidence.source,
        object: evidence.object.to_string(),
        headline,
        bytes: text.len(),
        text: with_text.then(|| text.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::HealthState;
    use crate::model::journal::{
        ActionPhase, AlertRecord, DecisionVerdict, EvidenceSource, GuardRecord, GuardWord,
    };

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_millis(seconds * 1_000)
    }

    fn id() -> ComponentId {
        ComponentId::new("a", "querynode")
    }

    fn entry(seconds: u64, record: JournalRecord) -> JournalEntry {
        JournalEntry::of(at(seconds), &id(), record)
    }

    fn action(seconds: u64, key: &str, phase: ActionPhase) -> JournalEntry {
        let record = ActionRecord {
            key: key.to_owned(),
            step: "delete_pod".into(),
            target: "pod/a".into(),
            change: "POST pods/a/eviction".into(),
            phase,
            words: phase.as_str().into(),
        };
        entry(seconds, JournalRecord::Action(Box::new(record)))
    }

    fn alert(seconds: u64, change: AlertChange) -> JournalEntry {
        let record = AlertRecord {
            change,
            severity: None,
            title: "querynode is unhealthy".into(),
            words: "timeout".into(),
        };
        let entry = entry(seconds, JournalRecord::Alert(Box::new(record)));
        entry.within(&IncidentId::new(&id(), at(1)))
    }

    fn whole(entries: &[JournalEntry], evidence: bool) -> Explanation {
        explain(&id(), entries, Extent { last: 5, evidence }, at(100))
    }

    #[test]
    fn the_phases_of_an_action_stand_together_in_their_order() {
        let entries = [
            action(9, "second", ActionPhase::Begun),
            action(5, "first", ActionPhase::Succeeded),
            action(3, "first", ActionPhase::Accepted),
            action(2, "first", ActionPhase::Begun),
        ];
        let shown = whole(&entries, false).actions;
        let keys: Vec<&str> = shown.iter().map(|action| action.key.as_str()).collect();
        assert_eq!(keys, ["second", "first"]);
        let phases: Vec<&str> = shown[1].phases.iter().map(|one| one.words.as_str()).collect();
        assert_eq!(phases, ["begun", "accepted", "succeeded"]);
        assert_eq!(shown[1].begun_at(), at(2));
    }

    #[test]
    fn evidence_belongs_to_its_action_and_its_texts_are_bounded_together() {
        let evidence = |seconds, object: &str, text: String| {
            let record = EvidenceRecord::new("first", EvidenceSource::Log, object, text);
            entry(seconds, JournalRecord::Evidence(Box::new(record)))
        };
        let many = (0..MOST_EVIDENCE).map(|_| evidence(1, "big", "x".repeat(60_000)));
        let newest = evidence(2, "small", "first line\nlast words\n\n".to_owned());
        let entries: Vec<_> =
            [action(3, "first", ActionPhase::Begun), newest].into_iter().chain(many).collect();
        let shown = &whole(&entries, true).actions[0].evidence;
        assert_eq!(shown.len(), MOST_EVIDENCE);
        let small = shown.last().unwrap();
        assert_eq!((small.object.as_str(), small.headline.as_str()), ("small", "last words"));
        let texts: usize =
            shown.iter().filter_map(|piece| piece.text.as_ref()).map(String::len).sum();
        assert!(texts <= EVIDENCE_LIMIT && texts > 0, "{texts}");
        assert!(whole(&entries, false).actions[0].evidence.iter().all(|one| one.text.is_none()));
    }

    #[test]
    fn an_incident_is_open_until_its_alert_is_resolved() {
        let open = [alert(4, AlertChange::Updated), alert(2, AlertChange::Raised)];
        let shown = whole(&open, false).incident.unwrap();
        assert_eq!((shown.since, shown.title.as_str()), (at(2), "querynode is unhealthy"));
        let over = [alert(6, AlertChange::Resolved), alert(2, AlertChange::Raised)];
        assert_eq!(whole(&over, false).incident, None);
    }

    #[test]
    fn a_stopped_cluster_is_told_until_it_is_resumed() {
        let breaker = |seconds, change, words: &str| {
            let record = JournalRecord::Breaker { change, words: words.into() };
            JournalEntry::of_cluster(at(seconds), &"a".into(), record)
        };
        let tripped = breaker(2, BreakerChange::Tripped, "recovery of a is stopped");
        assert_eq!(
            whole(std::slice::from_ref(&tripped), false).notices,
            ["recovery of a is stopped"]
        );
        let reset = breaker(3, BreakerChange::Reset, "goes on");
        assert!(whole(&[reset, tripped], false).notices.is_empty());
    }

    #[test]
    fn a_decision_keeps_every_guard_and_names_those_that_object() {
        let guard = |guard: &'static str, verdict| GuardRecord {
            guard: guard.into(),
            verdict,
            words: "3 of 3".into(),
        };
        let record = DecisionRecord {
            verdict: DecisionVerdict::Refuse,
            step: None,
            summary: "cooldown".into(),
            guards: vec![
                guard("enabled", GuardWord::Pass),
                guard("cooldown", GuardWord::Refuse),
                guard("ladder", GuardWord::NotAsked),
            ],
        };
        let state = JournalRecord::State {
            from: HealthState::Healthy,
            to: HealthState::Unhealthy,
            reason: None,
        };
        let entries = [entry(3, JournalRecord::Decision(Box::new(record))), entry(2, state)];
        let shown = whole(&entries, false);
        assert_eq!(shown.state.unwrap().state, HealthState::Unhealthy);
        let decision = &shown.decisions[0];
        assert_eq!(decision.guards.len(), 3);
        let objecting: Vec<&str> =
            decision.objections().map(|guard| guard.guard.as_str()).collect();
        assert_eq!(objecting, ["cooldown"]);
    }

    #[test]
    fn an_explanation_reads_back_as_it_was_written() {
        let entries = [action(2, "first", ActionPhase::Begun), alert(1, AlertChange::Raised)];
        let shown = whole(&entries, false);
        let text = serde_json::to_string(&shown).unwrap();
        assert_eq!(serde_json::from_str::<Explanation>(&text).unwrap(), shown);
    }
}

//! Tests of stored incidents.

use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::model::{Outcome, ProbeObservation, ProbeReport, ProbeTrigger, ProberKind, ReasonKind};
use crate::policy::health::{HealthSettings, Weight};

fn at(seconds: u64) -> Timestamp {
    Timestamp::from_millis((1_767_225_600 + seconds) * 1_000)
}

fn cluster() -> Arc<str> {
    "milvus-ha".into()
}

fn watched(state: &StoredState, now: Timestamp) -> ClusterMemory {
    let mut memory = ClusterMemory::default();
    for one in StoredIncident::all(state).0 {
        memory.adopt(one, now);
    }
    let settings = HealthSettings { startup_grace: Duration::ZERO, ..HealthSettings::default() };
    memory.watch(&"proxy".into(), ProberKind::Pods, settings, now);
    memory
}

fn probe(memory: &mut ClusterMemory, outcome: Outcome, now: Timestamp) -> Option<IncidentId> {
    let report = ProbeReport {
        id: ComponentId::new("milvus-ha", "proxy"),
        kind: ProberKind::Pods,
        trigger: ProbeTrigger::Schedule,
        started_at: now,
        duration: Duration::from_millis(1),
        observation: ProbeObservation::of(outcome),
    };
    memory.observe(&report, Weight::SCHEDULED, now);
    memory.get("proxy").and_then(|known| known.incident.clone()).map(|open| open.id)
}

fn sick() -> Outcome {
    Outcome::failed(ReasonKind::Timeout, "timeout after 5s")
}

/// With an incident since the third second.
fn with_incident() -> (ClusterMemory, IncidentId) {
    let mut memory = watched(&StoredState::new(), at(0));
    let open = (1..=3).filter_map(|second| probe(&mut memory, sick(), at(second))).last();
    (memory, open.expect("an incident"))
}

#[test]
fn an_incident_is_saved_when_it_begins_and_removed_when_it_ends() {
    let (mut memory, _) = with_incident();
    let saved = memory.take_changes(&cluster());
    assert_eq!(saved.keys().collect::<Vec<_>>(), ["incident/milvus-ha/proxy"]);
    assert!(probe(&mut memory, sick(), at(4)).is_some());
    assert!(!memory.has_changes(), "nothing is new");
    for second in 5..10 {
        probe(&mut memory, Outcome::Healthy, at(second));
    }
    let removed = memory.take_changes(&cluster());
    assert_eq!(removed.into_values().collect::<Vec<_>>(), [None]);
}

#[test]
fn a_resumed_component_is_sick_until_it_was_probed_well_often_enough_and_is_not_acted_on_at_once() {
    let (memory, incident) = with_incident();
    let mut memory = watched(&memory.export(&cluster()), at(60));
    let known = memory.get("proxy").expect("it is watched");
    assert_eq!(known.tracker.state(), HealthState::Unhealthy);
    assert_eq!(known.tracker.since(), at(3));
    assert_eq!(probe(&mut memory, sick(), at(61)), Some(incident.clone()));
    assert!(!memory.get("proxy").expect("it is watched").tracker.is_counted_out());
    let threshold = u64::from(HealthSettings::default().success_threshold);
    for success in 1..threshold {
        assert_eq!(probe(&mut memory, Outcome::Healthy, at(61 + success)), Some(incident.clone()));
    }
    assert_eq!(probe(&mut memory, Outcome::Healthy, at(61 + threshold)), None);
}

#[test]
fn an_incident_of_a_component_that_is_not_watched_waits_and_stays_on_record() {
    let (memory, incident) = with_incident();
    let state = memory.export(&cluster());
    let mut memory = ClusterMemory::default();
    for one in StoredIncident::all(&state).0 {
        memory.adopt(one, at(60));
    }
    assert_eq!(memory.export(&cluster()), state);
    assert_eq!(memory.take_orphans(), [incident]);
    assert_eq!(memory.export(&cluster()), StoredState::new());
}

proptest! {
    #[test]
    fn whatever_stands_there_is_read_without_a_panic(
        key in "incident/\\PC{0,30}",
        text in "\\PC{0,80}",
        cut in 0..300_usize,
    ) {
        let (memory, _) = with_incident();
        let mut state = memory.export(&cluster());
        for text in state.values_mut() {
            text.truncate(cut.min(text.len() - 1));
        }
        state.insert(key, text);
        let (all, unreadable) = StoredIncident::all(&state);
        prop_assert_eq!((all.len(), unreadable.len()), (0, state.len()));
    }
}

//! The stored form: what it looks like, and that whatever is found in its place is survived.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

fn stored(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

#[test]
fn the_stored_form_is_as_documented() {
    let mut desk = Desk::new();
    let mut one = request("proxy", START);
    one.pods = vec![sick("p", ReasonKind::Timeout)];
    desk.act(&one, START);
    desk.ledger.trip(&"a".into(), "the budget is spent".to_owned(), START);
    let instant = "2026-01-01T00:00:00.000Z";
    let incident = format!("a/proxy@{instant}");
    let component = format!(
        r#"{{"actions":["{instant}"],"last_action_at":"{instant}","last_sick_at":"{instant}","acted_on":true,"under_way":{{"incident":"{incident}","component":{{"cluster":"a","component":"proxy"}},"step":"rollout_restart","index":0,"workload":{{"kind":"Deployment","namespace":"n","name":"milvus-proxy"}},"pod":null,"revisions":null,"troubles":["silent"],"sick_before":["p"],"sick_after":null,"idempotency_key":"{incident}/0-rollout_restart","at":"{instant}","requested_at":"{instant}","accepted_at":"{instant}","rollout":{{"status":"not_asked"}},"healthy_since":null,"waits_for_milvus":false}}}}"#
    );
    let window = format!(r#"["{instant}"]"#);
    let breaker = format!(r#"{{"at":"{instant}","why":"the budget is spent"}}"#);
    let expected = stored(&[
        ("breaker/a", &breaker),
        ("recovery", &window),
        ("recovery/a", &window),
        ("recovery/a/proxy", &component),
    ]);
    assert_eq!(desk.ledger.export(), expected);
}

#[test]
fn a_component_that_only_fell_sick_is_not_worth_a_write() {
    let mut desk = Desk::new();
    let one = request("proxy", START);
    desk.settings.enabled = false;
    desk.decide(&one, START);
    assert!(!desk.ledger.has_changes());
    assert!(desk.ledger.export().is_empty());
}

#[test]
fn a_long_sickness_is_written_down_once_a_minute_and_not_at_every_report() {
    let mut desk = Desk::new();
    let one = request("proxy", START);
    desk.act(&one, START);
    desk.ledger.not_recovered(&one.component, START);
    desk.ledger.take_changes();
    let mut writes = 0;
    for second in (0..600).step_by(5) {
        desk.decide(&one, START + Duration::from_secs(second));
        writes += usize::from(!desk.ledger.take_changes().is_empty());
    }
    assert_eq!(writes, 10);
}

#[test]
fn changes_that_could_not_be_saved_are_given_again_as_they_are_then() {
    let mut desk = Desk::new();
    let one = request("proxy", START);
    desk.act(&one, START);
    let changes = desk.ledger.take_changes();
    assert_eq!(changes.len(), 3);
    assert!(desk.ledger.take_changes().is_empty());
    desk.ledger.not_recovered(&one.component, START + minutes(10));
    desk.ledger.not_saved(&changes);
    let again = desk.ledger.take_changes();
    let all: BTreeMap<String, Option<String>> =
        desk.ledger.export().into_iter().map(|(key, value)| (key, Some(value))).collect();
    assert_eq!(again, all);
}

#[test]
fn a_breaker_that_was_reset_is_removed() {
    let mut ledger = RecoveryLedger::default();
    ledger.trip(&"a".into(), "why".to_owned(), START);
    ledger.take_changes();
    ledger.reset_breaker("a");
    let removed = ["breaker/a", "recovery", "recovery/a"].map(|key| (key.to_owned(), None));
    assert_eq!(ledger.take_changes(), BTreeMap::from(removed));
}

#[test]
fn names_with_slashes_are_told_apart() {
    let mut ledger = RecoveryLedger::default();
    for name in ["a/b", "a%2Fb", "%", "a"] {
        ledger.trip(&name.into(), name.to_owned(), START);
    }
    let (back, problems) = RecoveryLedger::import(&ledger.export());
    assert_eq!(problems, []);
    assert_eq!(back.export(), ledger.export());
    let names: Vec<(&str, &str)> =
        back.breakers().map(|(name, tripped)| (&**name, tripped.why.as_str())).collect();
    assert_eq!(names, [("%", "%"), ("a", "a"), ("a%2Fb", "a%2Fb"), ("a/b", "a/b")]);
}

#[test]
fn what_cannot_be_read_is_reported_and_left_out_but_a_breaker_stays_open() {
    let mut desk = Desk::new();
    desk.act(&request("proxy", START), START);
    let mut found = desk.ledger.export();
    let of_proxy = found["recovery/a/proxy"].clone();
    found.extend(stored(&[
        ("recovery/a/datanode", &of_proxy),
        ("recovery/a/x/y", "{}"),
        ("recovery/a%zz/x", "{}"),
        ("recovery//x", "{}"),
        ("recovery/b", "[\"yesterday\"]"),
        ("breaker/b", "\u{0}"),
        ("breaker", "{}"),
        ("incident/a/proxy", "not ours"),
        ("recoveries", "not ours"),
    ]));
    let (ledger, problems) = RecoveryLedger::import(&found);
    let keys: Vec<&str> = problems.iter().map(|one| one.key.as_str()).collect();
    assert_eq!(
        keys,
        [
            "breaker",
            "breaker/b",
            "recovery//x",
            "recovery/a%zz/x",
            "recovery/a/datanode",
            "recovery/a/x/y",
            "recovery/b",
        ]
    );
    assert!(ledger.breaker("b").is_some());
    assert_eq!(ledger.all_in_flight().count(), 1);
    assert!(!ledger.has_changes());
}

#[test]
fn an_older_and_a_newer_falconer_read_each_others_state() {
    let newer = stored(&[("recovery/a/proxy", r#"{"acted_on":true,"mood":"fine"}"#)]);
    let (ledger, problems) = RecoveryLedger::import(&newer);
    assert_eq!(problems, []);
    assert_eq!(ledger.acted_on().count(), 1);
    let huge = "x".repeat(2_000_000);
    let (_, problems) = RecoveryLedger::import(&stored(&[("recovery", &huge)]));
    assert_eq!(problems.len(), 1);
    assert!(problems[0].to_string().len() < 200, "{}", problems[0]);
}

/// A text that is damaged at one place.
fn damaged(text: &str, place: usize, with: &str) -> String {
    let mut chars: Vec<char> = text.chars().collect();
    let place = place % chars.len().max(1);
    if place < chars.len() {
        chars.splice(place..=place, with.chars());
    }
    chars.into_iter().collect()
}

proptest! {
    #[test]
    fn whatever_is_found_in_the_store_is_survived(
        bytes in prop::collection::vec(any::<u8>(), 0..200),
        tail in ".{0,40}",
        place in any::<usize>(),
        with in ".{0,3}",
    ) {
        let noise = String::from_utf8_lossy(&bytes).into_owned();
        let mut desk = Desk::new();
        let mut one = request("proxy", START);
        one.pods = vec![sick("p", ReasonKind::Timeout)];
        desk.act(&one, START);
        let mut found: BTreeMap<String, String> = desk
            .ledger
            .export()
            .into_iter()
            .map(|(key, value)| (key, damaged(&value, place, &with)))
            .collect();
        found.insert(format!("recovery/{tail}"), noise.clone());
        found.insert(format!("breaker/{tail}"), noise.clone());
        found.insert(noise.clone(), noise);
        let (mut ledger, _) = RecoveryLedger::import(&found);
        // What was understood can be worked with, and is stored again as it was.
        let (again, problems) = RecoveryLedger::import(&ledger.export());
        prop_assert_eq!(problems, []);
        prop_assert_eq!(again.export(), ledger.export());
        ledger.resume(START + minutes(1));
        decide(&one, &ledger, &desk.settings, &desk.global, START + minutes(1));
    }
}

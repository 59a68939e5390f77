//! Whether an action helped.

use super::*;

#[test]
fn verification_needs_the_rollout_and_the_health_and_ends_at_its_deadline() {
    let mut desk = Desk::new();
    let request = request("proxy", START);
    let key = desk.act(&request, START).idempotency_key;
    let component = &request.component;
    let settings = desk.settings.clone();
    let judge = |ledger: &RecoveryLedger, now| {
        verify(ledger.in_flight(component).expect("in flight"), &settings, now)
    };
    desk.ledger.saw_healthy(component, START.minus(minutes(1)));
    desk.ledger.saw_rollout(component, &key, RolloutProgress::Complete);
    assert_eq!(judge(&desk.ledger, START + minutes(1)), Verification::Pending);
    let reason = verification::VerificationFailure::NotHealthy { timeout: minutes(10) };
    let late = judge(&desk.ledger, START + minutes(10));
    assert_eq!(late, Verification::NotRecovered { reason });
    desk.ledger.saw_healthy(component, START + minutes(2));
    let took = minutes(3);
    assert_eq!(judge(&desk.ledger, START + took), Verification::Recovered { took });
    let back = super::tests::request("proxy", START + minutes(2));
    desk.decide(&back, START + minutes(2));
    assert_eq!(judge(&desk.ledger, START + minutes(3)), Verification::Pending);
}

#[test]
fn a_verification_is_pending_until_its_deadline_and_not_a_moment_longer() {
    let mut desk = Desk::new();
    let one = request("proxy", START);
    desk.act(&one, START);
    let action = desk.ledger.in_flight(&one.component).expect("in flight").clone();
    let end = START + desk.settings.verify_timeout;
    let before = end.minus(Duration::from_millis(1));
    assert_eq!(verify(&action, &desk.settings, before), Verification::Pending);
    let reason = verification::VerificationFailure::NotRolledOut {
        timeout: desk.settings.verify_timeout,
        last: "its rollout status is not known yet".to_owned(),
    };
    let expected = Verification::NotRecovered { reason };
    assert_eq!(verify(&action, &desk.settings, end), expected);
}

#[test]
fn one_of_two_sick_pods_is_replaced_when_nothing_but_the_other_is_sick() {
    let mut desk = Desk::new();
    desk.settings.ladder = vec![LadderStep::DeletePod];
    let timeout = ReasonKind::Timeout;
    let mut one = request("querynode", START);
    one.pods = vec![sick("a", timeout), sick("b", timeout), well("c")];
    let key = desk.act(&one, START).idempotency_key;
    let id = one.component.clone();
    let judge = |desk: &Desk| {
        verify(desk.ledger.in_flight(&id).expect("in flight"), &desk.settings, START + minutes(1))
    };
    desk.ledger.saw_sick_pods(&id, &["b".into()]);
    assert_eq!(judge(&desk), Verification::Pending, "before its rollout has ended");
    desk.ledger.saw_rollout(&id, &key, RolloutProgress::Complete);
    for sick in [vec!["a", "b"], vec!["b", "d"], vec![]] {
        let names: Vec<Arc<str>> = sick.iter().map(|name| Arc::from(*name)).collect();
        desk.ledger.saw_sick_pods(&id, &names);
        assert_eq!(judge(&desk), Verification::Pending, "{sick:?}");
    }
    desk.ledger.saw_sick_pods(&id, &["b".into()]);
    assert_eq!(judge(&desk), Verification::PodReplaced { took: minutes(1) });
}

//! Which step follows which, and when a person is told.

use super::*;

#[test]
fn a_sick_component_is_restarted_once_and_the_key_names_incident_and_step() {
    let mut desk = Desk::new();
    let request = request("proxy", START);
    let plan = desk.act(&request, START);
    assert_eq!(plan.step, ActionStep::RolloutRestart);
    assert_eq!(plan.idempotency_key, format!("{}/0-rollout_restart", request.incident));
    assert_eq!(desk.decide(&request, START + minutes(1)), RecoveryDecision::InFlight);
}

#[test]
fn a_step_that_did_not_help_is_followed_by_the_next_and_escalation_is_said_once() {
    let mut desk = Desk::new();
    let request = request("proxy", START);
    desk.act(&request, START);
    let later = START + minutes(10);
    desk.ledger.not_recovered(&request.component, later);
    let reason = ends_after(&[(ActionStep::RolloutRestart, TriedEnd::Failed)]);
    assert_eq!(desk.decide(&request, later), RecoveryDecision::Escalate { reason });
    desk.ledger.escalated(&request.component, &request.incident, later);
    let refusal = desk.refusal(&request, later + minutes(300));
    assert_eq!(refusal, RefusalReason::LeftToPerson { since: later });
}

#[test]
fn a_rollout_that_our_restart_began_and_that_never_ended_reaches_a_person() {
    let mut desk = Desk::new();
    desk.settings.ladder = vec![LadderStep::RolloutRestart, LadderStep::RolloutRestart];
    let mut request = request("proxy", START);
    desk.act(&request, START);
    desk.ledger.not_recovered(&request.component, START + minutes(10));
    request.workloads[0].rolling_out = true;
    let workload = request.workloads[0].reference.clone();
    let reason = EscalationReason::RolloutStuck { workload };
    assert_eq!(desk.decide(&request, START + minutes(20)), RecoveryDecision::Escalate { reason });
}

#[test]
fn what_came_back_soon_after_its_recovery_was_not_helped() {
    let mut desk = Desk::new();
    let first = request("proxy", START);
    desk.act(&first, START);
    desk.ledger.recovered(&first.component, START + minutes(1));
    let back = request("proxy", START + minutes(9));
    let reason = ends_after(&[(ActionStep::RolloutRestart, TriedEnd::CameBack)]);
    assert_eq!(desk.decide(&back, START + minutes(9)), RecoveryDecision::Escalate { reason });
}

#[test]
fn another_trouble_within_the_window_has_a_try_of_its_own_and_each_kind_has_one() {
    let mut desk = Desk::new();
    for (minute, trouble) in [(0, Trouble::Silent), (3, Trouble::Gone)] {
        let mut one = request("proxy", START + minutes(minute));
        one.trouble = trouble;
        assert_eq!(desk.act(&one, START + minutes(minute)).index, 0);
        desk.ledger.recovered(&one.component, START + minutes(minute + 1));
        desk.settings.cooldown = Duration::ZERO;
    }
    for trouble in [Trouble::Silent, Trouble::Gone] {
        let mut back = request("proxy", START + minutes(6));
        back.trouble = trouble;
        let decision = desk.decide(&back, START + minutes(6));
        assert!(matches!(decision, RecoveryDecision::Escalate { .. }), "{trouble:?} {decision:?}");
    }
    // What was written by a version that did not say against what it acted counts as before.
    let mut stored = desk.ledger.export();
    for value in stored.values_mut() {
        *value = value.replace(r#""troubles":["gone","silent"],"#, "");
    }
    desk.ledger = RecoveryLedger::import(&stored).0;
    let mut back = request("proxy", START + minutes(6));
    back.trouble = Trouble::Sick;
    let decision = desk.decide(&back, START + minutes(6));
    assert!(matches!(decision, RecoveryDecision::Escalate { .. }), "{decision:?}");
}

#[test]
fn what_was_tried_and_what_was_not_is_said_with_the_reasons() {
    let mut desk = Desk::new();
    desk.settings.ladder =
        vec![LadderStep::DeletePod, LadderStep::RolloutRestart, LadderStep::Rollback];
    let mut one = request("proxy", START);
    one.pods = vec![sick("a", ReasonKind::Timeout), sick("b", ReasonKind::Timeout)];
    assert_eq!(desk.act(&one, START).step, ActionStep::RolloutRestart);
    desk.ledger.not_recovered(&one.component, START + minutes(10));
    // It survives that falconer is killed.
    desk.ledger = RecoveryLedger::import(&desk.ledger.export()).0;
    let RecoveryDecision::Escalate { reason } = desk.decide(&one, START + minutes(20)) else {
        panic!("nothing is left to be tried");
    };
    assert_eq!(
        reason.to_string(),
        "left to a person: rollout_restart did not help; not tried: delete_pod: all 2 pods are \
         sick; rollback: its revisions are not known"
    );
}

#[test]
fn what_the_platform_refused_is_not_said_to_have_been_tried_in_vain() {
    let mut desk = Desk::new();
    desk.settings.ladder = vec![LadderStep::DeletePod, LadderStep::RolloutRestart];
    let mut one = request("proxy", START);
    one.pods = vec![sick("a", ReasonKind::Timeout), well("b")];
    let RecoveryDecision::Act(plan) = desk.decide(&one, START) else { panic!("an action") };
    desk.begin(&one, &plan, START);
    desk.ledger.not_recovered(&one.component, START);
    desk.act(&one, START + minutes(10));
    desk.ledger.not_recovered(&one.component, START + minutes(20));
    let RecoveryDecision::Escalate { reason } = desk.decide(&one, START + minutes(20)) else {
        panic!("nothing is left to be tried");
    };
    assert_eq!(
        reason.to_string(),
        "left to a person: delete_pod was refused by the platform, then rollout_restart did not help"
    );
}

fn ends_after(tried: &[(ActionStep, TriedEnd)]) -> EscalationReason {
    let tried = tried.iter().map(|(step, end)| TriedStep { step: *step, end: *end }).collect();
    EscalationReason::LadderEnds { tried, skipped: Vec::new() }
}

#[test]
fn what_stayed_well_for_longer_is_restarted_again() {
    let mut desk = Desk::new();
    let first = request("proxy", START);
    desk.act(&first, START);
    desk.ledger.recovered(&first.component, START + minutes(1));
    let back = request("proxy", START + minutes(12));
    assert_eq!(desk.act(&back, START + minutes(12)).index, 0);
}

#[test]
fn a_failed_ladder_is_remembered_across_incidents_until_it_was_well_for_long() {
    let mut desk = Desk::new();
    let first = request("proxy", START);
    desk.act(&first, START);
    desk.ledger.not_recovered(&first.component, START + minutes(10));
    let soon = request("proxy", START + minutes(20));
    let escalated = desk.decide(&soon, START + minutes(20));
    assert!(matches!(escalated, RecoveryDecision::Escalate { .. }), "{escalated:?}");
    let much_later = request("proxy", START + minutes(51));
    assert_eq!(desk.act(&much_later, START + minutes(51)).index, 0);
}

#[test]
fn a_long_incident_does_not_begin_its_ladder_anew() {
    let mut desk = Desk::new();
    let first = request("proxy", START);
    desk.act(&first, START);
    desk.ledger.not_recovered(&first.component, START + minutes(10));
    for minute in (11..300).step_by(5) {
        let decision = desk.decide(&first, START + minutes(minute));
        assert!(matches!(decision, RecoveryDecision::Escalate { .. }), "{decision:?}");
    }
    // The same trouble under another incident, as after a respawn of the supervisor.
    let renamed = request("proxy", START + minutes(300));
    let decision = desk.decide(&renamed, START + minutes(300));
    assert!(matches!(decision, RecoveryDecision::Escalate { .. }), "{decision:?}");
}

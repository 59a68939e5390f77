//! When a workload goes back to the revision before, and that it never goes to and fro.

use super::*;

fn rolling_back() -> Desk {
    let mut desk = Desk::new();
    desk.settings.ladder =
        vec![LadderStep::Rollback, LadderStep::Rollback, LadderStep::RolloutRestart];
    desk
}

/// Sick since `since`, a minute after its newest revision.
fn bad_rollout(since: Timestamp) -> RecoveryRequest {
    let mut one = request("proxy", since);
    one.workloads[0].revision = Some(revision(since.minus(minutes(1))));
    one.pods = vec![newest("p")];
    one
}

fn change(decision: RecoveryDecision) -> Option<RevisionChange> {
    match decision {
        RecoveryDecision::Act(plan) => plan.revisions,
        _ => None,
    }
}

const BACK: RevisionChange = RevisionChange { from: 7, to: 6 };

#[test]
fn a_sickness_that_began_with_the_newest_revision_ends_with_it() {
    let one = bad_rollout(START);
    assert_eq!(change(rolling_back().decide(&one, START)), Some(BACK));
}

#[test]
fn the_window_of_a_rollback_has_two_ends() {
    let window = RecoverySettings::default().rollback_window;
    let millisecond = Duration::from_millis(1);
    let began = |since: Timestamp| {
        let mut one = bad_rollout(START);
        one.workloads[0].revision = Some(revision(since));
        change(rolling_back().decide(&one, START)).is_some()
    };
    assert!(began(START));
    assert!(!began(START + millisecond), "it was sick before");
    assert!(began(START.minus(window)));
    assert!(!began(START.minus(window + millisecond)), "it was well with it");
}

#[test]
fn only_where_all_that_is_sick_is_of_the_newest_revision_and_nobody_else_writes_it() {
    let mut older = bad_rollout(START);
    older.pods.push(sick("q", ReasonKind::Timeout));
    assert_eq!(change(rolling_back().decide(&older, START)), None);
    // An old pod that is about to end says nothing.
    let mut gone = ending("q", START);
    gone.sick = Some(Reason::new(ReasonKind::Timeout, "gone"));
    older.pods[1] = gone;
    assert_eq!(change(rolling_back().decide(&older, START)), Some(BACK));
    let mut first = bad_rollout(START);
    first.workloads[0].revision.as_mut().expect("a revision").previous = None;
    assert_eq!(change(rolling_back().decide(&first, START)), None);
    let mut operated = bad_rollout(START);
    operated.workloads[0].owner = Owner::MilvusOperator { name: "ha".to_owned() };
    assert_eq!(change(rolling_back().decide(&operated, START)), None);
}

#[test]
fn a_rollout_that_does_not_end_is_rolled_back_after_its_time_but_not_past_escalate() {
    let mut one = bad_rollout(START);
    one.workloads[0].rolling_out = true;
    let mut desk = rolling_back();
    desk.settings.ladder = vec![LadderStep::RolloutRestart, LadderStep::Rollback];
    let due = START + minutes(9);
    let early = desk.refusal(&one, due.minus(Duration::from_millis(1)));
    assert_eq!(early.as_str(), "rollout_in_progress");
    assert_eq!(change(desk.decide(&one, due)), Some(BACK));
    desk.settings.ladder = vec![LadderStep::Escalate, LadderStep::Rollback];
    assert_eq!(change(desk.decide(&one, due)), None);
}

#[test]
fn it_is_rolled_back_once_in_an_incident() {
    let mut desk = rolling_back();
    let mut one = bad_rollout(START);
    desk.act(&one, START);
    desk.ledger.not_recovered(&one.component, START + minutes(1));
    // Somebody deployed once more, within the incident.
    let mut newer = revision(START);
    (newer.number, newer.previous) = (9, Some(8));
    one.workloads[0].revision = Some(newer);
    let plan = desk.act(&one, START + minutes(10));
    assert_eq!(plan.step, ActionStep::RolloutRestart);
}

/// What the platform shows after revision 7 was left: its content before has the number 8.
fn rolled_back(since: Timestamp) -> RecoveryRequest {
    let mut one = bad_rollout(since);
    let mut newest = revision(since);
    (newest.number, newest.previous) = (8, Some(7));
    one.workloads[0].revision = Some(newest);
    one
}

#[test]
fn a_rollback_is_never_undone_by_another_one_however_late() {
    let mut desk = rolling_back();
    let one = bad_rollout(START);
    desk.act(&one, START);
    desk.ledger.recovered(&one.component, START + minutes(1));
    for later in [12, 70, 5000] {
        let again = rolled_back(START + minutes(later));
        let decision = desk.decide(&again, START + minutes(later));
        assert_eq!(change(decision), None, "after {later} minutes");
    }
}

#[test]
fn a_rollback_whose_answer_was_lost_is_tried_again_but_not_the_other_way() {
    let mut desk = rolling_back();
    let one = bad_rollout(START);
    let RecoveryDecision::Act(plan) = desk.decide(&one, START) else { panic!("no action") };
    desk.begin(&one, &plan, START);
    desk.ledger.postponed(&one.component, &desk.settings.clone(), START);
    let retried = desk.decide(&one, START + minutes(1));
    assert_eq!(retried, RecoveryDecision::Act(plan));
    // It had arrived.
    let mut arrived = rolled_back(START);
    arrived.incident = one.incident;
    assert_eq!(change(desk.decide(&arrived, START + minutes(1))), None);
}

#[test]
fn a_rollback_that_may_have_arrived_is_not_tried_again_from_what_was_deployed_since() {
    let mut desk = rolling_back();
    let mut one = bad_rollout(START);
    let RecoveryDecision::Act(plan) = desk.decide(&one, START) else { panic!("no action") };
    assert!(plan.idempotency_key.ends_with("/0-rollback/7"), "{}", plan.idempotency_key);
    desk.begin(&one, &plan, START);
    desk.ledger.postponed(&one.component, &desk.settings.clone(), START);
    // It had arrived as revision 8, and somebody deployed revision 9.
    let mut newer = revision(START);
    (newer.number, newer.previous) = (9, Some(8));
    one.workloads[0].revision = Some(newer);
    assert_eq!(change(desk.decide(&one, START + minutes(1))), None);
}

#[test]
fn nobody_is_brought_back_to_a_revision_that_was_sick_a_moment_ago() {
    let mut desk = rolling_back();
    desk.settings.ladder = vec![LadderStep::Rollback];
    // Sick for long with revision 6, for whatever reason; somebody tries revision 7.
    let mut before = request("proxy", START);
    let mut sick_one = revision(START.minus(minutes(600)));
    (sick_one.number, sick_one.previous) = (6, Some(5));
    before.workloads[0].revision = Some(sick_one);
    desk.decide(&before, START);
    assert_eq!(change(desk.decide(&bad_rollout(START + minutes(10)), START + minutes(10))), None);
    // Long well in between: then it is worth a try.
    let later = START + minutes(50);
    assert_eq!(change(desk.decide(&bad_rollout(later), later)), Some(BACK));
}

#[test]
fn somebody_elses_rollout_after_our_failed_restart_is_not_ours() {
    let mut desk = Desk::new();
    desk.settings.ladder = vec![LadderStep::RolloutRestart; 2];
    let mut one = request("proxy", START);
    desk.act(&one, START);
    desk.ledger.not_recovered(&one.component, START + minutes(10));
    one.workloads[0].rolling_out = true;
    one.workloads[0].revision = Some(revision(START + minutes(12)));
    assert_eq!(desk.refusal(&one, START + minutes(15)).as_str(), "rollout_for_long");
    one.workloads[0].revision = Some(revision(START.minus(minutes(12))));
    let decision = desk.decide(&one, START + minutes(15));
    assert!(matches!(decision, RecoveryDecision::Escalate { .. }), "{decision:?}");
}

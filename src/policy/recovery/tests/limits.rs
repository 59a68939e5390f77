//! How often, how much at once, and what a try after an error is.

use super::*;

#[test]
fn cooldown_and_both_budgets_refuse_with_their_numbers() {
    let mut desk = Desk::new();
    desk.settings.verify_timeout = minutes(1);
    desk.settings.cooldown = minutes(5);
    desk.settings.ladder = vec![LadderStep::RolloutRestart; 9];
    let request = request("proxy", START);
    for round in 0..3 {
        let now = START + minutes(6 * round);
        desk.act(&request, now);
        let left = desk.ledger.cooldown_left(&request.component, "", desk.settings.cooldown, now);
        assert_eq!(left, Some(minutes(5)));
        desk.ledger.not_recovered(&request.component, now + minutes(1));
        let refused = desk.refusal(&request, now + minutes(2));
        assert_eq!(refused, RefusalReason::Cooldown { left: minutes(3) });
    }
    let refused = desk.refusal(&request, START + minutes(18));
    let budget = desk.settings.budget;
    assert_eq!(refused, RefusalReason::ComponentBudgetSpent { budget, free_in: minutes(42) });
    desk.act(&request, START + minutes(60));
    desk.global.budget.actions = 1;
    let other = super::tests::request("datanode", START + minutes(60));
    desk.ledger.not_recovered(&request.component, START + minutes(61));
    let refused = desk.refusal(&other, START + minutes(62));
    assert!(matches!(refused, RefusalReason::GlobalBudgetSpent { .. }), "{refused:?}");
}

#[test]
fn two_sick_components_of_one_cluster_are_restarted_one_after_the_other() {
    let mut desk = Desk::new();
    let (first, mut second) = (request("proxy", START), request("datanode", START));
    desk.act(&first, START);
    let components = vec![first.component.clone()];
    let refused = desk.refusal(&second, START);
    assert_eq!(refused, RefusalReason::AnotherInFlight { components, max_concurrent: 1 });
    second.component = ComponentId::new("another-cluster", "datanode");
    desk.act(&second, START);
}

#[test]
fn a_try_after_a_platform_error_is_the_same_request_and_waits_longer_each_time() {
    let mut desk = Desk::new();
    desk.settings.budget.actions = 1;
    desk.global.budget.actions = 1;
    let request = request("proxy", START);
    let RecoveryDecision::Act(plan) = desk.decide(&request, START) else { panic!("no action") };
    let mut now = START;
    for expected in [30, 60, 120, 240, 300, 300] {
        desk.begin(&request, &plan, now);
        let delay = desk.ledger.postponed(&request.component, &desk.settings.clone(), now);
        assert_eq!(delay, Duration::from_secs(expected));
        let waits = desk.decide(&request, now + Duration::from_secs(expected - 1));
        assert!(matches!(waits, RecoveryDecision::Wait { .. }), "{waits:?}");
        now = now + delay;
        assert_eq!(desk.decide(&request, now), RecoveryDecision::Act(plan.clone()));
    }
    assert_eq!(desk.ledger.component_actions(&request.component, minutes(60), now), 1);
}

#[test]
fn a_request_without_an_answer_may_have_arrived_so_its_cooldown_holds_for_the_next_incident() {
    let mut desk = Desk::new();
    let first = request("proxy", START);
    let RecoveryDecision::Act(plan) = desk.decide(&first, START) else { panic!("no action") };
    desk.begin(&first, &plan, START);
    desk.ledger.postponed(&first.component, &desk.settings.clone(), START + minutes(1));
    let next = request("proxy", START + minutes(2));
    let left = minutes(3);
    assert_eq!(desk.refusal(&next, START + minutes(2)), RefusalReason::Cooldown { left });
}

#[test]
fn a_lost_request_may_be_at_work_so_its_neighbours_wait_for_as_long_as_it_would_be_verified() {
    let mut desk = Desk::new();
    let (first, second) = (request("proxy", START), request("datanode", START));
    let RecoveryDecision::Act(plan) = desk.decide(&first, START) else { panic!("no action") };
    desk.begin(&first, &plan, START);
    desk.ledger.postponed(&first.component, &desk.settings.clone(), START);
    let components = vec![first.component.clone()];
    let refused = desk.refusal(&second, START + minutes(9));
    assert_eq!(refused, RefusalReason::AnotherInFlight { components, max_concurrent: 1 });
    // Its own next try is not in its way, and is one action and not two.
    let retried = desk.decide(&first, START + minutes(9));
    let RecoveryDecision::Act(again) = retried else { panic!("not {retried:?}") };
    let mut other = Desk { ledger: desk.ledger.clone(), ..Desk::new() };
    other.begin(&first, &again, START + minutes(9));
    other.global.max_concurrent = 2;
    assert!(matches!(other.decide(&second, START + minutes(9)), RecoveryDecision::Act(_)));
    assert!(matches!(desk.decide(&second, START + minutes(10)), RecoveryDecision::Act(_)));
}

#[test]
fn a_breaker_stays_open_until_a_person_resets_it_and_the_components_own_limits_hold_on() {
    let mut desk = Desk::new();
    desk.global.cluster_budget.actions = 1;
    desk.settings.ladder = vec![LadderStep::RolloutRestart; 3];
    let (first, second) = (request("proxy", START), request("datanode", START));
    desk.act(&first, START);
    desk.ledger.recovered(&first.component, START + minutes(1));
    let spent = desk.refusal(&second, START + minutes(2));
    assert!(spent.trips_breaker(), "{spent}");
    let cluster = Arc::clone(&second.component.cluster);
    desk.ledger.trip(&cluster, spent.to_string(), START + minutes(2));
    // The first reason is the one that is kept.
    desk.ledger.trip(&cluster, "again".to_owned(), START + minutes(3));
    let since = START + minutes(2);
    let why = spent.to_string();
    let open = RefusalReason::BreakerOpen { cluster: cluster.clone(), since, why };
    assert_eq!(desk.refusal(&second, START + minutes(100_000)), open);
    let mut elsewhere = request("datanode", START);
    elsewhere.component = ComponentId::new("b", "datanode");
    assert!(matches!(desk.decide(&elsewhere, START), RecoveryDecision::Act(_)));
    assert!(desk.ledger.reset_breaker("a"));
    assert!(!desk.ledger.reset_breaker("a"), "once");
    let back = request("proxy", START + minutes(3));
    assert_eq!(desk.refusal(&back, START + minutes(3)).as_str(), "cooldown");
    desk.act(&second, START + minutes(3));
}

#[test]
fn a_lost_request_that_another_step_has_overtaken_is_the_same_but_waits_for_the_others_cooldown() {
    let mut desk = Desk::new();
    desk.settings.force_delete_after = Some(minutes(10));
    let mut one = request("querynode", START);
    let RecoveryDecision::Act(plan) = desk.decide(&one, START) else { panic!("no action") };
    desk.begin(&one, &plan, START);
    desk.ledger.postponed(&one.component, &desk.settings.clone(), START);
    one.pods = vec![well("a"), ending("b", START.minus(minutes(30)))];
    assert_eq!(desk.act(&one, START + minutes(5)).step, ActionStep::ForceDelete);
    desk.ledger.not_recovered(&one.component, START + minutes(6));
    let left = minutes(2);
    assert_eq!(desk.refusal(&one, START + minutes(8)), RefusalReason::Cooldown { left });
    // What is written is what was written at first, so that it is not done twice.
    assert_eq!(desk.decide(&one, START + minutes(10)), RecoveryDecision::Act(plan));
}

#[test]
fn what_was_withdrawn_takes_no_room_and_an_earlier_try_of_it_keeps_its_own() {
    let mut desk = Desk::new();
    desk.settings.budget.actions = 1;
    let one = request("querynode", START);
    let RecoveryDecision::Act(plan) = desk.decide(&one, START) else { panic!("no action") };
    desk.begin(&one, &plan, START);
    desk.ledger.withdrawn(&one.component);
    let counts = |desk: &Desk| {
        let (ledger, id, per) = (&desk.ledger, &one.component, minutes(60));
        let now = START + minutes(1);
        let own = ledger.component_actions(id, per, now);
        (own, ledger.cluster_actions("a", per, now), ledger.global_actions(per, now))
    };
    assert_eq!(counts(&desk), (0, 0, 0));
    assert_eq!(desk.decide(&one, START), RecoveryDecision::Act(plan.clone()));
    desk.begin(&one, &plan, START);
    desk.ledger.postponed(&one.component, &desk.settings.clone(), START);
    desk.begin(&one, &plan, START + minutes(1));
    desk.ledger.withdrawn(&one.component);
    assert_eq!(counts(&desk), (1, 1, 1));
    assert_eq!(desk.decide(&one, START + minutes(1)), RecoveryDecision::Act(plan));
}

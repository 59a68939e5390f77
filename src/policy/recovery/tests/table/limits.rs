//! Situations of how often and how much at once, and of what was begun before.

use super::*;

fn node() -> Case {
    Case::whole(Role::QueryNode).set(|s| s.ladder = vec![LadderStep::RolloutRestart; 9])
}

/// So many actions on other components, one every two minutes until a minute ago.
fn others_restarted(cluster: &'static str, count: u64) -> impl FnOnce(&mut Desk, &RecoveryRequest) {
    move |desk, _| {
        for number in 0..count {
            let now = START.minus(minutes(2 * number + 1));
            let mut other = request("x", now);
            other.component = ComponentId::new(cluster, format!("other-{number}"));
            desk.act(&other, now);
            desk.ledger.recovered(&other.component, now + Duration::from_secs(30));
        }
    }
}

fn begun(desk: &mut Desk, request: &RecoveryRequest) {
    let RecoveryDecision::Act(plan) = desk.decide(request, START) else { panic!("no action") };
    desk.begin(request, &plan, START);
}

fn lost(desk: &mut Desk, request: &RecoveryRequest) {
    begun(desk, request);
    let settings = desk.settings.clone();
    desk.ledger.postponed(&request.component, &settings, START);
}

fn failed_at(minute: u64) -> impl FnOnce(&mut Desk, &RecoveryRequest) {
    move |desk, request| {
        for number in 0..=minute / 6 {
            let now = START + minutes(6 * number);
            desk.act(request, now);
            desk.ledger.not_recovered(&request.component, now + minutes(1));
        }
    }
}

pub(super) fn scenarios() -> Vec<Scenario> {
    let mut all = stopped();
    all.extend(at_once());
    all.extend(budgets());
    all
}

fn stopped() -> Vec<Scenario> {
    let trip = |desk: &mut Desk, _: &RecoveryRequest| {
        desk.ledger.trip(&"a".into(), "the cluster's budget is spent".to_owned(), START);
    };
    let killed = |desk: &mut Desk, _: &RecoveryRequest| {
        desk.ledger = RecoveryLedger::import(&desk.ledger.export()).0;
    };
    vec![
        scenario(
            Guard::Breaker,
            "more was done than the budget allows, an hour ago",
            "refuse breaker_open",
            node().after(trip).at(START + minutes(60)),
        ),
        scenario(
            Guard::Breaker,
            "the same after falconer was killed, or another replica took over",
            "refuse breaker_open",
            node().after(trip).after(killed),
        ),
        scenario(
            Guard::Breaker,
            "a person has reset it",
            "act rollout_restart",
            node().after(trip).after(|desk, _| assert!(desk.ledger.reset_breaker("a"))),
        ),
        scenario(
            Guard::LeftToPerson,
            "the incident was escalated an hour ago",
            "refuse left_to_person",
            node()
                .after(|desk, r| desk.ledger.escalated(&r.component, &r.incident, START))
                .at(START + minutes(60)),
        ),
        scenario(
            Guard::Settled,
            "another component was last probed before the sickness began",
            "wait settling",
            node()
                .given(|r| r.cluster_seen_at = Some(START.minus(minutes(1))))
                .at(START + Duration::from_secs(5)),
        ),
        scenario(
            Guard::Settled,
            "the same for a minute: no longer waited for",
            "act rollout_restart",
            node().given(|r| r.cluster_seen_at = Some(START.minus(minutes(1)))),
        ),
        scenario(
            Guard::PlatformRetry,
            "the platform did not take the same request 10s ago",
            "wait platform_retry",
            node().after(lost).at(START + Duration::from_secs(10)),
        ),
        scenario(
            Guard::PlatformRetry,
            "the same 30s ago: it is asked again, as the same action and without another share of \
             the budgets",
            "act rollout_restart",
            node().after(lost).at(START + Duration::from_secs(30)),
        ),
    ]
}

fn at_once() -> Vec<Scenario> {
    let beside = |what: fn(&mut Desk, &RecoveryRequest)| {
        node().after(move |desk, _| what(desk, &request("proxy", START)))
    };
    vec![
        scenario(
            Guard::OneAtATime,
            "the proxy of the same cluster is being restarted",
            "refuse another_in_flight",
            beside(begun),
        ),
        scenario(
            Guard::OneAtATime,
            "the request for the proxy had no answer, and may be at work",
            "refuse another_in_flight",
            beside(lost),
        ),
        scenario(
            Guard::OneAtATime,
            "the same ten minutes later, when it would have been verified",
            "act rollout_restart",
            beside(lost).at(START + minutes(10)),
        ),
        scenario(
            Guard::OneAtATime,
            "the proxy of another cluster is being restarted",
            "act rollout_restart",
            node().after(|desk, _| {
                let mut other = request("proxy", START);
                other.component = ComponentId::new("b", "proxy");
                begun(desk, &other);
            }),
        ),
    ]
}

fn budgets() -> Vec<Scenario> {
    vec![
        scenario(
            Guard::Cooldown,
            "restarted three minutes ago, without success",
            "refuse cooldown",
            node().after(failed_at(0)).at(START + minutes(3)),
        ),
        scenario(
            Guard::Cooldown,
            "the same five minutes ago",
            "act rollout_restart",
            node().after(failed_at(0)).at(START + minutes(5)),
        ),
        scenario(
            Guard::ComponentBudget,
            "three times within the last hour",
            "refuse component_budget_spent",
            node().after(failed_at(12)).at(START + minutes(59)),
        ),
        scenario(
            Guard::ComponentBudget,
            "the same when the first of them is an hour old",
            "act rollout_restart",
            node().after(failed_at(12)).at(START + minutes(60)),
        ),
        scenario(
            Guard::ClusterBudget,
            "ten actions in the cluster within the last hour: this opens its circuit breaker",
            "refuse cluster_budget_spent",
            node().after(others_restarted("a", 10)),
        ),
        scenario(
            Guard::ClusterBudget,
            "nine",
            "act rollout_restart",
            node().after(others_restarted("a", 9)),
        ),
        scenario(
            Guard::GlobalBudget,
            "ten actions in another cluster: this opens the circuit breaker as well",
            "refuse global_budget_spent",
            node().after(others_restarted("b", 10)),
        ),
        scenario(
            Guard::GlobalBudget,
            "the same with a global budget of eleven",
            "act rollout_restart",
            node().all(|g| g.budget.actions = 11).after(others_restarted("b", 10)),
        ),
    ]
}

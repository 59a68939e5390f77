use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::model::{
    ComponentId, HealthState, LoadedCollection, PodLife, PodUsage, Resources, WorkloadRef,
};
use crate::policy::scaling::step::{Load, ResourceLoad};
use crate::policy::scaling::{ScalingMode, ScalingSettings, Trigger};

const GIB: u64 = 1 << 30;
const NOW: Timestamp = Timestamp::from_millis(1_767_225_600_000);

fn workload(kind: WorkloadKind) -> WorkloadRef {
    WorkloadRef { kind, namespace: "n".into(), name: "milvus-querynode".into() }
}

fn trigger(cpu: f64) -> Trigger {
    let cpu = Some(ResourceLoad { average: cpu, threshold: 70 });
    Trigger::BelowHalf { load: Load { cpu, memory: None } }
}

fn plan(from: u32, to: u32) -> PlannedChange {
    PlannedChange { workload: workload(WorkloadKind::Deployment), from, to, trigger: trigger(20.0) }
}

/// Query nodes that use so much of 4 GiB each.
fn request(used: &[u64]) -> ScalingRequest {
    let name = |at: usize| format!("milvus-querynode-{at}");
    let pods = used.iter().enumerate().map(|(at, _)| Pod {
        name: name(at).into(),
        ip: Some(format!("10.0.0.{at}")),
        condition: PodCondition::Ready,
        requests: Resources::default(),
        limits: Resources { cpu_milli: None, memory_bytes: Some(4 * GIB) },
        started_at: None,
        workload: None,
        life: PodLife::default(),
    });
    let usage = used.iter().enumerate().map(|(at, used)| PodUsage {
        pod: name(at),
        cpu_milli: Some(1),
        memory_bytes: Some(*used),
        cpu_percent_of_request: Some(20),
        memory_percent_of_request: Some(20),
        cpu_percent_of_limit: None,
        memory_percent_of_limit: None,
        sampled_at: Some(NOW),
        window: Duration::ZERO,
    });
    ScalingRequest {
        component: ComponentId::new("a", "querynode"),
        role: Role::QueryNode,
        workloads: Vec::new(),
        pods: pods.collect(),
        usage: usage.collect(),
        figures: Vec::new(),
        health: HealthState::Healthy,
        being_restarted: Vec::new(),
        sick_below: Vec::new(),
        quiet: None,
    }
}

/// Each node serves two segments, and everything is at rest.
fn serving(nodes: usize) -> Serving {
    let collection = LoadedCollection {
        name: "films".to_owned(),
        percent: 100,
        replicas: 1,
        ..LoadedCollection::default()
    };
    let node = |at: usize| QueryNode {
        id: 100 + i64::try_from(at).unwrap(),
        host: format!("10.0.0.{at}"),
        state: QueryNodeState::Normal,
        segments: 2,
        channels: 0,
    };
    Serving {
        taken_at: NOW,
        collections: vec![collection],
        nodes: (0..nodes).map(node).collect(),
        balance: Balance::Idle,
        management: Management::Available,
    }
}

fn ask(request: &ScalingRequest, plan: &PlannedChange, serving: &Serving) -> CautionDecision {
    let settings = CautionSettings::default();
    let question = Question {
        request,
        plan,
        serving: Some(Ok(serving)),
        before: Before::default(),
        settings: &settings,
    };
    judge(&question, NOW)
}

fn refusal(decision: CautionDecision) -> &'static str {
    match decision {
        CautionDecision::Refuse { reason } => {
            assert!(!reason.to_string().is_empty());
            reason.as_str()
        }
        CautionDecision::Proceed { .. } => "proceed",
    }
}

#[test]
fn a_query_node_goes_only_where_everything_speaks_for_it() {
    let four = request(&[GIB; 4]);
    type Change = fn(&mut Serving);
    let table: [(&str, Change); 9] = [
        ("proceed", |_| {}),
        ("evidence_stale", |s| s.taken_at = NOW.minus(Duration::from_secs(61))),
        ("loading", |s| s.collections[0].percent = 99),
        ("too_few_for_replicas", |s| s.collections[0].replicas = 4),
        ("balancing", |s| s.balance = Balance::Moving { tasks: 1 }),
        ("balance_suspended", |s| s.balance = Balance::Suspended),
        ("evidence_missing", |s| s.balance = Balance::Unknown { why: "x".into() }),
        ("node_taken_out", |s| s.nodes[1].state = QueryNodeState::Suspended),
        ("evidence_missing", |s| s.nodes.clear()),
    ];
    for (expected, change) in table {
        let mut serving = serving(4);
        change(&mut serving);
        assert_eq!(refusal(ask(&four, &plan(4, 3), &serving)), expected);
    }
    let three_copies = |serving: &mut Serving| serving.collections[0].replicas = 3;
    let mut enough = serving(4);
    three_copies(&mut enough);
    assert_eq!(refusal(ask(&four, &plan(4, 3), &enough)), "proceed");
}

#[test]
fn without_evidence_nothing_goes_and_the_words_say_what_is_missing() {
    let (four, plan, settings) = (request(&[GIB; 4]), plan(4, 3), CautionSettings::default());
    let before = Before::default();
    let question =
        |serving| Question { request: &four, plan: &plan, serving, before, settings: &settings };
    assert_eq!(refusal(judge(&question(None), NOW)), "evidence_missing");
    let failed = judge(&question(Some(Err("GetReplicas: refused"))), NOW);
    let CautionDecision::Refuse { reason } = failed else { panic!("{failed:?}") };
    assert_eq!(reason.to_string(), "it cannot be told what Milvus holds: GetReplicas: refused");
    let switched_off = CautionSettings { enabled: false, ..CautionSettings::default() };
    let question = Question { settings: &switched_off, ..question(None) };
    assert_eq!(refusal(judge(&question, NOW)), "proceed");
}

#[test]
fn the_forecast_memory_of_those_that_remain_must_stay_below_the_share() {
    // Of 4 GiB: three at 60 % become two at 90 %; four at 60 % become three at exactly 80 %.
    let percent = |share: u64| 4 * GIB * share / 100;
    for (used, expected) in [
        (vec![percent(60); 3], "memory_would_not_fit"),
        (vec![percent(60) + 1; 4], "memory_would_not_fit"),
        (vec![percent(59); 4], "proceed"),
        (vec![percent(53); 3], "proceed"),
        (vec![percent(54); 3], "memory_would_not_fit"),
        // On average there is room, but not on the full one.
        (vec![percent(78), percent(5), percent(5)], "memory_would_not_fit"),
        (vec![percent(70), percent(5), percent(5)], "proceed"),
    ] {
        let nodes = used.len();
        let from = u32::try_from(nodes).unwrap();
        let mut serving = serving(nodes);
        // The one that holds least goes.
        serving.nodes[nodes - 1].segments = 1;
        let decision = ask(&request(&used), &plan(from, from - 1), &serving);
        assert_eq!(refusal(decision), expected, "{used:?}");
    }
    let decision = ask(&request(&[percent(67); 4]), &plan(4, 3), &serving(4));
    let CautionDecision::Refuse { reason } = decision else { panic!("{decision:?}") };
    let words = reason.to_string();
    assert!(words.starts_with("with 3 query nodes left pod milvus-querynode-"), "{words}");
    assert!(words.contains("would need 89% of its memory limit"), "{words}");
    assert!(words.ends_with("it must stay below 80%"), "{words}");
}

#[test]
fn unknown_memory_is_not_free_memory() {
    type Change = fn(&mut ScalingRequest);
    let table: [(&str, Change); 5] = [
        ("memory_unknown", |r| drop(r.usage.pop())),
        ("memory_unknown", |r| r.usage[0].memory_bytes = None),
        ("memory_unknown", |r| r.usage[0].sampled_at = Some(NOW.minus(Duration::from_secs(61)))),
        ("memory_unknown", |r| r.pods[0].limits.memory_bytes = None),
        ("proceed", |r| r.usage[0].sampled_at = None),
    ];
    for (expected, change) in table {
        let mut request = request(&[GIB; 4]);
        change(&mut request);
        assert_eq!(refusal(ask(&request, &plan(4, 3), &serving(4))), expected);
    }
}

#[test]
fn one_goes_at_a_time_and_it_is_the_one_that_kubernetes_will_take() {
    let removed = |kind: WorkloadKind, change: fn(&mut Serving)| {
        let mut serving = serving(12);
        change(&mut serving);
        let plan = PlannedChange { workload: workload(kind), ..plan(12, 5) };
        match ask(&request(&[GIB / 8; 12]), &plan, &serving) {
            CautionDecision::Proceed { plan, removal } => (plan.to, removal),
            refused @ CautionDecision::Refuse { .. } => panic!("{refused:?}"),
        }
    };
    let (to, least) = removed(WorkloadKind::Deployment, |s| s.nodes[4].segments = 1);
    assert_eq!(to, 11);
    assert!(matches!(least, Removal::Drain(Drained { node: 104, .. })), "{least:?}");
    // Eleven is more than nine, though not as text.
    let (_, highest) = removed(WorkloadKind::StatefulSet, |s| s.nodes[4].segments = 1);
    assert!(matches!(highest, Removal::Drain(Drained { node: 111, .. })), "{highest:?}");
    let absent = |s: &mut Serving| s.management = Management::Absent { why: "404".into() };
    let (to, undrained) = removed(WorkloadKind::Deployment, absent);
    assert_eq!((to, undrained), (11, Removal::Undrained { why: "404".to_owned() }));
}

#[test]
fn nodes_that_cannot_be_emptied_go_with_a_pause_after_each() {
    let (four, plan, settings) = (request(&[GIB; 4]), plan(4, 3), CautionSettings::default());
    let mut serving = serving(4);
    let decide = |serving: &Serving, seconds| {
        let removed_at = Some(NOW.minus(Duration::from_secs(seconds)));
        let before = Before { added_at: None, removed_at };
        let serving = Some(Ok(serving));
        let question =
            Question { request: &four, plan: &plan, serving, before, settings: &settings };
        refusal(judge(&question, NOW))
    };
    assert_eq!(decide(&serving, 10), "proceed", "one that was emptied needs no pause");
    serving.management = Management::Absent { why: "status 404".to_owned() };
    assert_eq!(decide(&serving, 10), "after_removal");
    assert_eq!(decide(&serving, 600), "proceed");
}

#[test]
fn more_nodes_come_only_when_the_last_ones_serve_or_the_load_is_beyond_bearing() {
    let (four, settings) = (request(&[GIB; 4]), CautionSettings::default());
    let decide = |cpu: f64, added: Option<u64>, change: fn(&mut Serving)| {
        let mut serving = serving(4);
        change(&mut serving);
        let plan = PlannedChange { trigger: trigger(cpu), ..plan(4, 6) };
        let added_at = added.map(|seconds| NOW.minus(Duration::from_secs(seconds)));
        let before = Before { added_at, removed_at: None };
        let asks = needs_evidence(Role::QueryNode, &plan, before, &settings, NOW);
        let serving = Some(Ok(&serving)).filter(|_| asks);
        let question =
            Question { request: &four, plan: &plan, serving, before, settings: &settings };
        refusal(judge(&question, NOW))
    };
    let one_idle = |s: &mut Serving| s.nodes[3].segments = 0;
    assert_eq!(decide(75.0, None, one_idle), "proceed", "none was added");
    assert_eq!(decide(75.0, Some(30), |_| {}), "proceed", "all serve");
    assert_eq!(decide(75.0, Some(30), one_idle), "new_nodes_idle");
    assert_eq!(decide(75.0, Some(30), |s| drop(s.nodes.pop())), "new_nodes_idle");
    // 1.3 times the threshold of 70 %.
    assert_eq!(decide(90.9, Some(30), one_idle), "new_nodes_idle");
    assert_eq!(decide(91.0, Some(30), one_idle), "proceed");
    assert_eq!(decide(75.0, Some(600), one_idle), "proceed", "they are not waited for for ever");
    let stale = |s: &mut Serving| s.taken_at = NOW.minus(Duration::from_secs(300));
    assert_eq!(decide(75.0, Some(30), stale), "serving_unknown");
    // Three segments can never be on four nodes.
    let few = |s: &mut Serving| {
        s.nodes.iter_mut().for_each(|node| node.segments = 1);
        s.nodes[3].segments = 0;
    };
    assert_eq!(decide(75.0, Some(30), few), "proceed");
}

#[test]
fn every_role_has_its_rule() {
    for role in Role::ALL {
        let request = ScalingRequest { role, ..request(&[GIB / 4; 9]) };
        let to = |wanted| match ask(&request, &plan(9, wanted), &serving(9)) {
            CautionDecision::Proceed { plan, .. } => plan.to,
            CautionDecision::Refuse { .. } => 9,
        };
        let expected = match role {
            Role::Proxy | Role::IndexNode => (2, 14),
            Role::QueryNode => (8, 14),
            _ => (8, 10),
        };
        assert_eq!((to(2), to(14)), expected, "{role}");
    }
}

#[test]
fn a_coordinator_a_standalone_and_cdc_are_never_scaled_in_any_mode() {
    use crate::policy::scaling::{HoldReason, ScalingDecision, ScalingLedger, judge};
    for role in Role::ALL {
        for mode in [ScalingMode::Step, ScalingMode::Target] {
            let settings = ScalingSettings { mode, ..ScalingSettings::default() };
            let request = ScalingRequest { role, ..request(&[GIB; 3]) };
            let judged = judge(&request, &ScalingLedger::default(), Some(&settings), NOW);
            let never = matches!(
                judged.decision,
                ScalingDecision::Hold { reason: HoldReason::RoleNeverScales { .. } }
            );
            let expected = !matches!(
                role,
                Role::Proxy
                    | Role::QueryNode
                    | Role::DataNode
                    | Role::IndexNode
                    | Role::StreamingNode
            );
            assert_eq!(never, expected, "{role}");
        }
    }
}

proptest! {
    /// Whatever the nodes hold: where one may go, all that remain fit, whichever of them takes the
    /// smallest share, and there are enough for every copy.
    #[test]
    fn nothing_that_goes_leaves_too_little(
        used in proptest::collection::vec(0..5 * GIB, 1..9),
        replicas in 0_u32..9,
        drains in any::<bool>(),
        to in 0_u32..9,
    ) {
        let from = u32::try_from(used.len()).unwrap();
        prop_assume!(to < from);
        let mut serving = serving(used.len());
        serving.collections[0].replicas = replicas;
        if !drains {
            serving.management = Management::Absent { why: "404".to_owned() };
        }
        let request = request(&used);
        let decision = ask(&request, &plan(from, to), &serving);
        if let CautionDecision::Proceed { plan, removal } = decision {
            prop_assert_eq!(plan.to, from - 1);
            prop_assert!(replicas <= plan.to);
            let sum: u128 = used.iter().map(|used| u128::from(*used)).sum();
            let room = u128::from(4 * GIB) * u128::from(plan.to);
            prop_assert!(sum * 100 < room * 80, "{sum} of {room}");
            prop_assert_eq!(matches!(removal, Removal::Drain(_)), drains);
        }
    }

    /// More data never makes a removal possible that was not.
    #[test]
    fn more_data_never_speaks_for_a_removal(
        used in proptest::collection::vec(0..4 * GIB, 2..7),
        which in any::<prop::sample::Index>(),
        more in 0..2 * GIB,
    ) {
        let from = u32::try_from(used.len()).unwrap();
        let mut grown = used.clone();
        grown[which.index(used.len())] += more;
        let mut serving = serving(used.len());
        serving.management = Management::Absent { why: "404".to_owned() };
        let before = refusal(ask(&request(&used), &plan(from, from - 1), &serving));
        let after = refusal(ask(&request(&grown), &plan(from, from - 1), &serving));
        prop_assert!(before == "proceed" || after != "proceed", "{before} {after}");
    }
}

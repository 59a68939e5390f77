//! Evidence first, and the decision once more after it.

use super::*;
use crate::model::journal::EvidenceSource;
use crate::model::{Evidence, Pod, PodCondition, PodLife, Resources};
use crate::policy::recovery::PodState;

fn log_of(pod: &str) -> Evidence {
    let (object, text) = (pod.into(), format!("panic in {pod}"));
    Evidence { source: EvidenceSource::Log, object, text }
}

fn sick_pod(name: &str) -> PodState {
    let pod = Pod {
        name: name.into(),
        ip: None,
        condition: PodCondition::NotReady,
        requests: Resources::default(),
        limits: Resources::default(),
        started_at: None,
        workload: None,
        life: PodLife { uid: Some(format!("uid-{name}").into()), ..PodLife::default() },
    };
    PodState { pod, sick: Some(Reason::new(ReasonKind::Status, "answered 503")) }
}

#[test]
fn evidence_is_kept_with_the_actions_key_before_the_action_begins() {
    in_virtual_time(async {
        let bench = Bench::new();
        bench.cluster.state().evidence = vec![log_of("proxy-0")];
        let mut report = sick("proxy", bench.now());
        report.request.pods = (0..9).map(|n| sick_pod(&format!("proxy-{n}"))).collect();
        bench.report(report).await;
        let asked = bench.cluster.state().evidence_asked.clone();
        assert_eq!((asked.len(), asked[0].pods.len()), (1, 5), "of a few pods only");
        let key = bench.cluster.state().restarts[0].idempotency_key.clone();
        let mut order = Vec::new();
        for record in bench.journal().await {
            match record {
                JournalRecord::Decision(decision) => order.push(decision.verdict.as_str()),
                JournalRecord::Evidence(piece) => {
                    assert_eq!(piece.key, key);
                    let found = match piece.source {
                        EvidenceSource::Probe => "pod proxy-3: answered 503",
                        EvidenceSource::Log | EvidenceSource::Event => "panic in proxy-0",
                    };
                    assert!(piece.text().contains(found), "{}", piece.text());
                    order.push(piece.source.as_str());
                }
                JournalRecord::Action(action) => {
                    assert_eq!(action.key, key);
                    assert!(action.change.contains("deployment/milvus-proxy"), "{action:?}");
                    order.push(action.phase.as_str());
                }
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(order, ["act", "probe", "log", "begun", "accepted"]);
    });
}

#[test]
fn evidence_that_hangs_delays_an_action_by_its_deadline_and_no_more() {
    in_virtual_time(async {
        let bench = Bench::new();
        bench.cluster.state().evidence_hangs = true;
        bench.report(sick("proxy", bench.now())).await;
        sleep(Duration::from_millis(4_900)).await;
        assert_eq!(bench.restarts(), 0);
        sleep(Duration::from_millis(200)).await;
        assert_eq!(bench.restarts(), 1);
        let begun = bench.journal().await.into_iter().find_map(|record| match record {
            JournalRecord::Action(action) => Some(action.words),
            _ => None,
        });
        let words = begun.expect("it has begun");
        assert!(words.contains("no evidence of the pods kept: not to be had within 5s"), "{words}");
    });
}

#[test]
fn what_gets_well_while_evidence_is_gathered_is_left_alone() {
    in_virtual_time(async {
        let bench = Bench::new();
        bench.cluster.state().evidence_hangs = true;
        bench.report(sick("proxy", bench.now())).await;
        sleep(Duration::from_secs(1)).await;
        bench.healthy("proxy").await;
        sleep(Duration::from_secs(60)).await;
        assert_eq!(bench.restarts(), 0);
        assert_eq!(bench.around.registry.holder(&CLUSTER.into(), &deployment("proxy")), None);
        // Nothing of it stays behind.
        bench.cluster.state().evidence_hangs = false;
        bench.report(sick("proxy", bench.now())).await;
        assert_eq!(bench.restarts(), 1);
    });
}

#[test]
fn what_comes_to_light_while_evidence_is_gathered_is_heeded() {
    in_virtual_time(async {
        let bench = Bench::new();
        bench.cluster.state().evidence_hangs = true;
        let since = bench.now();
        bench.report(sick("proxy", since)).await;
        sleep(Duration::from_secs(1)).await;
        let mut report = sick("proxy", since);
        report.request.sick_dependencies = vec![ComponentId::new(CLUSTER, "etcd")];
        bench.report(report).await;
        sleep(Duration::from_secs(60)).await;
        assert_eq!(bench.restarts(), 0);
        assert!(bench.last_words().contains("etcd"), "{}", bench.last_words());
        assert_eq!(bench.actions().await, [], "nothing had begun");
    });
}

/// What is reported of `component` while etcd is sick.
fn sick_with_etcd(component: &str, since: Timestamp) -> Recover {
    let mut report = sick(component, since);
    report.request.sick_dependencies = vec![ComponentId::new(CLUSTER, "etcd")];
    report
}

#[test]
fn what_nobody_has_reported_since_is_asked_for_before_anything_is_done() {
    in_virtual_time(async {
        let bench = Bench::new();
        bench.cluster.state().evidence_hangs = true;
        let since = bench.now();
        bench.report(sick("proxy", since)).await;
        sleep(Duration::from_secs(1)).await;
        let newest = sick_with_etcd("proxy", since);
        bench.learn(newest.request.component.clone(), Some(newest));
        sleep(Duration::from_secs(60)).await;
        assert_eq!(bench.restarts(), 0);
        assert!(bench.last_words().contains("etcd"), "{}", bench.last_words());
    });
}

#[test]
fn what_comes_to_light_between_the_decision_and_the_request_withdraws_it() {
    in_virtual_time(async {
        for is_well in [false, true] {
            let bench = Bench::new();
            bench.cluster.state().events_hang = true;
            let since = bench.now();
            bench.report(sick("proxy", since)).await;
            sleep(Duration::from_secs(1)).await;
            let newest = sick_with_etcd("proxy", since);
            bench.learn(newest.request.component.clone(), Some(newest).filter(|_| !is_well));
            sleep(Duration::from_secs(60)).await;
            assert_eq!(bench.restarts(), 0);
            let words = bench.last_words();
            let expected = if is_well { "well again" } else { "depends on milvus-ha/etcd" };
            assert!(words.contains(expected), "{words}");
            assert_eq!(bench.actions().await, [ActionPhase::Begun, ActionPhase::Error]);
            assert_eq!(bench.around.registry.holder(&CLUSTER.into(), &deployment("proxy")), None);
            bench.cluster.state().events_hang = false;
            bench.report(sick("proxy", since)).await;
            assert_eq!(bench.restarts(), 1, "it does not count as done");
        }
    });
}

#[test]
fn without_the_supervisors_word_nothing_is_done_and_a_later_report_asks_again() {
    in_virtual_time(async {
        let mut bench = Bench::new();
        let answering = bench.ways.clone();
        bench.ways.sickness = crate::actors::link::Link::new();
        bench.respawn().await;
        let since = bench.now();
        bench.report(sick("proxy", since)).await;
        sleep(Duration::from_secs(60)).await;
        assert_eq!(bench.restarts(), 0);
        assert_eq!(bench.ledger.lock().unwrap().in_flight_in(CLUSTER), []);
        assert_eq!(bench.around.registry.holder(&CLUSTER.into(), &deployment("proxy")), None);
        bench.ways = answering;
        bench.respawn().await;
        bench.report(sick("proxy", since)).await;
        assert_eq!(bench.restarts(), 1);
    });
}

#[test]
fn an_action_that_waits_for_its_evidence_keeps_the_others_waiting() {
    in_virtual_time(async {
        let bench = Bench::new();
        bench.cluster.state().evidence_hangs = true;
        let since = bench.now();
        bench.report(sick("proxy", since)).await;
        bench.report(sick("datanode", since)).await;
        sleep(Duration::from_secs(6)).await;
        assert_eq!(bench.restarts(), 1, "one at a time");
        let heard = bench.heard.lock().unwrap().clone();
        let refused = heard.iter().find(|one| one.phase == RecoveryPhase::Refused).expect("told");
        assert!(refused.summary.contains("milvus-ha/proxy"), "{}", refused.summary);
    });
}

#[test]
fn a_dry_run_needs_no_evidence_and_an_actor_that_ends_meanwhile_has_done_nothing() {
    in_virtual_time(async {
        let settings = RecovererSettings { dry_run: true, ..RecovererSettings::default() };
        let mut bench = Bench::with(settings);
        bench.cluster.state().evidence_hangs = true;
        bench.cluster.state().answers.push_back(Answer::Show);
        bench.report(sick("proxy", bench.now())).await;
        assert_eq!(bench.phases(), [RecoveryPhase::DryRun]);

        bench.settings.dry_run = false;
        bench.respawn().await;
        sleep(minutes(10)).await;
        bench.report(sick("querynode", bench.now())).await;
        sleep(Duration::from_secs(1)).await;
        bench.respawn().await;
        assert_eq!(bench.ledger.lock().unwrap().in_flight_in(CLUSTER), []);
        bench.cluster.state().evidence_hangs = false;
        bench.report(sick("querynode", bench.now())).await;
        assert_eq!(bench.restarts(), 2, "the shown one, and this one");
    });
}

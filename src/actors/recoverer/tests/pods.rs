//! Steps on single pods, and on revisions: what is verified of each.

use super::*;
use crate::model::{
    ComponentInventory, Inventory, Pod, PodCondition, PodLife, Resources, Revision, Terminating,
};
use crate::policy::recovery::PodState;

fn pod(name: &str, condition: PodCondition) -> Pod {
    Pod {
        name: name.into(),
        ip: None,
        condition,
        requests: Resources::default(),
        limits: Resources::default(),
        started_at: None,
        workload: Some(deployment("querynode")),
        life: PodLife { uid: Some(format!("uid-{name}").into()), ..PodLife::default() },
    }
}

/// Pods of the query node, of which some are sick.
struct Pods(Vec<Pod>);

impl Pods {
    fn new(ready: &[&str], sick: &[&str]) -> Self {
        let ready = ready.iter().map(|name| pod(name, PodCondition::Ready));
        let sick = sick.iter().map(|name| pod(name, PodCondition::NotReady));
        Self(ready.chain(sick).collect())
    }

    /// The platform shows them.
    fn show(&self, bench: &Bench, desired: u32) {
        let component = ComponentInventory {
            role: None,
            workloads: vec![workload("querynode", desired)],
            pods: self.0.clone(),
        };
        let components = [("querynode".into(), component)].into();
        bench.cluster.publish(Inventory { synced: true, error: None, components });
    }

    fn report(&self, since: Timestamp, desired: u32) -> Recover {
        let mut report = sick("querynode", since);
        report.request.workloads = vec![workload("querynode", desired)];
        report.request.serves = true;
        let reason = |pod: &Pod| {
            let sick = pod.condition == PodCondition::NotReady;
            sick.then(|| Reason::new(ReasonKind::Status, "answered 503"))
        };
        let state = |pod: &Pod| PodState { sick: reason(pod), pod: pod.clone() };
        report.request.pods = self.0.iter().map(state).collect();
        report
    }
}

fn evicted(bench: &Bench) -> Vec<String> {
    bench.cluster.state().deletions.iter().map(|one| one.pod.to_string()).collect()
}

#[test]
fn several_sick_pods_are_replaced_one_after_the_other() {
    in_virtual_time(async {
        let mut settings = RecovererSettings::default();
        settings.default.cooldown = Duration::from_secs(60);
        let bench = Bench::with(settings);
        let in_progress = RolloutStatus::InProgress { message: "1 of 3 are available".to_owned() };
        bench.cluster.state().rollouts.insert(deployment("querynode"), in_progress);
        let since = bench.now();
        let two = Pods::new(&["q-a"], &["q-b", "q-c"]);
        two.show(&bench, 3);
        bench.report(two.report(since, 3)).await;
        assert_eq!(evicted(&bench), ["q-b"]);
        sleep(Duration::from_secs(10)).await;
        bench.report(two.report(since, 3)).await;
        assert_eq!(bench.phases(), [RecoveryPhase::Started], "it is still there");

        // Gone, and its successor is ready; the other is as sick as before.
        let one = Pods::new(&["q-a", "q-d"], &["q-c"]);
        one.show(&bench, 3);
        sleep(Duration::from_secs(5)).await;
        bench.report(one.report(since, 3)).await;
        let phases = bench.phases();
        assert_eq!(phases, [RecoveryPhase::Started, RecoveryPhase::Recovered]);
        let words = bench.last_words();
        assert!(words.contains("pod q-b of deployment/milvus-querynode was evicted"), "{words}");
        assert_eq!(evicted(&bench).len(), 1, "the cooldown holds between two pods");

        sleep(Duration::from_secs(60)).await;
        bench.report(one.report(since, 3)).await;
        assert_eq!(evicted(&bench), ["q-b", "q-c"]);
        bench.cluster.state().rollouts.clear();
        Pods::new(&["q-a", "q-d", "q-e"], &[]).show(&bench, 3);
        sleep(Duration::from_secs(5)).await;
        bench.healthy("querynode").await;
        assert_eq!(bench.phases().last(), Some(&RecoveryPhase::Recovered));
        assert_eq!(bench.restarts(), 0, "and the workload as a whole never was");
    });
}

#[test]
fn a_pod_that_does_not_go_is_not_taken_for_replaced() {
    in_virtual_time(async {
        let bench = Bench::new();
        let pods = Pods::new(&["q-a"], &["q-b"]);
        pods.show(&bench, 2);
        bench.report(pods.report(bench.now(), 2)).await;
        assert_eq!(evicted(&bench), ["q-b"]);
        sleep(Duration::from_secs(20)).await;
        // Its probe answers again, but it is the pod that was to go.
        bench.healthy("querynode").await;
        sleep(Duration::from_secs(20)).await;
        assert_eq!(bench.phases(), [RecoveryPhase::Started]);
        sleep(minutes(10)).await;
        assert_eq!(bench.phases().last(), Some(&RecoveryPhase::NotRecovered));
        assert!(bench.last_words().contains("pod q-b is still there"), "{}", bench.last_words());
    });
}

#[test]
fn a_pod_that_hangs_is_removed_by_force_only_where_that_is_allowed() {
    in_virtual_time(async {
        for force_delete_after in [None, Some(minutes(15))] {
            let mut settings = RecovererSettings::default();
            settings.default.force_delete_after = force_delete_after;
            let bench = Bench::with(settings);
            let since = bench.now();
            let mut hung = pod("q-b", PodCondition::Terminating);
            let grace = Duration::from_secs(30 * 24 * 3_600);
            hung.life.terminating = Some(Terminating { since, grace });
            let pods = Pods(vec![pod("q-a", PodCondition::Ready), hung]);
            pods.show(&bench, 2);
            sleep(minutes(12)).await;
            bench.report(pods.report(since, 2)).await;
            assert_eq!(evicted(&bench), [""; 0]);
            assert_eq!(bench.phases(), [RecoveryPhase::Refused]);
            sleep(minutes(4)).await;
            bench.report(pods.report(since, 2)).await;
            if force_delete_after.is_none() {
                assert_eq!(evicted(&bench), [""; 0]);
                continue;
            }
            let deletion = bench.cluster.state().deletions[0].clone();
            assert_eq!((&*deletion.pod, deletion.force), ("q-b", true));
            assert_eq!(bench.cluster.event_reasons(), ["ForceDeletePod"]);
            Pods::new(&["q-a", "q-c"], &[]).show(&bench, 2);
            sleep(Duration::from_secs(5)).await;
            bench.healthy("querynode").await;
            let words = bench.last_words();
            assert!(words.contains("pod q-b of") && words.contains("removed by force"), "{words}");
            assert_eq!(bench.phases().last(), Some(&RecoveryPhase::Recovered));
        }
    });
}

#[test]
fn a_bad_revision_is_left_and_that_is_said_so() {
    in_virtual_time(async {
        let mut settings = RecovererSettings::default();
        settings.default.ladder = vec![LadderStep::Rollback, LadderStep::Escalate];
        let bench = Bench::with(settings);
        let since = bench.now() + minutes(1);
        let mut pods = Pods::new(&[], &["q-a", "q-b"]);
        for pod in &mut pods.0 {
            pod.life.template = Some("new".into());
        }
        let mut report = pods.report(since, 2);
        report.request.serves = false;
        report.request.workloads[0].revision = Some(Revision {
            number: 7,
            templates: vec!["new".into()],
            since: bench.now(),
            previous: Some(6),
        });
        sleep(minutes(1)).await;
        bench.report(report).await;
        let rollbacks = bench.cluster.state().rollbacks.clone();
        assert_eq!((rollbacks[0].from_revision, rollbacks[0].to_revision), (7, 6));
        let words = bench.last_words();
        let expected = "returning deployment/milvus-querynode from revision 7 to 6";
        assert!(words.starts_with(expected), "{words}");
        sleep(Duration::from_secs(5)).await;
        bench.healthy("querynode").await;
        let words = bench.last_words();
        assert!(words.contains("was returned to revision 6"), "{words}");
        assert_eq!(bench.phases().last(), Some(&RecoveryPhase::Recovered));
    });
}

#[test]
fn where_milvus_failed_with_the_component_it_must_serve_again_too() {
    in_virtual_time(async {
        let bench = Bench::new();
        bench.report(Recover { milvus_failing: true, ..sick("proxy", bench.now()) }).await;
        sleep(Duration::from_secs(10)).await;
        let (component, since) = (ComponentId::new(CLUSTER, "proxy"), bench.now());
        let healthy = ComponentHealthy { component, since, milvus_failing: true };
        bench.actor.address.do_send(healthy);
        sleep(Duration::from_secs(10)).await;
        assert_eq!(bench.phases(), [RecoveryPhase::Started], "its own word is not enough");
        bench.healthy("proxy").await;
        assert_eq!(bench.phases(), [RecoveryPhase::Started, RecoveryPhase::Recovered]);
    });
}

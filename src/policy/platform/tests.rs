//! What happens to workloads in real clusters, and what must follow from the platform's word.

use super::*;
use crate::model::{Owner, Resources, Workload, WorkloadKind, WorkloadRef};

const GRACE: Duration = Duration::from_secs(60);
/// When the pods that have been there for long were started.
const OLD: Timestamp = Timestamp::from_millis(0);

use PodCondition::{NotReady, Ready, Terminating};

fn at(second: u64) -> Timestamp {
    Timestamp::from_millis(second * 1_000)
}

fn crashing() -> PodCondition {
    PodCondition::CrashLoop { message: "container qn: CrashLoopBackOff, 2 restarts".into() }
}

fn pending() -> PodCondition {
    PodCondition::Pending { message: "ContainerCreating".into() }
}

/// A component with one workload.
struct World {
    component: ComponentInventory,
    watch: PodsWatch,
    second: u64,
}

impl World {
    /// So many pods that have been ready for long, an hour later.
    fn of(replicas: u32) -> Self {
        let workload = Workload {
            reference: WorkloadRef {
                kind: WorkloadKind::Deployment,
                namespace: "milvus".into(),
                name: "qn".into(),
            },
            desired_replicas: replicas,
            ready_replicas: replicas,
            paused: false,
            rolling_out: false,
            owner: Owner::None,
            autoscaler: None,
            gitops: None,
            holds: Vec::new(),
            revision: None,
        };
        let component = ComponentInventory { workloads: vec![workload], ..Default::default() };
        let mut world = Self { component, watch: PodsWatch::default(), second: 3_600 };
        for number in 0..replicas {
            world.add(&format!("qn-{number}"), Ready, OLD);
        }
        assert_eq!(world.look(), PodsNews::Nothing);
        world
    }

    fn add(&mut self, name: &str, condition: PodCondition, started_at: Timestamp) {
        self.component.pods.push(Pod {
            name: name.into(),
            ip: None,
            condition,
            requests: Resources::default(),
            limits: Resources::default(),
            started_at: Some(started_at),
            workload: None,
            life: crate::model::PodLife::default(),
        });
    }

    fn add_new(&mut self, name: &str, condition: PodCondition) {
        self.add(name, condition, at(self.second));
    }

    fn set(&mut self, name: &str, condition: PodCondition) {
        let pod = self.component.pods.iter_mut().find(|pod| &*pod.name == name).expect("a pod");
        pod.condition = condition;
    }

    fn remove(&mut self, name: &str) {
        self.component.pods.retain(|pod| &*pod.name != name);
    }

    fn workload(&mut self) -> &mut Workload {
        &mut self.component.workloads[0]
    }

    /// One second later.
    fn look(&mut self) -> PodsNews {
        self.second += 1;
        self.watch.look(&self.component, GRACE, at(self.second))
    }

    #[track_caller]
    fn expect_short(&mut self, kind: ReasonKind, text: &str, coming_up: bool) {
        let reason = Reason::new(kind, text);
        assert_eq!(self.look(), PodsNews::Short { reason, coming_up });
    }

    fn is_down(&self) -> bool {
        self.watch.is_down_at(at(self.second))
    }
}

#[test]
fn a_pod_that_is_not_ready_any_more_is_news_at_once_and_so_is_its_return() {
    let mut world = World::of(3);
    world.set("qn-1", NotReady);
    world.expect_short(ReasonKind::SomePods, "2 of 3 pods are ready: qn-1 is not ready", false);
    assert_eq!(world.look(), PodsNews::Nothing);
    assert!(world.watch.is_short() && !world.is_down());
    world.set("qn-1", Ready);
    assert_eq!(world.look(), PodsNews::Ask);
    assert!(!world.watch.is_short());
}

#[test]
fn a_pod_that_is_gone_is_missed_until_another_one_is_ready_in_its_place() {
    let mut world = World::of(3);
    world.set("qn-0", Terminating);
    world.add_new("qn-9", pending());
    let text = "2 of 3 pods are ready: qn-0 is being deleted; qn-9 pending: ContainerCreating";
    world.expect_short(ReasonKind::SomePods, text, false);
    world.remove("qn-0");
    world.set("qn-9", NotReady);
    world.expect_short(ReasonKind::SomePods, "2 of 3 pods are ready: qn-9 is not ready", false);
    world.set("qn-9", Ready);
    assert_eq!(world.look(), PodsNews::Ask);
}

#[test]
fn a_loss_that_looks_like_a_rollout_for_a_moment_is_told_when_it_is_none() {
    let mut world = World::of(3);
    world.remove("qn-0");
    world.workload().rolling_out = true;
    assert!(matches!(world.look(), PodsNews::Explained { coming_up: false, .. }));
    world.workload().rolling_out = false;
    world.expect_short(ReasonKind::SomePods, "2 of 3 pods are ready", false);
}

#[test]
fn the_only_pod_that_is_replaced_is_coming_up_and_not_down() {
    let mut world = World::of(1);
    world.set("qn-0", Terminating);
    let text = "0 of 1 pods are ready: qn-0 is being deleted";
    world.expect_short(ReasonKind::Terminating, text, true);
    world.remove("qn-0");
    world.expect_short(ReasonKind::NoPods, "0 of 1 pods are ready", true);
    assert!(!world.is_down());
    world.add_new("qn-9", NotReady);
    let text = "0 of 1 pods are ready: qn-9 is not ready";
    world.expect_short(ReasonKind::NoneReady, text, true);
    world.second += 58;
    assert!(!world.is_down());
    world.second += 1;
    assert!(world.is_down(), "its startup grace is over");
}

#[test]
fn the_only_container_that_is_started_again_is_coming_up_and_not_down() {
    let mut world = World::of(1);
    world.set("qn-0", NotReady);
    world.component.pods[0].started_at = Some(at(3_600));
    world.expect_short(ReasonKind::NoneReady, "0 of 1 pods are ready: qn-0 is not ready", true);
    assert!(!world.is_down());
}

#[test]
fn pods_that_ran_for_long_and_are_all_not_ready_or_crash_looping_are_down() {
    let mut world = World::of(2);
    world.set("qn-0", NotReady);
    world.look();
    assert!(!world.is_down());
    world.set("qn-1", crashing());
    let text = "0 of 2 pods are ready: qn-0 is not ready; \
                qn-1 container qn: CrashLoopBackOff, 2 restarts";
    world.expect_short(ReasonKind::CrashLoop, text, false);
    assert!(world.is_down());
    world.set("qn-0", Ready);
    world.look();
    assert!(!world.is_down());
}

#[test]
fn pods_of_unknown_age_are_never_taken_for_down() {
    let mut world = World::of(1);
    world.component.pods[0].started_at = None;
    world.set("qn-0", NotReady);
    assert!(matches!(world.look(), PodsNews::Short { coming_up: true, .. }));
    world.second += 100_000;
    assert!(!world.is_down());
}

#[test]
fn a_rolling_update_is_explained_from_its_first_to_its_last_pod() {
    let mut world = World::of(3);
    world.workload().rolling_out = true;
    assert_eq!(world.look(), PodsNews::Nothing);
    for number in 0..3 {
        let (old, new) = (format!("qn-{number}"), format!("new-{number}"));
        world.set(&old, Terminating);
        world.add_new(&new, NotReady);
        let PodsNews::Explained { reason, coming_up: false } = world.look() else {
            panic!("a rollout that is not explained");
        };
        assert!(reason.text.starts_with("a rollout is in progress: 2 of 3"), "{reason}");
        world.remove(&old);
        world.look();
        assert!(!world.watch.is_short() && !world.is_down());
        world.set(&new, Ready);
        assert_eq!(world.look(), PodsNews::Nothing);
    }
    world.workload().rolling_out = false;
    assert_eq!(world.look(), PodsNews::Ask);
    assert!(!world.watch.is_short());
}

#[test]
fn replacing_every_pod_at_once_is_explained_and_never_down() {
    for replicas in [1, 3] {
        let mut world = World::of(replicas);
        world.workload().rolling_out = true;
        world.look();
        for number in 0..replicas {
            world.set(&format!("qn-{number}"), Terminating);
        }
        assert!(matches!(world.look(), PodsNews::Explained { coming_up: true, .. }));
        world.component.pods.clear();
        assert!(matches!(world.look(), PodsNews::Explained { coming_up: true, .. }));
        for number in 0..replicas {
            world.add_new(&format!("new-{number}"), NotReady);
        }
        assert!(matches!(world.look(), PodsNews::Explained { coming_up: true, .. }));
        world.second += 10_000;
        assert!(!world.is_down());
        for number in 0..replicas {
            world.set(&format!("new-{number}"), Ready);
        }
        world.workload().rolling_out = false;
        assert_eq!(world.look(), PodsNews::Ask);
    }
}

#[test]
fn a_rollout_whose_flag_comes_late_is_not_down_either() {
    let mut world = World::of(1);
    world.component.pods.clear();
    world.add_new("new-0", NotReady);
    assert!(matches!(world.look(), PodsNews::Short { coming_up: true, .. }));
    assert!(!world.is_down());
}

#[test]
fn replicas_that_are_added_or_taken_away_on_purpose_are_not_missed() {
    let mut world = World::of(2);
    world.workload().desired_replicas = 3;
    assert_eq!(world.look(), PodsNews::Nothing);
    world.add_new("qn-2", pending());
    assert_eq!(world.look(), PodsNews::Nothing);
    world.set("qn-2", NotReady);
    assert_eq!(world.look(), PodsNews::Nothing);
    world.set("qn-2", Ready);
    assert_eq!(world.look(), PodsNews::Ask);

    world.workload().desired_replicas = 1;
    world.set("qn-1", Terminating);
    world.set("qn-2", Terminating);
    assert_eq!(world.look(), PodsNews::Nothing);
    assert!(!world.watch.is_short());
}

#[test]
fn scaling_to_zero_and_back_is_never_a_loss() {
    let mut world = World::of(2);
    world.workload().desired_replicas = 0;
    assert_eq!(world.look(), PodsNews::Nothing);
    world.set("qn-0", Terminating);
    assert_eq!(world.look(), PodsNews::Nothing);
    world.set("qn-1", Terminating);
    assert_eq!(world.look(), PodsNews::Ask);
    world.component.pods.clear();
    assert_eq!(world.look(), PodsNews::Nothing);
    world.workload().desired_replicas = 2;
    world.add_new("new-0", NotReady);
    world.add_new("new-1", NotReady);
    world.look();
    assert!(!world.watch.is_short() && !world.is_down());
    world.set("new-0", Ready);
    world.set("new-1", Ready);
    assert_eq!(world.look(), PodsNews::Ask);
}

#[test]
fn a_new_replica_that_crashes_is_news_although_nobody_missed_it() {
    let mut world = World::of(2);
    world.workload().desired_replicas = 3;
    world.add_new("qn-2", NotReady);
    assert_eq!(world.look(), PodsNews::Nothing);
    world.set("qn-2", crashing());
    assert!(matches!(world.look(), PodsNews::Short { .. }));
}

#[test]
fn what_was_wrong_before_the_first_look_is_for_the_probes() {
    let mut world = World::of(2);
    world.watch = PodsWatch::default();
    world.set("qn-0", NotReady);
    assert_eq!(world.look(), PodsNews::Nothing);
    assert_eq!(world.look(), PodsNews::Nothing);
}

//! A supervisor with the usual intervals, whose platform tells of pods that come and go, in virtual
//! time. The probe answers as the pods would: one that is not ready answers badly.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use actix::{AsyncContext, Context};
use async_trait::async_trait;
use tokio::sync::watch;

use super::*;
use crate::actors::alerter::{RaiseAlert, ResolveAlert};
use crate::actors::exit_guard::LastWords;
use crate::actors::exit_guard::{self, Running};
use crate::actors::pacer::Pacer;
use crate::actors::recoverer::Recover;
use crate::actors::status::StatusBoard;
use crate::actors::supervisor::{
    Peers, Planner, ProbeCompleted, ReportOutbox, SupervisorInbox, SupervisorParts,
};
use crate::actors::testing::{CLUSTER, Recorder, in_virtual_time, workload};
use crate::clock::Clock;
use crate::effects::Probe;
use crate::effects::journal::MemoryJournal;
use crate::metrics::Metrics;
use crate::model::{
    ComponentHealth, HealthState, Outcome, Pod, PodCondition, PodLife, ProbeObservation,
    ReasonKind, Resources, Severity, TargetReport,
};
use crate::policy::backoff::RespawnSettings;
use crate::policy::health::HealthSettings;

const COMPONENT: &str = "querynode";

use PodCondition::{NotReady, Ready, Terminating};

/// Asks the pods, as it were.
struct Pods {
    inventory: watch::Receiver<Arc<Inventory>>,
    hang: AtomicBool,
    panics: AtomicBool,
    probes: AtomicU32,
}

#[async_trait]
impl Probe for Pods {
    async fn probe(&self, budget: Duration) -> ProbeObservation {
        self.probes.fetch_add(1, Ordering::SeqCst);
        assert!(!self.panics.load(Ordering::SeqCst), "the probe itself is broken");
        let component = self.inventory.borrow().components[COMPONENT].clone();
        if self.hang.load(Ordering::SeqCst) {
            tokio::time::sleep(budget).await;
        }
        let targets: Vec<TargetReport> = component.pods.iter().map(target).collect();
        let sick = targets.iter().filter(|target| !target.outcome.is_healthy()).count();
        let outcome = if component.workloads[0].desired_replicas == 0 {
            Outcome::degraded(ReasonKind::ScaledToZero, "scaled to zero by its owner")
        } else if sick < targets.len() && sick > 0 && component.workloads[0].rolling_out {
            Outcome::degraded(ReasonKind::SomePods, "a rollout is in progress")
        } else if sick < targets.len() && sick > 0 {
            Outcome::failed(ReasonKind::SomePods, "some pods are sick")
        } else if sick > 0 || targets.is_empty() {
            Outcome::failed(ReasonKind::NoneReady, "no pod is well")
        } else {
            Outcome::Healthy
        };
        ProbeObservation { targets, ..ProbeObservation::of(outcome) }
    }
}

fn target(pod: &Pod) -> TargetReport {
    let outcome = if pod.condition == Ready {
        Outcome::Healthy
    } else {
        Outcome::failed(ReasonKind::Refused, "connection refused")
    };
    TargetReport {
        name: Arc::clone(&pod.name),
        address: Arc::default(),
        outcome,
        latency: Duration::ZERO,
        performance: None,
    }
}

struct Plans(Arc<Pods>);

impl Planner for Plans {
    fn fixed(&self) -> Vec<ComponentPlan> {
        Vec::new()
    }

    fn discovered(&self, component: &Arc<str>) -> Option<ComponentPlan> {
        Some(ComponentPlan {
            component: Arc::clone(component),
            kind: ProberKind::Pods,
            prober: Arc::default(),
            health: HealthSettings::default(),
            probe: self.0.clone(),
        })
    }
}

type Seen<M> = Arc<Mutex<Vec<M>>>;

struct Fixture {
    clock: Clock,
    probe: Arc<Pods>,
    inventory: watch::Sender<Arc<Inventory>>,
    component: ComponentInventory,
    raised: Seen<RaiseAlert>,
    resolved: Seen<ResolveAlert>,
    recover: Seen<Recover>,
    board: StatusBoard,
    parts: SupervisorParts,
    link: Link<ProbeCompleted>,
    running: Running<Supervisor>,
}

impl Fixture {
    /// So many pods that have served for five minutes.
    async fn start(replicas: u32) -> Self {
        let (inventory, receiver) = watch::channel(Arc::new(Inventory::default()));
        let probe = Arc::new(Pods {
            inventory: receiver.clone(),
            hang: AtomicBool::default(),
            panics: AtomicBool::default(),
            probes: AtomicU32::default(),
        });
        let peers = Peers::default();
        let raised = Recorder::behind(&peers.raise);
        let resolved = Recorder::behind(&peers.resolve);
        let recover = Recorder::behind(&peers.recover);
        let (board, link, inventory_link) = (StatusBoard::default(), Link::new(), Link::new());
        let clock = Clock::starting_at(Timestamp::from_millis(1_000_000));
        let parts = SupervisorParts {
            keeper: crate::actors::keeper::StateKeeper::default(),
            cluster: CLUSTER.into(),
            depends_on: std::collections::BTreeSet::new(),
            planner: Arc::new(Plans(Arc::clone(&probe))),
            inventory: receiver,
            memory: Arc::default(),
            reports: ReportOutbox::new(link.clone(), Metrics::default()),
            pacer: Pacer::default(),
            inventory_link: inventory_link.clone(),
            inbox: SupervisorInbox::default(),
            respawn: RespawnSettings::default(),
            last_words: LastWords::default(),
            peers,
            board: board.clone(),
            clock,
            metrics: Metrics::default(),
            journal: Arc::new(MemoryJournal::default()),
        };
        let running = start(parts.clone(), &link);
        let mut component = ComponentInventory {
            workloads: vec![workload(COMPONENT, replicas)],
            ..ComponentInventory::default()
        };
        for number in 0..replicas {
            component.pods.push(pod(&format!("qn-{number}"), Ready, clock.now()));
        }
        let fixture = Self {
            clock,
            probe,
            inventory,
            component,
            raised,
            resolved,
            recover,
            board,
            parts,
            link,
            running,
        };
        fixture.publish();
        seconds(300).await;
        fixture.between_two_probes().await;
        assert_eq!(fixture.health().state, HealthState::Healthy);
        fixture
    }

    /// Waits until the newest scheduled probe is some seconds old and the next one far away.
    async fn between_two_probes(&self) {
        let probes = self.probes();
        while self.probes() == probes {
            seconds(1).await;
        }
        seconds(5).await;
    }

    /// What its parent would do; the former one ends.
    fn start_anew(&mut self) {
        self.running.abort.abort();
        self.running = start(self.parts.clone(), &self.link);
    }

    fn publish(&self) {
        let components = [(Arc::from(COMPONENT), self.component.clone())].into();
        let inventory = Inventory { synced: true, error: None, components };
        self.inventory.send_replace(Arc::new(inventory));
    }

    fn set(&mut self, name: &str, condition: PodCondition) {
        let pod = self.component.pods.iter_mut().find(|pod| &*pod.name == name).expect("a pod");
        pod.condition = condition;
        self.publish();
    }

    fn add(&mut self, name: &str, condition: PodCondition) {
        self.component.pods.push(pod(name, condition, self.clock.now()));
        self.publish();
    }

    fn remove(&mut self, name: &str) {
        self.component.pods.retain(|pod| &*pod.name != name);
        self.publish();
    }

    fn set_rolling(&mut self, rolling_out: bool) {
        self.component.workloads[0].rolling_out = rolling_out;
        self.publish();
    }

    fn scale(&mut self, replicas: u32) {
        self.component.workloads[0].desired_replicas = replicas;
        self.publish();
    }

    fn health(&self) -> ComponentHealth {
        self.board.snapshot().clusters[CLUSTER].components[COMPONENT].health.clone()
    }

    fn reason(&self) -> String {
        self.health().reason.expect("a reason").text
    }

    fn probes(&self) -> u32 {
        self.probe.probes.load(Ordering::SeqCst)
    }

    #[track_caller]
    fn assert_nothing_was_done(&self) {
        let asked = self.recover.lock().unwrap();
        // What still serves is asked about too, for its sick pods alone; a rollout keeps that off.
        let about_the_whole = asked.iter().filter(|one| !one.request.serves);
        assert_eq!(
            about_the_whole.collect::<Vec<_>>(),
            Vec::<&Recover>::new(),
            "an action was asked for"
        );
    }

    /// A slow rollout may be worth a warning.
    #[track_caller]
    fn assert_nothing_was_critical(&self) {
        let raised = self.raised.lock().unwrap();
        assert!(raised.iter().all(|alert| alert.0.severity == Severity::Warning), "{raised:?}");
    }

    #[track_caller]
    fn assert_nobody_was_told(&self) {
        assert_eq!(*self.raised.lock().unwrap(), [], "somebody was alarmed");
    }
}

fn start(parts: SupervisorParts, reports: &Link<ProbeCompleted>) -> Running<Supervisor> {
    let inventory = parts.inventory_link.clone();
    let make = move |ctx: &mut Context<Supervisor>| Supervisor::new(parts, ctx.address());
    let running = exit_guard::start(64, make, Box::new(|_| {}));
    reports.publish(&running.address);
    inventory.publish(&running.address);
    running
}

fn pod(name: &str, condition: PodCondition, started_at: Timestamp) -> Pod {
    Pod {
        name: name.into(),
        ip: None,
        condition,
        requests: Resources::default(),
        limits: Resources::default(),
        started_at: Some(started_at),
        workload: None,
        life: PodLife::default(),
    }
}

async fn seconds(count: u64) {
    tokio::time::sleep(Duration::from_secs(count)).await;
}

async fn a_moment() {
    tokio::time::sleep(Duration::from_millis(5)).await;
}

#[test]
fn a_pod_that_is_not_ready_shows_at_once_although_its_health_page_hangs() {
    in_virtual_time(async {
        let mut fixture = Fixture::start(3).await;
        fixture.probe.hang.store(true, Ordering::SeqCst);
        let probes = fixture.probes();
        fixture.set("qn-1", NotReady);
        a_moment().await;
        assert_eq!(fixture.health().state, HealthState::Degraded);
        assert_eq!(fixture.reason(), "2 of 3 pods are ready: qn-1 is not ready");
        assert_eq!(fixture.probes(), probes + 1);
        fixture.probe.hang.store(false, Ordering::SeqCst);
        seconds(10).await;
        fixture.set("qn-1", Ready);
        seconds(40).await;
        assert_eq!(fixture.health().state, HealthState::Healthy);
        fixture.assert_nobody_was_told();
        fixture.assert_nothing_was_done();
    });
}

#[test]
fn when_all_pods_stopped_being_ready_people_know_with_the_first_failed_probe() {
    in_virtual_time(async {
        let mut fixture = Fixture::start(2).await;
        fixture.probe.hang.store(true, Ordering::SeqCst);
        for name in ["qn-0", "qn-1"] {
            fixture.set(name, NotReady);
        }
        a_moment().await;
        assert_eq!(fixture.health().state, HealthState::Degraded);
        seconds(7).await;
        assert_eq!(fixture.health().state, HealthState::Unhealthy);
        assert!(!fixture.raised.lock().unwrap().is_empty());
        // Acting takes as many failed probes of the schedule as ever.
        seconds(50).await;
        fixture.assert_nothing_was_done();
        seconds(60).await;
        assert!(!fixture.recover.lock().unwrap().is_empty());
    });
}

#[test]
fn what_crash_loops_is_unhealthy_within_moments() {
    in_virtual_time(async {
        let mut fixture = Fixture::start(1).await;
        let message = "container querynode: CrashLoopBackOff, 2 restarts".to_owned();
        fixture.set("qn-0", PodCondition::CrashLoop { message });
        seconds(2).await;
        assert_eq!(fixture.health().state, HealthState::Unhealthy);
        fixture.assert_nothing_was_done();
    });
}

#[test]
fn a_rolling_update_by_its_owner_is_never_critical_and_triggers_no_action() {
    // The flag of the workload may come before the pods change, or after.
    for (replicas, flag_is_late) in [(1, false), (3, false), (1, true), (3, true)] {
        in_virtual_time(async move {
            let mut fixture = Fixture::start(replicas).await;
            fixture.set_rolling(!flag_is_late);
            for number in 0..replicas {
                let (old, new) = (format!("qn-{number}"), format!("new-{number}"));
                fixture.set(&old, Terminating);
                fixture.add(&new, NotReady);
                tokio::time::sleep(Duration::from_millis(50)).await;
                fixture.set_rolling(true);
                seconds(2).await;
                fixture.remove(&old);
                seconds(50).await;
                fixture.set(&new, Ready);
                seconds(10).await;
            }
            fixture.set_rolling(false);
            seconds(300).await;
            assert_eq!(fixture.health().state, HealthState::Healthy);
            fixture.assert_nothing_was_critical();
            fixture.assert_nothing_was_done();
        });
    }
}

#[test]
fn replacing_all_pods_at_once_is_nobodys_alarm_and_triggers_no_action() {
    for (replicas, has_flag) in [(1, true), (3, true), (1, false), (3, false)] {
        in_virtual_time(async move {
            let mut fixture = Fixture::start(replicas).await;
            fixture.set_rolling(has_flag);
            for number in 0..replicas {
                fixture.set(&format!("qn-{number}"), Terminating);
            }
            seconds(5).await;
            fixture.component.pods.clear();
            fixture.publish();
            seconds(1).await;
            for number in 0..replicas {
                fixture.add(&format!("new-{number}"), NotReady);
            }
            seconds(50).await;
            for number in 0..replicas {
                fixture.set(&format!("new-{number}"), Ready);
            }
            fixture.set_rolling(false);
            seconds(300).await;
            assert_eq!(fixture.health().state, HealthState::Healthy);
            fixture.assert_nobody_was_told();
            fixture.assert_nothing_was_done();
        });
    }
}

#[test]
fn a_replacement_that_takes_many_minutes_is_told_and_still_not_acted_upon_once_it_is_over() {
    in_virtual_time(async {
        let mut fixture = Fixture::start(1).await;
        fixture.set_rolling(true);
        fixture.remove("qn-0");
        fixture.add("new-0", NotReady);
        seconds(600).await;
        assert_eq!(fixture.health().state, HealthState::Unhealthy);
        assert!(!fixture.raised.lock().unwrap().is_empty());
        let asked = std::mem::take(&mut *fixture.recover.lock().unwrap());
        // The recoverer keeps its hands off a workload that is being rolled out.
        assert!(asked.iter().all(|asked| asked.request.workloads[0].rolling_out));
        fixture.set("new-0", Ready);
        fixture.set_rolling(false);
        seconds(300).await;
        assert_eq!(fixture.health().state, HealthState::Healthy);
        fixture.assert_nothing_was_done();
    });
}

#[test]
fn scaling_out_and_in_changes_nothing_about_the_state() {
    in_virtual_time(async {
        let mut fixture = Fixture::start(2).await;
        fixture.scale(3);
        fixture.add("qn-2", PodCondition::Pending { message: "ContainerCreating".into() });
        a_moment().await;
        assert_eq!(fixture.health().state, HealthState::Healthy);
        fixture.set("qn-2", Ready);
        seconds(60).await;
        fixture.scale(1);
        fixture.remove("qn-1");
        fixture.remove("qn-2");
        a_moment().await;
        assert_eq!(fixture.health().state, HealthState::Healthy);
        fixture.assert_nobody_was_told();
    });
}

#[test]
fn what_its_owner_scales_to_zero_is_unknown_ends_its_incident_and_alarms_nobody() {
    in_virtual_time(async {
        let mut fixture = Fixture::start(1).await;
        fixture.set("qn-0", NotReady);
        seconds(10).await;
        let incident = fixture.raised.lock().unwrap()[0].0.incident.clone();
        fixture.raised.lock().unwrap().clear();
        fixture.scale(0);
        fixture.remove("qn-0");
        seconds(2).await;
        assert_eq!(fixture.health().state, HealthState::Unknown);
        assert_eq!(fixture.reason(), "scaled to zero by its owner");
        assert_eq!(fixture.resolved.lock().unwrap()[0].incident, incident);
        seconds(3_600).await;
        fixture.scale(1);
        fixture.add("new-0", NotReady);
        seconds(55).await;
        assert_eq!(fixture.health().state, HealthState::Unknown);
        fixture.set("new-0", Ready);
        a_moment().await;
        assert_eq!(fixture.health().state, HealthState::Healthy);
        fixture.assert_nobody_was_told();
        fixture.assert_nothing_was_done();
    });
}

#[test]
fn a_pod_that_comes_and_goes_makes_neither_a_storm_of_probes_nor_an_alarm() {
    in_virtual_time(async {
        let mut fixture = Fixture::start(3).await;
        let probes = fixture.probes();
        for _ in 0..300 {
            fixture.set("qn-1", NotReady);
            tokio::time::sleep(Duration::from_millis(100)).await;
            fixture.set("qn-1", Ready);
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        let more = fixture.probes() - probes;
        assert!((55..=66).contains(&more), "{more} probes in 60 s");
        fixture.assert_nothing_was_done();
    });
}

#[test]
fn a_prober_that_was_made_anew_is_asked_too() {
    in_virtual_time(async {
        let mut fixture = Fixture::start(2).await;
        fixture.probe.panics.store(true, Ordering::SeqCst);
        fixture.set("qn-1", NotReady);
        seconds(2).await;
        fixture.probe.panics.store(false, Ordering::SeqCst);
        seconds(60).await;
        fixture.between_two_probes().await;
        let probes = fixture.probes();
        fixture.set("qn-1", Ready);
        a_moment().await;
        assert_eq!(fixture.probes(), probes + 1);
    });
}

#[test]
fn a_supervisor_that_was_made_anew_judges_changes_from_then_on() {
    in_virtual_time(async {
        let mut fixture = Fixture::start(2).await;
        fixture.start_anew();
        seconds(60).await;
        fixture.set("qn-1", NotReady);
        a_moment().await;
        assert_eq!(fixture.health().state, HealthState::Degraded);
    });
}

#[test]
fn an_inventory_that_may_be_old_proves_nothing() {
    in_virtual_time(async {
        let mut fixture = Fixture::start(1).await;
        fixture.component.pods[0].condition = NotReady;
        let components = [(Arc::from(COMPONENT), fixture.component.clone())].into();
        let error = Some(Reason::new(ReasonKind::PlatformUnavailable, "401 Unauthorized"));
        let inventory = Inventory { synced: true, error, components };
        fixture.inventory.send_replace(Arc::new(inventory));
        seconds(3).await;
        assert_eq!(fixture.health().state, HealthState::Healthy);
        // Once it can be asked again its word counts.
        fixture.publish();
        a_moment().await;
        assert_eq!(fixture.health().state, HealthState::Unhealthy);
    });
}

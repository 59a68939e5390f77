//! The supervisor with its probers in virtual time, against in-memory probes.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use async_trait::async_trait;
use tokio::sync::watch;

use super::memory::IncidentChange;
use super::*;
use crate::actors::alerter::{RaiseAlert, ResolveAlert};
use crate::actors::exit_guard::{LastWords, Running};
use crate::actors::link::Link;
use crate::actors::pacer::Pacer;
use crate::actors::prober::ProberSettings;
use crate::actors::recoverer::Recover;
use crate::actors::status::StatusBoard;
use crate::actors::testing::{Recorder, in_virtual_time};
use crate::clock::Clock;
use crate::effects::Probe;
use crate::effects::journal::MemoryJournal;
use crate::metrics::Metrics;
use crate::model::{
    Outcome, Owner, PerformanceReport, ProbeObservation, ProbeTrigger, Reason, ReasonKind, Role,
    Severity, TargetReport, Timestamp, Workload, WorkloadKind, WorkloadRef,
};
use crate::policy::backoff::RespawnSettings;
use crate::policy::health::{HealthSettings, Weight};
use crate::policy::recovery::RecoveryRequest;

/// A component whose answers a test decides.
#[derive(Default)]
struct Scripted {
    sick: AtomicBool,
    /// falconer itself cannot probe it.
    unable: AtomicBool,
    panics: AtomicBool,
    /// It serves, beside a pod that hangs in its end.
    has_hung_pod: AtomicBool,
    probes: AtomicU32,
    /// What it finds, where that is more than a verdict.
    finds: Mutex<Option<ProbeObservation>>,
}

#[async_trait]
impl Probe for Scripted {
    async fn probe(&self, _: Duration) -> ProbeObservation {
        self.probes.fetch_add(1, Ordering::SeqCst);
        assert!(!self.panics.load(Ordering::SeqCst), "the probe itself is broken");
        if let Some(found) = self.finds.lock().unwrap().clone() {
            return found;
        }
        ProbeObservation::of(if self.unable.load(Ordering::SeqCst) {
            Outcome::failed(ReasonKind::OwnLimit, "too many open files")
        } else if self.sick.load(Ordering::SeqCst) {
            Outcome::failed(ReasonKind::Timeout, "timeout after 5s")
        } else if self.has_hung_pod.load(Ordering::SeqCst) {
            Outcome::degraded(ReasonKind::Terminating, "pod querynode-1 does not end")
        } else {
            Outcome::Healthy
        })
    }
}

struct Plans(BTreeMap<Arc<str>, Arc<Scripted>>, bool);

impl Plans {
    fn plan(component: &Arc<str>, probe: &Arc<Scripted>) -> ComponentPlan {
        ComponentPlan {
            component: Arc::clone(component),
            kind: match &**component {
                "milvus" => ProberKind::Milvus,
                "resources" => ProberKind::Resources,
                _ => ProberKind::Pods,
            },
            prober: Arc::new(ProberSettings {
                interval: Duration::from_secs(1),
                ..ProberSettings::default()
            }),
            health: HealthSettings::default(),
            probe: Arc::clone(probe) as Arc<dyn Probe>,
        }
    }
}

impl Planner for Plans {
    fn fixed(&self) -> Vec<ComponentPlan> {
        if self.1 {
            return Vec::new();
        }
        self.0.iter().map(|(name, probe)| Self::plan(name, probe)).collect()
    }

    fn discovered(&self, component: &Arc<str>) -> Option<ComponentPlan> {
        self.0.get(component).map(|probe| Self::plan(component, probe))
    }
}

type Seen<M> = Arc<Mutex<Vec<M>>>;

struct Fixture {
    probes: BTreeMap<Arc<str>, Arc<Scripted>>,
    inventory: watch::Sender<Arc<Inventory>>,
    raised: Seen<RaiseAlert>,
    resolved: Seen<ResolveAlert>,
    recover: Seen<Recover>,
    board: StatusBoard,
    parts: SupervisorParts,
    reports: Link<ProbeCompleted>,
    running: Running<Supervisor>,
}

impl Fixture {
    fn start(components: &[&str], discovered: bool, depends_on: &[&str]) -> Self {
        let probes: BTreeMap<Arc<str>, Arc<Scripted>> =
            components.iter().map(|name| (Arc::from(*name), Arc::default())).collect();
        let (inventory, receiver) = watch::channel(Arc::new(Inventory::default()));
        let peers = Peers::default();
        let (raised, resolved, recover) = (
            Recorder::behind(&peers.raise),
            Recorder::behind(&peers.resolve),
            Recorder::behind(&peers.recover),
        );
        let board = StatusBoard::default();
        let link = Link::new();
        let parts = SupervisorParts {
            keeper: crate::actors::keeper::StateKeeper::default(),
            cluster: "milvus-ha".into(),
            depends_on: depends_on.iter().map(|name| Arc::from(*name)).collect(),
            planner: Arc::new(Plans(probes.clone(), discovered)),
            inventory: receiver,
            memory: Arc::default(),
            reports: ReportOutbox::new(link.clone(), Metrics::default()),
            pacer: Pacer::default(),
            inventory_link: Link::new(),
            inbox: SupervisorInbox::default(),
            respawn: RespawnSettings::default(),
            last_words: LastWords::default(),
            peers,
            board: board.clone(),
            clock: Clock::starting_at(Timestamp::from_millis(1_000_000)),
            metrics: Metrics::default(),
            journal: Arc::new(MemoryJournal::default()),
        };
        let running = incarnation(&parts, &link);
        Self { probes, inventory, raised, resolved, recover, board, parts, reports: link, running }
    }

    /// Ends the present incarnation as a panic would.
    fn end(&self) {
        self.running.abort.abort();
    }

    fn respawn(&mut self) {
        self.running = incarnation(&self.parts, &self.reports);
    }

    fn state(&self, component: &str) -> Option<HealthState> {
        let snapshot = self.board.snapshot();
        Some(snapshot.clusters.get("milvus-ha")?.components.get(component)?.health.state)
    }

    fn make_sick(&self, component: &str, sick: bool) {
        self.probes[component].sick.store(sick, Ordering::SeqCst);
    }

    fn publish(&self, components: &[&str]) {
        let workload = |name: &str| Workload {
            reference: WorkloadRef {
                kind: WorkloadKind::Deployment,
                namespace: "milvus".into(),
                name: format!("milvus-{name}").into(),
            },
            desired_replicas: 2,
            ready_replicas: 2,
            paused: false,
            rolling_out: false,
            owner: Owner::None,
            autoscaler: None,
            gitops: None,
            holds: Vec::new(),
            revision: None,
        };
        let entry = |name: &&str| {
            let component = ComponentInventory {
                role: Role::parse(name),
                workloads: vec![workload(name)],
                pods: Vec::new(),
            };
            (Arc::from(*name), component)
        };
        let components = components.iter().map(entry).collect();
        let inventory = Inventory { synced: true, error: None, components };
        self.inventory.send_replace(Arc::new(inventory));
    }
}

fn incarnation(parts: &SupervisorParts, reports: &Link<ProbeCompleted>) -> Running<Supervisor> {
    let made_of = parts.clone();
    let make = move |ctx: &mut Context<Supervisor>| Supervisor::new(made_of, ctx.address());
    let running = exit_guard::start(64, make, Box::new(|_| {}));
    reports.publish(&running.address);
    parts.inventory_link.publish(&running.address);
    parts.inbox.publish(&running.address);
    running
}

async fn seconds(count: u64) {
    tokio::time::sleep(Duration::from_secs(count)).await;
}

#[test]
fn an_incident_is_raised_after_the_threshold_and_resolved_once() {
    in_virtual_time(async {
        let fixture = Fixture::start(&["proxy", "querynode"], false, &[]);
        seconds(10).await;
        assert_eq!(fixture.state("querynode"), Some(HealthState::Healthy));
        assert!(fixture.raised.lock().unwrap().is_empty());

        fixture.make_sick("querynode", true);
        seconds(10).await;
        let raised = fixture.raised.lock().unwrap().clone();
        let first = &raised.first().expect("an alert").0;
        assert_eq!(first.title, "querynode is unhealthy");
        assert_eq!(first.severity, Severity::Critical);
        assert!(raised.iter().all(|alert| alert.0.incident == first.incident));
        assert_eq!(fixture.state("proxy"), Some(HealthState::Healthy));

        fixture.make_sick("querynode", false);
        seconds(10).await;
        let resolved = fixture.resolved.lock().unwrap().clone();
        assert_eq!(resolved.len(), 1);
        assert_eq!(resolved[0].incident, first.incident);
    });
}

#[test]
fn recovery_is_asked_for_with_what_runs_the_component_and_what_else_is_sick() {
    in_virtual_time(async {
        let fixture = Fixture::start(&["querynode", "etcd"], false, &["etcd"]);
        fixture.publish(&["querynode"]);
        seconds(5).await;
        fixture.make_sick("querynode", true);
        fixture.make_sick("etcd", true);
        seconds(10).await;
        let asked = fixture.recover.lock().unwrap().clone();
        let querynode = |request: &&RecoveryRequest| &*request.component.component == "querynode";
        let last = asked.iter().map(|message| &message.request).rfind(querynode).unwrap();
        assert_eq!(last.workloads.len(), 1);
        assert_eq!((last.sick_components, last.watched_components), (1, 1));
        assert_eq!(last.sick_dependencies, [ComponentId::new("milvus-ha", "etcd")]);
    });
}

#[test]
fn a_pod_that_hangs_is_a_warning_and_the_recoverer_is_asked_about_what_still_serves() {
    in_virtual_time(async {
        let fixture = Fixture::start(&["querynode"], false, &[]);
        fixture.publish(&["querynode"]);
        seconds(5).await;
        fixture.probes["querynode"].has_hung_pod.store(true, Ordering::SeqCst);
        seconds(600).await;
        let raised = fixture.raised.lock().unwrap().clone();
        let alert = &raised.last().expect("an alert").0;
        assert_eq!(alert.severity, Severity::Warning);
        assert_eq!(alert.reason.text, "pod querynode-1 does not end");
        let asked = fixture.recover.lock().unwrap().clone();
        assert!(asked.last().expect("a request").request.serves);
    });
}

#[test]
fn the_recoverer_is_told_whether_milvus_as_a_whole_fails_for_no_other_reason() {
    in_virtual_time(async {
        for other_is_sick in [false, true] {
            let fixture = Fixture::start(&["querynode", "datanode", "milvus"], false, &[]);
            fixture.publish(&["querynode", "datanode"]);
            seconds(5).await;
            fixture.make_sick("querynode", true);
            fixture.make_sick("milvus", true);
            fixture.make_sick("datanode", other_is_sick);
            seconds(10).await;
            let asked = fixture.recover.lock().unwrap().clone();
            let is_querynode = |one: &&Recover| &*one.request.component.component == "querynode";
            let last = asked.iter().rfind(is_querynode).expect("a request");
            assert_eq!(last.milvus_failing, !other_is_sick);
        }
    });
}

#[test]
fn a_dependency_and_a_neighbour_that_fail_below_their_threshold_count_from_the_first_request_on() {
    in_virtual_time(async {
        let components = ["querynode", "datanode", "etcd"];
        let fixture = Fixture::start(&components, false, &["etcd"]);
        fixture.publish(&["querynode", "datanode"]);
        seconds(5).await;
        fixture.make_sick("querynode", true);
        tokio::time::sleep(Duration::from_millis(500)).await;
        fixture.make_sick("datanode", true);
        fixture.make_sick("etcd", true);
        seconds(10).await;
        let asked = fixture.recover.lock().unwrap().clone();
        let querynode = |request: &&RecoveryRequest| &*request.component.component == "querynode";
        let mut asked = asked.iter().map(|message| &message.request).filter(querynode);
        let first = asked.next().expect("a request");
        assert_eq!(first.sick_components, 2);
        assert_eq!(first.sick_dependencies, [ComponentId::new("milvus-ha", "etcd")]);
        // Nothing is done before the rest of the cluster was probed since.
        let last = asked.next_back().and_then(|request| request.cluster_seen_at);
        let seen = last.expect("others are watched");
        assert!(seen >= first.unhealthy_since);
    });
}

#[test]
fn probers_come_and_go_with_the_workloads() {
    in_virtual_time(async {
        let fixture = Fixture::start(&["proxy", "datanode"], true, &[]);
        seconds(3).await;
        assert_eq!(fixture.state("proxy"), None);
        fixture.publish(&["proxy", "datanode", "attu"]);
        seconds(3).await;
        assert_eq!(fixture.state("proxy"), Some(HealthState::Healthy));
        assert_eq!(fixture.state("attu"), None);

        fixture.make_sick("datanode", true);
        seconds(10).await;
        assert_eq!(fixture.state("datanode"), Some(HealthState::Unhealthy));
        fixture.publish(&["proxy"]);
        seconds(1).await;
        assert_eq!(fixture.state("datanode"), None);
        assert_eq!(fixture.resolved.lock().unwrap().len(), 1);
        let probes = fixture.probes["datanode"].probes.load(Ordering::SeqCst);
        seconds(10).await;
        assert_eq!(fixture.probes["datanode"].probes.load(Ordering::SeqCst), probes);
    });
}

#[test]
fn a_prober_that_panics_comes_back_after_its_back_off_and_its_sibling_never_notices() {
    in_virtual_time(async {
        let fixture = Fixture::start(&["proxy", "querynode"], false, &[]);
        seconds(5).await;
        fixture.probes["querynode"].panics.store(true, Ordering::SeqCst);
        seconds(2).await;
        fixture.probes["querynode"].panics.store(false, Ordering::SeqCst);
        let sibling_before = fixture.probes["proxy"].probes.load(Ordering::SeqCst);
        let before = fixture.probes["querynode"].probes.load(Ordering::SeqCst);
        seconds(60).await;
        let after = fixture.probes["querynode"].probes.load(Ordering::SeqCst);
        assert!(after - before >= 50, "{} probes after the respawn", after - before);
        let sibling = fixture.probes["proxy"].probes.load(Ordering::SeqCst) - sibling_before;
        assert!((59..=61).contains(&sibling), "{sibling} probes of the sibling in 60 s");
    });
}

#[test]
fn a_component_that_vanished_between_two_incarnations_is_forgotten_and_its_alert_resolved() {
    in_virtual_time(async {
        let mut fixture = Fixture::start(&["proxy", "datanode"], true, &[]);
        fixture.publish(&["proxy", "datanode"]);
        seconds(3).await;
        fixture.make_sick("datanode", true);
        seconds(10).await;
        assert_eq!(fixture.resolved.lock().unwrap().len(), 0);
        fixture.end();
        seconds(10).await;
        fixture.publish(&["proxy"]);
        fixture.respawn();
        seconds(3).await;
        assert_eq!(fixture.state("datanode"), None);
        assert_eq!(fixture.state("proxy"), Some(HealthState::Healthy));
        assert_eq!(fixture.resolved.lock().unwrap().len(), 1);
    });
}

#[test]
fn a_supervisor_that_was_told_to_stop_while_it_was_backing_off_watches_nothing_when_it_is_back() {
    in_virtual_time(async {
        let mut fixture = Fixture::start(&["proxy"], false, &[]);
        seconds(3).await;
        fixture.end();
        seconds(1).await;
        let probes = fixture.probes["proxy"].probes.load(Ordering::SeqCst);
        assert!(probes > 0);
        fixture.parts.inbox.stop.send(StopProbing);
        for _ in 0..2 {
            fixture.respawn();
            seconds(5).await;
            assert_eq!(fixture.probes["proxy"].probes.load(Ordering::SeqCst), probes);
            fixture.end();
        }
    });
}

#[test]
fn an_unreachable_platform_is_one_incident_of_its_own_and_none_of_each_component() {
    let reason = Reason::new(ReasonKind::PlatformUnavailable, "the API does not answer");
    let failed = || Outcome::Failed { reason: reason.clone() };
    let degraded = || Outcome::Degraded { reason: reason.clone() };
    let newest = |name: &str, kind, outcome: &dyn Fn() -> Outcome| {
        let mut memory = ClusterMemory::default();
        let at = |second: u64| Timestamp::from_millis(second * 1_000);
        memory.watch(&name.into(), kind, HealthSettings::default(), at(0));
        let changes = (1_000..1_400).map(|second| {
            let report = ProbeReport {
                id: ComponentId::new("milvus-ha", name),
                kind,
                trigger: ProbeTrigger::Schedule,
                started_at: at(second),
                duration: Duration::ZERO,
                observation: ProbeObservation::of(outcome()),
            };
            memory.observe(&report, Weight::SCHEDULED, at(second)).expect("in order").change
        });
        changes.last().unwrap()
    };
    assert_eq!(newest("querynode", ProberKind::Pods, &failed), IncidentChange::None);
    assert_eq!(newest("querynode", ProberKind::Pods, &degraded), IncidentChange::None);
    assert_eq!(newest("resources", ProberKind::Resources, &degraded), IncidentChange::None);
    assert_eq!(newest("kubernetes", ProberKind::Platform, &failed), IncidentChange::Open);
}

#[test]
fn the_scaler_is_handed_what_milvus_says_of_each_pod_and_when() {
    in_virtual_time(async {
        let fixture = Fixture::start(&["proxy", "resources"], false, &[]);
        let loads = Recorder::behind(&fixture.parts.peers.load);
        let target = |name: &str, qps| TargetReport {
            name: name.into(),
            address: Arc::default(),
            outcome: Outcome::Healthy,
            latency: Duration::ZERO,
            performance: Some(Box::new(PerformanceReport { qps, ..PerformanceReport::default() })),
        };
        let unread = TargetReport { performance: None, ..target("p-2", None) };
        let targets = vec![target("p-0", Some(250.0)), target("p-1", None), unread];
        let found = ProbeObservation { targets, ..ProbeObservation::of(Outcome::Healthy) };
        *fixture.probes["proxy"].finds.lock().unwrap() = Some(found);
        fixture.publish(&["proxy"]);
        seconds(10).await;
        let loads = loads.lock().unwrap();
        let load = &loads.last().expect("a resources report").0;
        assert_eq!(&*load.component.component, "proxy");
        let named: Vec<_> = load.figures.iter().map(|one| (&*one.pod, one.figures.qps)).collect();
        assert_eq!(named, [("p-0", Some(250_000)), ("p-1", None)]);
        let age = fixture.parts.clock.now().since(load.figures[0].sampled_at);
        assert!(age <= Duration::from_secs(5), "{age:?}");
    });
}

#[test]
fn nobody_is_told_of_or_restarted_for_what_falconer_itself_cannot_probe() {
    in_virtual_time(async {
        let fixture = Fixture::start(&["proxy", "querynode"], false, &[]);
        fixture.make_sick("querynode", true);
        seconds(120).await;
        assert_eq!(fixture.state("proxy"), Some(HealthState::Healthy));
        assert_eq!(fixture.state("querynode"), Some(HealthState::Unhealthy));
        for component in ["proxy", "querynode"] {
            fixture.probes[component].unable.store(true, Ordering::SeqCst);
        }
        seconds(2).await;
        fixture.raised.lock().unwrap().clear();
        fixture.recover.lock().unwrap().clear();
        seconds(600).await;
        assert_eq!(fixture.state("proxy"), Some(HealthState::Healthy), "nothing else is known");
        assert_eq!(fixture.state("querynode"), Some(HealthState::Unhealthy));
        assert!(fixture.raised.lock().unwrap().is_empty());
        assert!(fixture.recover.lock().unwrap().is_empty(), "not on what was known long ago");
        assert!(fixture.resolved.lock().unwrap().is_empty());
        fixture.probes["querynode"].unable.store(false, Ordering::SeqCst);
        seconds(5).await;
        assert!(!fixture.recover.lock().unwrap().is_empty(), "it is seen to be sick again");
    });
}

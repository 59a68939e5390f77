//! The whole tree in virtual time, while actors of each kind panic in a handler, in a timer and in a
//! spawned future: who notices, who comes back when, and what is still known then.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use tokio::time::{Instant, sleep, timeout};

use super::*;
use crate::actors::fault_injection::{plan, starts};
use crate::actors::leadership::LeadershipHandle;
use crate::actors::prober::ProberSettings;
use crate::actors::supervisor::ComponentPlan;
use crate::actors::testing::{FakeCluster, in_virtual_time, workload};
use crate::effects::journal::MemoryJournal;
use crate::effects::{NotifyError, Probe};
use crate::model::{
    AlertStatus, ComponentInventory, IncidentId, Inventory, Notification, Outcome,
    ProbeObservation, ProberKind, ReasonKind, Receipt, Role, Timestamp,
};
use crate::policy::backoff::{BackoffSettings, Intensity};
use crate::policy::health::HealthSettings;

const CLUSTERS: [&str; 2] = ["east", "west"];
const COMPONENTS: [&str; 3] = ["proxy", "querynode", "datanode"];
const PLACES: [&str; 3] = ["handler", "timer", "future"];
const INTERVAL: Duration = Duration::from_secs(1);

/// When each component was probed, and whether it is sick.
#[derive(Default)]
struct Patient {
    probed: Mutex<Vec<Instant>>,
    is_sick: AtomicBool,
}

#[async_trait]
impl Probe for Patient {
    async fn probe(&self, _: Duration) -> ProbeObservation {
        self.probed.lock().unwrap().push(Instant::now());
        ProbeObservation::of(if self.is_sick.load(Ordering::Relaxed) {
            Outcome::failed(ReasonKind::Status, "answered 500")
        } else {
            Outcome::Healthy
        })
    }
}

struct Ward {
    patients: BTreeMap<&'static str, Arc<Patient>>,
    respawn: RespawnSettings,
}

impl Planner for Ward {
    fn fixed(&self) -> Vec<ComponentPlan> {
        let plan = |(name, patient): (&&'static str, &Arc<Patient>)| ComponentPlan {
            component: Arc::from(*name),
            kind: ProberKind::Pods,
            prober: Arc::new(ProberSettings {
                interval: INTERVAL,
                jitter: 0.0,
                respawn: self.respawn,
                ..ProberSettings::default()
            }),
            health: HealthSettings { startup_grace: Duration::ZERO, ..HealthSettings::default() },
            probe: Arc::clone(patient) as Arc<dyn Probe>,
        };
        self.patients.iter().map(plan).collect()
    }

    fn discovered(&self, _: &Arc<str>) -> Option<ComponentPlan> {
        None
    }
}

/// Accepts everything.
#[derive(Default)]
struct Letterbox {
    letters: Mutex<Vec<(IncidentId, AlertStatus)>>,
}

#[async_trait]
impl Notifier for Letterbox {
    fn name(&self) -> &'static str {
        "email"
    }

    async fn notify(&self, notification: &Notification) -> Result<Receipt, NotifyError> {
        let letter = (notification.lead.incident.clone(), notification.lead.status);
        self.letters.lock().unwrap().push(letter);
        Ok(Receipt::default())
    }
}

struct Hospital {
    patients: BTreeMap<(&'static str, &'static str), Arc<Patient>>,
    platforms: BTreeMap<&'static str, Arc<FakeCluster>>,
    letterbox: Arc<Letterbox>,
    fatal: mpsc::UnboundedReceiver<Fatal>,
    board: StatusBoard,
    tree: Tree,
}

fn respawn(burst: usize) -> RespawnSettings {
    let initial = Duration::from_millis(20);
    RespawnSettings {
        backoff: BackoffSettings { initial, jitter: 0.0, ..BackoffSettings::default() },
        intensity: Intensity { burst, ..Intensity::default() },
    }
}

impl Hospital {
    /// Two clusters of three components; actors may end `burst` times.
    fn open(burst: usize) -> Self {
        let (fatal_sender, fatal) = mpsc::unbounded_channel();
        let (board, letterbox) = (StatusBoard::default(), Arc::new(Letterbox::default()));
        let (mut patients, mut platforms) = (BTreeMap::new(), BTreeMap::new());
        let mut clusters = Vec::new();
        for cluster in CLUSTERS {
            let ward: BTreeMap<&'static str, Arc<Patient>> =
                COMPONENTS.into_iter().map(|name| (name, Arc::default())).collect();
            patients.extend(ward.iter().map(|(name, one)| ((cluster, *name), Arc::clone(one))));
            let fake = FakeCluster::new();
            fake.publish(inventory());
            let platform: Arc<dyn Cluster> = fake.clone();
            platforms.insert(cluster, fake);
            clusters.push(ClusterParts {
                name: cluster.into(),
                depends_on: BTreeSet::new(),
                planner: Arc::new(Ward { patients: ward, respawn: respawn(burst) }),
                recoverer_platform: Arc::clone(&platform),
                scaler_platform: Arc::clone(&platform),
                platform,
                query_nodes: None,
            });
        }
        let respawns = Respawns {
            supervisor: respawn(burst),
            alerter: respawn(burst),
            recoverer: respawn(burst),
            scaler: respawn(burst),
        };
        let tree = Tree::start(TreeParts {
            clusters,
            receivers: vec![Arc::clone(&letterbox) as Arc<dyn Notifier>],
            settings: TreeSettings { respawns, ..TreeSettings::default() },
            leadership: LeadershipHandle::default(),
            keeper: crate::actors::keeper::StateKeeper::default(),
            board: board.clone(),
            clock: Clock::starting_at(Timestamp::from_millis(1_000_000_000_000)),
            metrics: Metrics::default(),
            journal: Arc::new(MemoryJournal::default()),
            fatal: fatal_sender,
        });
        Self { patients, platforms, letterbox, fatal, board, tree }
    }

    fn probed(&self, cluster: &'static str, component: &'static str) -> Vec<Instant> {
        self.patients[&(cluster, component)].probed.lock().unwrap().clone()
    }

    /// Asserts that this component was probed exactly each second from its second probe on; the
    /// first one after a start comes as soon as it can.
    fn assert_in_step(&self, cluster: &'static str, component: &'static str, what: &str) {
        let probed = self.probed(cluster, component);
        let gaps: Vec<u128> =
            probed.windows(2).skip(1).map(|pair| (pair[1] - pair[0]).as_millis()).collect();
        let exact = gaps.iter().all(|gap| gap.abs_diff(1_000) <= 1);
        let since = probed.last().map_or(Duration::MAX, Instant::elapsed);
        let goes_on = since <= INTERVAL + Duration::from_millis(1);
        assert!(exact && goes_on, "{cluster}/{component} while {what}: {gaps:?}, {since:?} ago");
    }

    fn sicken(&self, is_sick: bool) {
        self.patients[&("east", "proxy")].is_sick.store(is_sick, Ordering::Relaxed);
    }

    fn letters(&self) -> Vec<AlertStatus> {
        self.letterbox.letters.lock().unwrap().iter().map(|(_, status)| *status).collect()
    }
}

fn inventory() -> Inventory {
    let component = |name: &'static str| {
        let workloads = vec![workload(name, 2)];
        let component = ComponentInventory { role: Role::parse(name), workloads, pods: vec![] };
        (Arc::from(name), component)
    };
    let components = COMPONENTS.into_iter().map(component).collect();
    Inventory { synced: true, error: None, components }
}

/// Runs a test in virtual time, in which what is injected is not printed.
fn calmly<F: Future<Output = ()>>(test: F) {
    static ONCE: std::sync::Once = std::sync::Once::new();
    ONCE.call_once(|| {
        let loud = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            let injected =
                panic.payload_as_str().is_some_and(|words| words.contains("injected in"));
            if !injected {
                loud(panic);
            }
        }));
    });
    in_virtual_time(test);
}

async fn seconds(count: u64) {
    sleep(Duration::from_secs(count)).await;
}

/// The actors below the root, and whose probes end with them: a cluster and perhaps a component.
const ACTORS: [(&str, Option<&str>, Option<&str>); 6] = [
    ("alerter", None, None),
    ("recoverer", None, None),
    ("scaler", None, None),
    ("supervisor/east", Some("east"), None),
    ("discovery", None, None),
    // Both clusters have one of this name.
    ("prober/querynode", None, Some("querynode")),
];

#[test]
fn who_panics_comes_back_after_its_back_off_and_no_sibling_misses_a_beat() {
    for (actor, cluster, component) in ACTORS {
        for place in PLACES {
            calmly(async move {
                plan(&format!("{actor}:{place}:3000:3"));
                let hospital = Hospital::open(10);
                seconds(30).await;
                for (east_or_west, name) in hospital.patients.keys() {
                    if cluster == Some(*east_or_west) || component == Some(*name) {
                        continue;
                    }
                    let what = format!("{actor} panics in a {place}");
                    hospital.assert_in_step(east_or_west, name, &what);
                }
                assert_back_offs(actor, place);
                assert!(hospital.fatal.is_empty(), "{actor} in a {place}");
                let ended = hospital.board.snapshot().actors;
                assert!(ended.values().all(|one| one.respawn_at.is_none()), "{ended:?}");
                assert!(ended.values().any(|one| one.reason.contains("injected")), "{ended:?}");
            });
        }
    }
}

/// Three seconds of life and then 20, 40, 80 ms of back-off; timers are exact to the millisecond.
fn assert_back_offs(actor: &str, place: &str) {
    let starts = starts(actor);
    let is_one_of_two = actor == "discovery" || actor == "prober/querynode";
    if is_one_of_two {
        // Three incarnations of two actors are struck.
        assert_eq!(starts.len(), 5, "{actor} in a {place}");
        return;
    }
    let gaps: Vec<u128> =
        starts.windows(2).map(|pair| (pair[1] - pair[0]).as_millis() - 3_000).collect();
    assert_eq!(gaps.len(), 3, "{actor} in a {place}");
    for (gap, backoff) in gaps.iter().zip([20, 40, 80]) {
        assert!((backoff..=backoff + 4).contains(gap), "{actor} in a {place}: {gaps:?}");
    }
}

#[test]
fn what_was_known_told_and_done_is_still_known_after_any_panic() {
    for (actor, ..) in ACTORS {
        for place in PLACES {
            calmly(async move {
                plan(&format!("{actor}:{place}:30000:2"));
                let hospital = Hospital::open(10);
                seconds(5).await;
                hospital.sicken(true);
                // Twice during the incident: at 30 and 60 seconds.
                seconds(100).await;
                assert_eq!(hospital.letters(), [AlertStatus::Firing], "{actor} in a {place}");
                hospital.sicken(false);
                seconds(100).await;
                let letters = hospital.letterbox.letters.lock().unwrap().clone();
                let told: Vec<AlertStatus> = letters.iter().map(|(_, status)| *status).collect();
                let once = [AlertStatus::Firing, AlertStatus::Resolved];
                assert_eq!(told, once, "{actor} in a {place}");
                assert_eq!(letters[0].0, letters[1].0, "{actor} in a {place}");
                let restarts = hospital.platforms["east"].state().restarts.len();
                assert_eq!(restarts, 1, "{actor} in a {place}: one restart for one incident");
                let snapshot = hospital.board.snapshot();
                assert!(snapshot.alerter.alerts.is_empty(), "{actor} in a {place}");
                assert_eq!(snapshot.recoverer.in_flight.len(), 0, "{actor} in a {place}");
            });
        }
    }
}

#[test]
fn a_resolve_that_comes_while_the_alerter_backs_off_is_told_when_it_is_back() {
    calmly(async {
        // With 3, 6, 12 … ms of life it is dead for most of the time in between.
        plan("alerter:timer:3:10");
        let hospital = Hospital::open(20);
        hospital.sicken(true);
        seconds(12).await;
        hospital.sicken(false);
        seconds(120).await;
        assert_eq!(hospital.letters(), [AlertStatus::Firing, AlertStatus::Resolved]);
    });
}

#[test]
fn a_child_beyond_help_takes_its_supervisor_along_and_at_last_the_process() {
    for place in PLACES {
        calmly(async move {
            plan(&format!("prober/querynode:{place}:100:1000"));
            let mut hospital = Hospital::open(2);
            let fatal = timeout(Duration::from_secs(60), hospital.fatal.recv()).await;
            let fatal = fatal.expect("in time").expect("a reason");
            assert!(fatal.actor.starts_with("supervisor/"), "{fatal:?}");
            let words = ["prober/querynode is beyond help", "more than 2 times", "injected in a"];
            for word in words {
                assert!(fatal.reason.contains(word), "{word:?} is not in {:?}", fatal.reason);
            }
            // Its probers are gone with it.
            let cluster = CLUSTERS.into_iter().find(|name| fatal.actor.ends_with(name)).unwrap();
            let before = COMPONENTS.map(|name| hospital.probed(cluster, name).len());
            seconds(20).await;
            assert_eq!(before, COMPONENTS.map(|name| hospital.probed(cluster, name).len()));
        });
    }
}

#[test]
fn a_supervisor_that_gives_up_leaves_the_other_clusters_alone() {
    calmly(async {
        plan("supervisor/east:handler:5000:4");
        let mut hospital = Hospital::open(3);
        let fatal = timeout(Duration::from_secs(60), hospital.fatal.recv()).await;
        let fatal = fatal.expect("in time").expect("a reason");
        assert_eq!(fatal.actor, "supervisor/east");
        assert_eq!(fatal.reason, "ended more than 3 times in 10m: panicked: injected in a handler");
        seconds(5).await;
        for name in COMPONENTS {
            hospital.assert_in_step("west", name, "the east gives up");
        }
    });
}

#[test]
fn the_root_and_its_children_are_told_by_name_when_they_are_beyond_help() {
    for (actor, times) in [("root", 1), ("alerter", 3), ("recoverer", 3), ("scaler", 3)] {
        for place in PLACES {
            calmly(async move {
                plan(&format!("{actor}:{place}:500:{times}"));
                let mut hospital = Hospital::open(2);
                let fatal = timeout(Duration::from_secs(60), hospital.fatal.recv()).await;
                let fatal = fatal.expect("in time").expect("a reason");
                assert_eq!(fatal.actor, actor);
                assert!(fatal.reason.contains("panicked: injected in a"), "{fatal:?}");
                if actor != "root" {
                    // Nobody is waited for who will not come back.
                    let begun = Instant::now();
                    hospital.tree.stop_probing();
                    hospital.tree.hand_back(Duration::from_secs(20)).await;
                    hospital.tree.deliver(Duration::from_secs(20)).await;
                    assert!(begun.elapsed() < Duration::from_secs(1), "{actor}");
                }
            });
        }
    }
}

//! The whole tree in virtual time, over effects in memory, following one plan after another.

mod custody;
mod outbox;
mod storm;

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::watch;

use super::*;
use crate::actors::keeper::NamedStore;
use crate::actors::leadership::LeadershipHandle;
use crate::actors::prober::ProberSettings;
use crate::actors::supervisor::ComponentPlan;
use crate::actors::testing::in_virtual_time;
use crate::effects::journal::MemoryJournal;
use crate::effects::{
    ActionQuery, ActionTrace, Applied, ClusterError, DeletePodRequest, EvidenceRequest,
    NotifyError, Probe, RestartRequest, RollbackRequest, ScaleRequest, StateStore,
};
use crate::model::{
    AlertStatus, ClusterEvent, ComponentInventory, Evidence, HealthState, Inventory, Notification,
    Outcome, ProbeObservation, ProberKind, ReasonKind, Receipt, RolloutStatus, Timestamp, Touched,
    WorkloadRef,
};
use crate::policy::health::HealthSettings;
use crate::policy::notification::GroupLabel;

const CLUSTER: &str = "milvus-ha";

/// Notes when it is asked.
struct Noting {
    clock: Clock,
    starts: Mutex<Vec<Timestamp>>,
    sick: AtomicBool,
    /// Whether it works, but badly.
    ailing: AtomicBool,
}

#[async_trait]
impl Probe for Noting {
    async fn probe(&self, _: Duration) -> ProbeObservation {
        self.starts.lock().unwrap().push(self.clock.now());
        ProbeObservation::of(if self.sick.load(Ordering::SeqCst) {
            Outcome::failed(ReasonKind::Status, "status 503")
        } else if self.ailing.load(Ordering::SeqCst) {
            Outcome::degraded(ReasonKind::Limited, "slow")
        } else {
            Outcome::Healthy
        })
    }
}

/// Plans what it was made with; a component called `bug` breaks it.
#[derive(Clone, Default)]
struct Plans {
    fixed: BTreeMap<Arc<str>, ComponentPlan>,
    discovered: BTreeMap<Arc<str>, ComponentPlan>,
}

impl Planner for Plans {
    fn fixed(&self) -> Vec<ComponentPlan> {
        self.fixed.values().cloned().collect()
    }

    fn discovered(&self, component: &Arc<str>) -> Option<ComponentPlan> {
        assert_ne!(&**component, "bug", "as scripted");
        self.discovered.get(component).cloned()
    }
}

/// A platform with an inventory that a test writes.
struct Machine {
    inventory: watch::Sender<Arc<Inventory>>,
}

impl Machine {
    fn new() -> Arc<Self> {
        let machine = Self { inventory: watch::channel(Arc::default()).0 };
        machine.runs(&[]);
        Arc::new(machine)
    }

    fn runs(&self, components: &[&str]) {
        let component = |name: &&str| {
            let nothing =
                ComponentInventory { role: None, workloads: Vec::new(), pods: Vec::new() };
            (Arc::from(*name), nothing)
        };
        let components = components.iter().map(component).collect();
        let inventory = Inventory { synced: true, components, ..Inventory::default() };
        self.inventory.send_replace(Arc::new(inventory));
    }
}

#[async_trait]
impl Cluster for Machine {
    fn inventory(&self) -> watch::Receiver<Arc<Inventory>> {
        self.inventory.subscribe()
    }

    async fn restart(&self, _: &RestartRequest) -> Result<Applied, ClusterError> {
        Ok(Applied { applied: true, change: String::new() })
    }

    async fn delete_pod(&self, _: &DeletePodRequest) -> Result<Applied, ClusterError> {
        Ok(Applied { applied: true, change: String::new() })
    }

    async fn rollback(&self, _: &RollbackRequest) -> Result<Applied, ClusterError> {
        Ok(Applied { applied: true, change: String::new() })
    }

    async fn find_action(&self, _: &ActionQuery) -> Result<ActionTrace, ClusterError> {
        Ok(ActionTrace::NotDone)
    }

    async fn evidence(&self, _: &EvidenceRequest) -> Result<Vec<Evidence>, ClusterError> {
        Ok(Vec::new())
    }

    async fn rollout_status(&self, _: &WorkloadRef) -> Result<RolloutStatus, ClusterError> {
        Ok(RolloutStatus::Complete)
    }

    async fn scale(&self, _: &ScaleRequest) -> Result<Applied, ClusterError> {
        Ok(Applied { applied: true, change: String::new() })
    }

    async fn record_event(&self, _: &ClusterEvent) -> Result<(), ClusterError> {
        Ok(())
    }

    async fn shutdown(&self, _: Duration) {}
}

/// A mailbox.
struct Mailbox {
    name: &'static str,
    received: Mutex<Vec<Notification>>,
    /// Takes messages and never says so.
    hangs: AtomicBool,
    /// Takes none.
    is_down: AtomicBool,
}

impl Mailbox {
    fn new(name: &'static str) -> Arc<Self> {
        let (hangs, is_down) = (AtomicBool::new(false), AtomicBool::new(false));
        Arc::new(Self { name, received: Mutex::default(), hangs, is_down })
    }

    fn statuses(&self) -> Vec<AlertStatus> {
        self.received.lock().unwrap().iter().map(|message| message.lead.status).collect()
    }
}

#[async_trait]
impl Notifier for Mailbox {
    fn name(&self) -> &str {
        self.name
    }

    async fn notify(&self, notification: &Notification) -> Result<Receipt, NotifyError> {
        if self.is_down.load(Ordering::SeqCst) {
            let (receiver, message) = (self.name.to_owned(), "connection refused".to_owned());
            return Err(NotifyError::Unavailable { receiver, message });
        }
        self.received.lock().unwrap().push(notification.clone());
        if self.hangs.load(Ordering::SeqCst) {
            std::future::pending::<()>().await;
        }
        Ok(Receipt::default())
    }
}

/// What outlives a falconer that is killed.
struct Around {
    clock: Clock,
    mail: Arc<Mailbox>,
    leadership: LeadershipHandle,
    store: Option<Arc<dyn StateStore>>,
    settings: TreeSettings,
    depends_on: BTreeSet<Arc<str>>,
    more_mail: Vec<Arc<Mailbox>>,
}

impl Default for Around {
    fn default() -> Self {
        Self {
            clock: Clock::starting_at(Timestamp::from_millis(1_000_000_000_000)),
            mail: Mailbox::new("email"),
            leadership: LeadershipHandle::default(),
            store: None,
            settings: single_alerts(),
            depends_on: BTreeSet::new(),
            more_mail: Vec::new(),
        }
    }
}

impl Around {
    fn keeper(&self) -> StateKeeper {
        let Some(store) = self.store.clone() else { return StateKeeper::default() };
        let store = NamedStore { name: "fake", store, is_decisive: true };
        StateKeeper::start(vec![store], self.clock, Metrics::default())
    }
}

/// Each alert is told by itself, and its end at once.
fn single_alerts() -> TreeSettings {
    let mut settings = TreeSettings::default();
    settings.alerter.group_by = vec![GroupLabel::Component];
    settings.alerter.group_interval = Duration::ZERO;
    settings
}

/// The tree with handles to everything that it consists of.
struct Fixture {
    clock: Clock,
    board: StatusBoard,
    machine: Arc<Machine>,
    mail: Arc<Mailbox>,
    more_mail: Vec<Arc<Mailbox>>,
    depends_on: BTreeSet<Arc<str>>,
    plans: Plans,
    probes: BTreeMap<Arc<str>, Arc<Noting>>,
    settings: TreeSettings,
    tree: Option<Tree>,
    _fatal: mpsc::UnboundedReceiver<Fatal>,
}

impl Fixture {
    /// Started with `count` components `c0`, `c1`, …, probed every second.
    fn start(count: usize) -> Self {
        Self::start_in(&Around::default(), count)
    }

    fn start_in(around: &Around, count: usize) -> Self {
        Self::start_planned(around, count, |_| {})
    }

    fn start_planned(around: &Around, count: usize, plan_more: impl FnOnce(&mut Self)) -> Self {
        fastrand::seed(7);
        let clock = around.clock;
        let (fatal, fatal_seen) = mpsc::unbounded_channel();
        let mut fixture = Self {
            clock,
            board: StatusBoard::default(),
            machine: Machine::new(),
            mail: Arc::clone(&around.mail),
            more_mail: around.more_mail.clone(),
            depends_on: around.depends_on.clone(),
            plans: Plans::default(),
            probes: BTreeMap::new(),
            settings: around.settings.clone(),
            tree: None,
            _fatal: fatal_seen,
        };
        for index in 0..count {
            let plan = fixture.component(&format!("c{index}"));
            fixture.plans.fixed.insert(Arc::clone(&plan.component), plan);
        }
        plan_more(&mut fixture);
        let TreePlan { clusters, receivers, settings } = fixture.plan();
        fixture.tree = Some(Tree::start(TreeParts {
            clusters,
            receivers,
            settings,
            leadership: around.leadership.clone(),
            keeper: around.keeper(),
            board: fixture.board.clone(),
            clock,
            metrics: Metrics::default(),
            journal: Arc::new(MemoryJournal::default()),
            fatal,
        }));
        fixture
    }

    /// One more component, not planned yet.
    fn component(&mut self, name: &str) -> ComponentPlan {
        let probe = Arc::new(Noting {
            clock: self.clock,
            starts: Mutex::default(),
            sick: AtomicBool::new(false),
            ailing: AtomicBool::new(false),
        });
        self.probes.insert(name.into(), Arc::clone(&probe));
        ComponentPlan {
            component: name.into(),
            kind: ProberKind::Http,
            prober: Arc::new(ProberSettings {
                interval: Duration::from_secs(1),
                jitter: 0.0,
                ..ProberSettings::default()
            }),
            health: HealthSettings { startup_grace: Duration::ZERO, ..HealthSettings::default() },
            probe,
        }
    }

    fn cluster(&self, name: &str, plans: &Plans) -> ClusterParts {
        let platform: Arc<dyn Cluster> = self.machine.clone();
        ClusterParts {
            name: name.into(),
            depends_on: self.depends_on.clone(),
            planner: Arc::new(plans.clone()),
            recoverer_platform: Arc::clone(&platform),
            scaler_platform: Arc::clone(&platform),
            platform,
            query_nodes: None,
        }
    }

    fn plan(&self) -> TreePlan {
        TreePlan {
            clusters: vec![self.cluster(CLUSTER, &self.plans)],
            receivers: std::iter::once(&self.mail)
                .chain(&self.more_mail)
                .map(|mail| Arc::clone(mail) as Arc<dyn Notifier>)
                .collect(),
            settings: self.settings.clone(),
        }
    }

    async fn follow(&mut self, plan: TreePlan) -> Touched {
        self.tree.as_mut().expect("it was started").reconfigure(plan).await
    }

    async fn reconfigure(&mut self) -> Touched {
        self.follow(self.plan()).await
    }

    fn change(&mut self, component: &str, change: impl FnOnce(&mut ComponentPlan)) {
        change(self.plans.fixed.get_mut(component).expect("a planned component"));
    }

    fn starts(&self) -> Starts {
        let starts = |(name, probe): (&Arc<str>, &Arc<Noting>)| {
            (Arc::clone(name), probe.starts.lock().unwrap().clone())
        };
        self.probes.iter().map(starts).collect()
    }

    fn make_sick(&self, component: &str) {
        self.probes[component].sick.store(true, Ordering::SeqCst);
    }

    fn health(&self, component: &str) -> Option<crate::model::ComponentHealth> {
        let snapshot = self.board.snapshot();
        Some(snapshot.clusters.get(CLUSTER)?.components.get(component)?.health.clone())
    }
}

/// From the second probe on: the first one comes when the pace allows.
fn assert_every_second(starts: &[Timestamp]) {
    for pair in starts.windows(2).skip(1) {
        assert_eq!(pair[1].since(pair[0]), Duration::from_secs(1));
    }
}

async fn seconds(seconds: u64) {
    tokio::time::sleep(Duration::from_secs(seconds)).await;
}

/// When each component was probed.
type Starts = BTreeMap<Arc<str>, Vec<Timestamp>>;
/// Good probes in a row by component.
type Successes = BTreeMap<Arc<str>, u64>;

/// A minute of 1,000 probers; in the middle the interval of one is changed, or nothing is.
fn a_minute(changed: bool) -> (Starts, Option<Touched>, Successes) {
    let out = Arc::new(Mutex::new(None));
    let kept = Arc::clone(&out);
    in_virtual_time(async move {
        let mut fixture = Fixture::start(1_000);
        fixture.make_sick("c7");
        seconds(30).await;
        let since = fixture.health("c7").expect("it is watched").since;
        let mut touched = None;
        if changed {
            let two = Duration::from_secs(2);
            fixture.change("c500", |plan| Arc::make_mut(&mut plan.prober).interval = two);
            touched = Some(fixture.reconfigure().await);
        }
        seconds(30).await;
        let sick = fixture.health("c7").expect("it is watched");
        assert_eq!((sick.state, sick.since), (HealthState::Unhealthy, since));
        assert_eq!(fixture.mail.statuses(), [AlertStatus::Firing]);
        let counted = fixture.board.snapshot();
        let components = counted.clusters[CLUSTER].components.iter();
        let successes = components.map(|(name, component)| {
            (Arc::clone(name), u64::from(component.health.consecutive_successes))
        });
        *kept.lock().unwrap() = Some((fixture.starts(), touched, successes.collect()));
    });
    let mut out = out.lock().unwrap();
    out.take().expect("the minute is over")
}

#[test]
fn of_1000_probers_the_one_whose_interval_changed_is_replaced_and_no_other_misses_a_probe() {
    let (undisturbed, _, mut successes_undisturbed) = a_minute(false);
    let (mut starts, touched, mut successes) = a_minute(true);
    let touched = touched.expect("it was reconfigured");
    assert_eq!(touched.changed.names, ["prober milvus-ha/c500"]);
    assert_eq!((touched.total(), touched.changed.count), (1, 1));
    // The other probers, the supervisor, the three that act and the receiver.
    assert_eq!(touched.untouched, 999 + 1 + 3 + 1);

    let replaced = starts.remove("c500").expect("it was probed");
    let mut others = undisturbed;
    let before = others.remove("c500").expect("it was probed");
    assert_eq!(starts, others, "the others' schedules are the same to the millisecond");
    assert!((45..=47).contains(&replaced.len()), "{} probes of c500", replaced.len());
    assert_eq!(replaced[..30], before[..30]);
    let late = replaced.windows(2).skip(32);
    late.for_each(|pair| assert_eq!(pair[1].since(pair[0]), Duration::from_secs(2)));
    // Nobody has forgotten what it had seen, the replaced one's component neither.
    assert_eq!(successes.remove("c500"), Some(replaced.len() as u64));
    successes_undisturbed.remove("c500");
    assert_eq!(successes, successes_undisturbed);
}

#[test]
fn the_same_plan_touches_nothing() {
    in_virtual_time(async {
        let mut fixture = Fixture::start(3);
        seconds(5).await;
        let touched = fixture.reconfigure().await;
        assert_eq!((touched.total(), touched.untouched), (0, 3 + 1 + 3 + 1));
    });
}

#[test]
fn other_thresholds_hold_at_once_and_touch_no_prober() {
    in_virtual_time(async {
        let mut fixture = Fixture::start(2);
        seconds(10).await;
        fixture.make_sick("c1");
        fixture.change("c1", |plan| plan.health.failure_threshold = 20);
        let touched = fixture.reconfigure().await;
        assert_eq!(touched.changed.names, ["thresholds of milvus-ha/c1"]);
        seconds(15).await;
        assert_eq!(fixture.health("c1").unwrap().state, HealthState::Healthy);
        seconds(10).await;
        assert_eq!(fixture.health("c1").unwrap().state, HealthState::Unhealthy);
        assert_every_second(&fixture.starts()["c1"]);
    });
}

#[test]
fn other_settings_of_the_alerter_do_not_tell_an_open_alert_again() {
    in_virtual_time(async {
        let mut fixture = Fixture::start(2);
        fixture.make_sick("c1");
        seconds(30).await;
        assert_eq!(fixture.mail.statuses(), [AlertStatus::Firing]);
        fixture.settings.alerter.group_wait = Duration::from_secs(1);
        let slack = Mailbox::new("slack");
        let mut plan = fixture.plan();
        plan.receivers.push(Arc::clone(&slack) as Arc<dyn Notifier>);
        let touched = fixture.follow(plan).await;
        assert_eq!(touched.changed.names, ["alerter"]);
        assert_eq!(touched.added.names, ["receiver slack"]);
        seconds(60).await;
        assert_eq!(fixture.mail.statuses(), [AlertStatus::Firing], "it was told already");
        assert_eq!(slack.statuses(), [AlertStatus::Firing], "it is new");
        let touched = fixture.reconfigure().await;
        assert_eq!(touched.removed.names, ["receiver slack"]);
        fixture.probes["c1"].sick.store(false, Ordering::SeqCst);
        seconds(10).await;
        assert_eq!(fixture.mail.statuses(), [AlertStatus::Firing, AlertStatus::Resolved]);
        assert_eq!(slack.statuses(), [AlertStatus::Firing], "it is gone");
        assert_eq!(fixture.board.snapshot().alerter.alerts.len(), 0);
    });
}

#[test]
fn the_incident_of_a_component_that_is_configured_no_longer_ends_and_says_why() {
    in_virtual_time(async {
        let mut fixture = Fixture::start(2);
        fixture.make_sick("c1");
        seconds(30).await;
        fixture.plans.fixed.remove("c1");
        let new = fixture.component("new");
        fixture.plans.fixed.insert(Arc::clone(&new.component), new);
        let touched = fixture.reconfigure().await;
        assert_eq!(touched.removed.names, ["prober milvus-ha/c1"]);
        assert_eq!(touched.added.names, ["prober milvus-ha/new"]);
        let probes_of_c1 = fixture.starts()["c1"].len();
        seconds(30).await;
        assert_eq!(fixture.mail.statuses(), [AlertStatus::Firing, AlertStatus::Resolved]);
        let action = fixture.mail.received.lock().unwrap()[1].lead.action.clone();
        assert_eq!(action, "no longer watched: the configuration was changed");
        assert_eq!(fixture.starts()["c1"].len(), probes_of_c1);
        assert_eq!(fixture.health("c1"), None);
        assert_eq!(fixture.health("new").unwrap().state, HealthState::Healthy);
    });
}

#[test]
fn clusters_come_and_go_while_the_others_are_left_alone() {
    in_virtual_time(async {
        let mut fixture = Fixture::start(2);
        seconds(10).await;
        let green = fixture.component("green");
        let green = Plans {
            fixed: BTreeMap::from([(Arc::clone(&green.component), green)]),
            ..Plans::default()
        };
        let mut plan = fixture.plan();
        plan.clusters.push(fixture.cluster("green", &green));
        let touched = fixture.follow(plan).await;
        assert_eq!(touched.added.names, ["supervisor green"]);
        assert_eq!(touched.changed.names, ["recoverer", "scaler"], "they know its platform now");
        fixture.make_sick("green");
        seconds(30).await;
        assert_eq!(fixture.mail.statuses(), [AlertStatus::Firing]);
        let touched = fixture.reconfigure().await;
        assert_eq!(touched.removed.names, ["prober green/green", "supervisor green"]);
        seconds(30).await;
        assert_eq!(fixture.mail.statuses(), [AlertStatus::Firing, AlertStatus::Resolved]);
        let clusters: Vec<_> = fixture.board.snapshot().clusters.into_keys().collect();
        assert_eq!(clusters, [Arc::from(CLUSTER)]);
        let starts = fixture.starts();
        assert_every_second(&starts["c0"]);
        assert!(starts["green"].len() <= 31, "it was not probed after it had gone");
    });
}

#[test]
fn a_supervisor_that_is_made_anew_follows_the_newest_plan() {
    in_virtual_time(async {
        let mut fixture = Fixture::start(3);
        fixture.make_sick("c2");
        seconds(30).await;
        let other = Machine::new();
        fixture.plans.fixed.remove("c0");
        fixture.machine = Arc::clone(&other);
        let touched = fixture.reconfigure().await;
        assert_eq!(touched.changed.names[..2], ["recoverer", "scaler"]);
        assert!(touched.changed.names.contains(&"supervisor milvus-ha".to_owned()));
        other.runs(&["bug"]);
        // The supervisor breaks, and each of its next incarnations until the bug is gone.
        seconds(1).await;
        other.runs(&[]);
        let before = fixture.starts();
        seconds(60).await;
        let after = fixture.starts();
        assert_eq!(after["c0"].len(), before["c0"].len(), "it is not planned any more");
        assert!(after["c1"].len() > before["c1"].len() + 30);
        assert_eq!(fixture.mail.statuses(), [AlertStatus::Firing], "the incident goes on");
    });
}

#[test]
fn what_was_removed_while_no_supervisor_lived_is_forgotten_by_the_next_one() {
    in_virtual_time(async {
        let mut fixture = Fixture::start(2);
        fixture.make_sick("c1");
        seconds(30).await;
        fixture.machine.runs(&["bug"]);
        seconds(1).await;
        fixture.plans.fixed.remove("c1");
        let touched = fixture.reconfigure().await;
        assert_eq!(touched.changed.names, ["supervisor milvus-ha"]);
        fixture.machine.runs(&[]);
        seconds(60).await;
        assert_eq!(fixture.mail.statuses(), [AlertStatus::Firing, AlertStatus::Resolved]);
        assert_eq!(fixture.health("c1"), None);
        assert_eq!(fixture.health("c0").unwrap().state, HealthState::Healthy);
    });
}

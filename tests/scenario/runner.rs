//! Runs one seed from its beginning to its end, and many of them side by side.

use std::cell::RefCell;
use std::sync::Arc;
use std::time::Duration;

use actix::System;
use falconer::actors::leadership::LeadershipHandle;
use falconer::actors::root::Fatal;
use falconer::actors::status::StatusBoard;
use falconer::actors::tree::{ClusterParts, Tree, TreeParts};
use falconer::clock::Clock;
use falconer::effects::cluster::dry_run::DryRunCluster;
use falconer::effects::journal::MemoryJournal;
use falconer::effects::{Cluster, Notifier};
use falconer::metrics::Metrics;
use falconer::model::{ProberKind, Timestamp};
use tokio::sync::mpsc;
use tokio::time::sleep;

use crate::plan::{Ending, Plan};
use crate::reload::Parts;
use crate::stopped::resume;
use crate::world::death::Actor;
use crate::world::planner::WorldPlanner;
use crate::world::platform::WorldPlatform;
use crate::world::receiver::WorldNotifier;
use crate::world::{Counts, SharedWorld, Violation, World};

/// One step of the world.
const STEP: Duration = Duration::from_secs(1);
/// How often the status board is looked at.
const SHOWN_EVERY: Duration = Duration::from_secs(5);
/// How long nothing goes wrong at the end: longer than every back-off and verification.
const QUIET: Duration = Duration::from_mins(50);
/// How long falconer has to end.
const GRACE: Duration = Duration::from_secs(10);

/// What came of one seed.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// The seed.
    pub seed: u64,
    /// The virtual time that passed.
    pub elapsed: Duration,
    /// What happened in it.
    pub counts: Counts,
    /// A hash of all that happened.
    pub hash: u64,
    /// What falconer did not keep, and the virtual time since the start.
    pub violation: Option<(Duration, Violation)>,
}

thread_local! {
    /// Panics that the scenario did not cause.
    static UNPLANNED: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
}

/// Keeps planned panics quiet, and remembers the others.
pub fn watch_panics() {
    let usual = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        let words = info.payload_as_str().unwrap_or_default();
        if !words.starts_with("scenario:") {
            UNPLANNED.with_borrow_mut(|all| all.push(info.to_string()));
            usual(info);
        }
    }));
}

/// Runs one seed for this long, and what belongs to its end.
pub fn run(seed: u64, duration: Duration) -> Outcome {
    let outcome = Arc::new(std::sync::Mutex::new(None));
    let kept = Arc::clone(&outcome);
    let system = System::with_tokio_rt(|| {
        tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .start_paused(true)
            .build()
            .expect("a runtime")
    });
    UNPLANNED.with_borrow_mut(Vec::clear);
    // What production code draws (jitter) comes from here.
    fastrand::seed(seed);
    system.block_on(async move {
        let result = Box::pin(Run::start(seed, duration).until_its_end()).await;
        *kept.lock().expect("nobody panics here") = Some(result);
    });
    let mut outcome = outcome.lock().expect("nobody panics here");
    outcome.take().expect("the run has ended")
}

/// A run under way.
struct Run {
    plan: Arc<Plan>,
    world: World,
    tree: Tree,
    parts: Parts,
    board: StatusBoard,
    fatal: mpsc::UnboundedReceiver<Fatal>,
    started: Timestamp,
}

impl Run {
    fn start(seed: u64, duration: Duration) -> Self {
        let plan = Arc::new(Plan::of(seed, duration));
        let clock = Clock::starting_at(Timestamp::from_millis(1_767_225_600_000));
        let started = clock.now();
        let world = SharedWorld::new(Arc::clone(&plan), clock);
        let board = StatusBoard::default();
        let (fatal_sender, fatal) = mpsc::unbounded_channel();
        let receivers = plan.receivers.iter().enumerate().map(|(index, name)| {
            let (world, name) = (Arc::clone(&world), Arc::clone(name));
            Arc::new(WorldNotifier { world, index, name }) as Arc<dyn Notifier>
        });
        let parts = Parts {
            clusters: (0..plan.clusters.len()).map(|n| cluster(&plan, &world, n)).collect(),
            receivers: receivers.collect(),
            settings: plan.settings.clone(),
        };
        let tree = Tree::start(TreeParts {
            clusters: parts.clusters.clone(),
            receivers: parts.receivers.clone(),
            settings: parts.settings.clone(),
            leadership: LeadershipHandle::default(),
            keeper: falconer::actors::keeper::StateKeeper::default(),
            board: board.clone(),
            clock,
            metrics: Metrics::default(),
            journal: Arc::new(MemoryJournal::default()),
            fatal: fatal_sender,
        });
        Self { plan, world, tree, parts, board, fatal, started }
    }

    async fn until_its_end(mut self) -> Outcome {
        let troubled = self.live(self.plan.duration, true).await;
        if troubled {
            match self.plan.ending {
                Ending::Quiet => self.end_quietly().await,
                Ending::UnderFire => self.end_under_fire().await,
            }
        }
        let state = self.world.lock();
        let elapsed = state.trace.elapsed(state.now());
        let violation = state.violation.clone().map(|it| (it.at.since(self.started), it));
        Outcome {
            seed: self.plan.seed,
            elapsed,
            counts: state.counts,
            hash: state.trace.hash(),
            violation,
        }
    }

    /// Lets `duration` pass. False where a promise was broken.
    async fn live(&mut self, duration: Duration, troubled: bool) -> bool {
        let end = self.world.now() + duration;
        while self.world.now() < end {
            sleep(STEP).await;
            let reloads = troubled && self.world.lock().reloads_now();
            if reloads {
                self.parts.reload(&mut self.tree, &self.world).await;
            }
            resume(&self.tree, &self.world).await;
            let mut state = self.world.lock();
            self.board.read(|status| state.note_stopped(&status.recoverer));
            state.moods_pass();
            for cluster in 0..self.plan.clusters.len() {
                state.pass(cluster);
            }
            if troubled {
                state.trouble();
            }
            state.check_probed();
            state.check_done();
            // What has minutes of tolerance is looked at less often; each call is checked at once.
            if state.now().since(self.started).as_secs().is_multiple_of(SHOWN_EVERY.as_secs()) {
                state.check_told();
                self.board.read(|status| state.check_board(status));
            }
            while let Ok(fatal) = self.fatal.try_recv() {
                state.violate(format!("{} is beyond help: {}", fatal.actor, fatal.reason));
            }
            for panic in UNPLANNED.take() {
                state.violate(format!("an actor panicked by itself: {panic}"));
            }
            if state.violation.is_some() {
                return false;
            }
        }
        true
    }

    /// Nothing goes wrong any more: everything must be well, and then falconer ends.
    async fn end_quietly(&mut self) {
        self.world.lock().mend_everything();
        self.world.lock().settle_load();
        if !self.live(QUIET / 2, false).await {
            return;
        }
        self.world.lock().settle_load();
        if !self.live(QUIET / 2, false).await {
            return;
        }
        let status = self.board.snapshot();
        {
            let mut state = self.world.lock();
            state.check_quiet(&status);
            state.check_all_told();
        }
        let before = self.world.lock().counts.messages;
        self.drain().await;
        let mut state = self.world.lock();
        if state.counts.messages != before {
            state.violate("messages were sent although there was nothing to tell".to_owned());
        }
    }

    /// falconer is told to end while everything burns.
    async fn end_under_fire(&mut self) {
        self.drain().await;
        let status = self.board.snapshot();
        self.world.lock().check_drained(&status);
    }

    async fn drain(&mut self) {
        {
            let mut state = self.world.lock();
            let now = state.now();
            state.ending_since = Some(now);
            state.say("--- falconer ends");
        }
        self.tree.stop_probing();
        let (left, ()) = tokio::join!(self.tree.deliver(GRACE), self.tree.hand_back(GRACE));
        self.tree.release_platforms(GRACE).await;
        let mut state = self.world.lock();
        let ended = state.now();
        if state.ending_since.is_some_and(|since| ended.since(since) > GRACE + STEP) {
            state.violate("falconer did not end in time".to_owned());
        }
        if state.calm && left > 0 {
            state.violate(format!("{left} messages were left although nothing keeps them"));
        }
    }
}

fn cluster(plan: &Plan, world: &World, cluster: usize) -> ClusterParts {
    let platform = |caller: Option<Actor>| -> Arc<dyn Cluster> {
        let platform = WorldPlatform { world: Arc::clone(world), cluster, caller };
        if plan.dry_run && caller.is_some() {
            Arc::new(DryRunCluster::new(Arc::new(platform)))
        } else {
            Arc::new(platform)
        }
    };
    let planned = &plan.clusters[cluster];
    debug_assert!(planned.targets.iter().any(|target| target.kind == ProberKind::Milvus));
    ClusterParts {
        name: Arc::clone(&planned.name),
        depends_on: planned.depends_on.clone(),
        planner: Arc::new(WorldPlanner::new(world, cluster)),
        platform: platform(None),
        recoverer_platform: platform(Some(Actor::Recoverer)),
        scaler_platform: platform(Some(Actor::Scaler)),
        query_nodes: None,
    }
}

//! For the actors' tests: an actix system in virtual time, in which hours pass in milliseconds; a
//! recorder of messages; and a platform that records every call and answers as scripted.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::future::{Future, pending};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use actix::prelude::*;
use async_trait::async_trait;
use tokio::sync::watch;

use super::keeper::StateKeeper;
use super::leadership::LeadershipHandle;
use super::link::Link;
use super::platform::PlatformCircuits;
use super::post::{Command, CommandsArrived, Post};
use super::registry::{ActionRegistry, Surroundings};
use super::status::StatusBoard;
use crate::clock::Clock;
use crate::effects::journal::MemoryJournal;
use crate::effects::{
    ActionQuery, ActionTrace, Applied, Cluster, ClusterError, DeletePodRequest, EvidenceRequest,
    RemovalPreference, RestartRequest, RollbackRequest, ScaleRequest,
};
use crate::metrics::Metrics;
use crate::model::{
    ClusterEvent, Evidence, Inventory, Owner, RolloutStatus, Timestamp, Workload, WorkloadKind,
    WorkloadRef,
};

/// The name of the cluster that the tests are about.
pub const CLUSTER: &str = "milvus-ha";

/// Runs `test` in an actix system whose time stands still unless everybody sleeps.
pub fn in_virtual_time<F: Future<Output = ()>>(test: F) {
    let system = System::with_tokio_rt(|| {
        tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .start_paused(true)
            .build()
            .expect("a runtime")
    });
    system.block_on(test);
}

/// Keeps everything of one type that is sent its way.
pub struct Recorder<S, M> {
    source: S,
    seen: Seen<M>,
}

/// What was sent so far.
pub type Seen<M> = Arc<Mutex<Vec<M>>>;

/// A way to an actor, behind which a [`Recorder`] can be put.
pub trait Way {
    /// What is sent on it.
    type Sent: 'static;

    /// Puts a recorder behind it.
    fn record(&self, seen: Seen<Self::Sent>);
}

impl<M: Message<Result = ()> + Send + Unpin + 'static> Way for Link<M> {
    type Sent = M;

    fn record(&self, seen: Seen<M>) {
        self.publish(&Recorder { source: (), seen }.start());
    }
}

impl<C: Command + Unpin> Way for Post<C>
where
    C::Key: Unpin,
{
    type Sent = C;

    fn record(&self, seen: Seen<C>) {
        self.publish(&Recorder { source: self.clone(), seen }.start());
    }
}

impl Recorder<(), ()> {
    /// A recorder behind `way`, and what it has seen so far.
    pub fn behind<W: Way>(way: &W) -> Seen<W::Sent> {
        let seen = Seen::default();
        way.record(Arc::clone(&seen));
        seen
    }
}

impl<S: Unpin + 'static, M: Unpin + 'static> Actor for Recorder<S, M> {
    type Context = Context<Self>;
}

impl<M: Message<Result = ()> + Send + Unpin + 'static> Handler<M> for Recorder<(), M> {
    type Result = ();

    fn handle(&mut self, message: M, _: &mut Self::Context) {
        self.seen.lock().expect("no panics while recording").push(message);
    }
}

impl<C: Command + Unpin> Handler<CommandsArrived> for Recorder<Post<C>, C>
where
    C::Key: Unpin,
{
    type Result = ();

    fn handle(&mut self, _: CommandsArrived, _: &mut Self::Context) {
        while let Some(command) = self.source.next() {
            self.seen.lock().expect("no panics while recording").push(command);
        }
    }
}

/// How the platform answers one request.
#[derive(Debug)]
pub enum Answer {
    /// It does it.
    Apply,
    /// It only shows it.
    Show,
    /// It fails.
    Fail(ClusterError),
    /// It never answers.
    Hang,
    /// The adapter has a bug.
    Panic,
}

/// A platform in memory.
#[derive(Default)]
pub struct FakeCluster {
    state: Mutex<FakeState>,
    inventory: watch::Sender<Arc<Inventory>>,
}

/// What it was asked for, and what it will answer.
#[derive(Default)]
pub struct FakeState {
    /// Every restart that was asked for.
    pub restarts: Vec<RestartRequest>,
    /// Every removal of a pod that was asked for.
    pub deletions: Vec<DeletePodRequest>,
    /// Every rollback that was asked for.
    pub rollbacks: Vec<RollbackRequest>,
    /// Every scaling that was asked for.
    pub scalings: Vec<ScaleRequest>,
    /// Every preference for a removal that was asked for.
    pub preferences: Vec<RemovalPreference>,
    /// Every event that was written.
    pub events: Vec<ClusterEvent>,
    /// Answers to the next requests; afterwards it applies everything.
    pub answers: VecDeque<Answer>,
    /// Whether writing an event never ends.
    pub events_hang: bool,
    /// The rollout status by workload; complete where nothing is set.
    pub rollouts: BTreeMap<WorkloadRef, RolloutStatus>,
    /// The keys of the actions that had arrived, for who asks later.
    pub arrived: Vec<String>,
    /// Every question for what became of an action.
    pub lookups: Vec<ActionQuery>,
    /// Whether the platform does not say what became of an action.
    pub lookups_fail: bool,
    /// Every question for evidence.
    pub evidence_asked: Vec<EvidenceRequest>,
    /// The answer to who asks for evidence.
    pub evidence: Vec<Evidence>,
    /// Whether who asks for evidence gets no answer.
    pub evidence_hangs: bool,
    /// How many rollout questions were asked.
    pub questions: usize,
}

impl FakeCluster {
    /// A platform that applies everything.
    pub fn new() -> Arc<Self> {
        Arc::new(Self::default())
    }

    /// What it was asked for; also to change its answers.
    pub fn state(&self) -> MutexGuard<'_, FakeState> {
        self.state.lock().expect("no panics while locked")
    }

    /// Shows this inventory from now on.
    pub fn publish(&self, inventory: Inventory) {
        self.inventory.send_replace(Arc::new(inventory));
    }

    /// The reasons of all events so far.
    pub fn event_reasons(&self) -> Vec<&'static str> {
        self.state().events.iter().map(|event| event.reason).collect()
    }

    async fn answer(&self, change: String) -> Result<Applied, ClusterError> {
        let answer = self.state().answers.pop_front().unwrap_or(Answer::Apply);
        match answer {
            Answer::Apply => Ok(Applied { applied: true, change }),
            Answer::Show => Ok(Applied { applied: false, change }),
            Answer::Fail(error) => Err(error),
            Answer::Hang => pending().await,
            Answer::Panic => panic!("as scripted"),
        }
    }
}

#[async_trait]
impl Cluster for FakeCluster {
    fn inventory(&self) -> watch::Receiver<Arc<Inventory>> {
        self.inventory.subscribe()
    }

    async fn restart(&self, request: &RestartRequest) -> Result<Applied, ClusterError> {
        self.state().restarts.push(request.clone());
        self.answer(format!("PATCH {}", request.workload)).await
    }

    async fn delete_pod(&self, request: &DeletePodRequest) -> Result<Applied, ClusterError> {
        self.state().deletions.push(request.clone());
        self.answer(format!("evict {}", request.pod)).await
    }

    async fn rollback(&self, request: &RollbackRequest) -> Result<Applied, ClusterError> {
        self.state().rollbacks.push(request.clone());
        self.answer(format!("undo to {}", request.to_revision)).await
    }

    async fn find_action(&self, action: &ActionQuery) -> Result<ActionTrace, ClusterError> {
        let mut state = self.state();
        state.lookups.push(action.clone());
        if state.lookups_fail {
            let (operation, object) = ("find action on", action.workload.to_string());
            return Err(ClusterError::Timeout { operation, object, seconds: 10 });
        }
        let done = state.arrived.contains(&action.idempotency_key);
        Ok(if done { ActionTrace::Done } else { ActionTrace::NotDone })
    }

    async fn evidence(&self, request: &EvidenceRequest) -> Result<Vec<Evidence>, ClusterError> {
        let (evidence, hangs) = {
            let mut state = self.state();
            state.evidence_asked.push(request.clone());
            (state.evidence.clone(), state.evidence_hangs)
        };
        if hangs { pending().await } else { Ok(evidence) }
    }

    async fn rollout_status(&self, workload: &WorkloadRef) -> Result<RolloutStatus, ClusterError> {
        let mut state = self.state();
        state.questions += 1;
        Ok(state.rollouts.get(workload).cloned().unwrap_or(RolloutStatus::Complete))
    }

    async fn scale(&self, request: &ScaleRequest) -> Result<Applied, ClusterError> {
        self.state().scalings.push(request.clone());
        self.answer(format!("PATCH {}/scale to {}", request.workload, request.to)).await
    }

    async fn prefer_removal(&self, request: &RemovalPreference) -> Result<Applied, ClusterError> {
        self.state().preferences.push(request.clone());
        self.answer(format!("PATCH {}", request.pod)).await
    }

    async fn record_event(&self, event: &ClusterEvent) -> Result<(), ClusterError> {
        let hang = {
            let mut state = self.state();
            state.events.push(event.clone());
            state.events_hang
        };
        if hang { pending().await } else { Ok(()) }
    }

    async fn shutdown(&self, _: Duration) {}
}

/// A platform that applies everything, and what an actor needs beside it.
pub fn surroundings() -> (Arc<FakeCluster>, Surroundings) {
    let cluster = FakeCluster::new();
    let platform: Arc<dyn Cluster> = cluster.clone();
    let around = Surroundings {
        clusters: HashMap::from([(CLUSTER.into(), platform)]),
        registry: ActionRegistry::default(),
        circuits: PlatformCircuits::default(),
        leadership: LeadershipHandle::default(),
        keeper: StateKeeper::default(),
        silences: Arc::default(),
        board: StatusBoard::default(),
        clock: Clock::starting_at(Timestamp::from_millis(1_000_000_000_000)),
        metrics: Metrics::default(),
        journal: Arc::new(MemoryJournal::default()),
    };
    (cluster, around)
}

/// One of each kind of error.
pub fn every_cluster_error() -> [ClusterError; 6] {
    let object = || "deployment/milvus-proxy".to_owned();
    let message = || "because".to_owned();
    let operation = "patch";
    [
        ClusterError::Timeout { operation, object: object(), seconds: 5 },
        ClusterError::NotFound { operation, object: object() },
        ClusterError::Forbidden { operation, object: object(), message: message() },
        ClusterError::Conflict { operation, object: object(), message: message() },
        ClusterError::Unsupported { operation, object: object(), message: message() },
        ClusterError::Failed { operation, object: object(), message: message() },
    ]
}

/// The deployment of a component.
pub fn deployment(component: &str) -> WorkloadRef {
    WorkloadRef {
        kind: WorkloadKind::Deployment,
        namespace: "milvus-ha".into(),
        name: format!("milvus-{component}").into(),
    }
}

/// A deployment with all its replicas ready.
pub fn workload(component: &str, replicas: u32) -> Workload {
    Workload {
        reference: deployment(component),
        desired_replicas: replicas,
        ready_replicas: replicas,
        paused: false,
        rolling_out: false,
        owner: Owner::None,
        autoscaler: None,
        gitops: None,
        holds: Vec::new(),
        revision: None,
    }
}

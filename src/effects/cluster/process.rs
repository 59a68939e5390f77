//! The processes of one machine as a platform: Milvus without Kubernetes. Starts and owns the
//! processes that have a start command, and runs the restart command of the others.
//!
//! ```text
//! ProcessCluster ── Shared (settings, stage) ── one Keeper task per owned process
//! ```

mod command;
mod group;
mod keeper;
mod log_file;
mod pid_file;
mod settings;
mod shared;
mod spawn;
mod stage;
mod stop;
mod usage;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures::future::BoxFuture;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;

use self::keeper::{Command, Keeper};
use self::pid_file::PidFile;
use self::shared::Shared;
use self::stage::Stage;
use super::ClusterError;
use crate::clock::Clock;
use crate::effects::background::keep_alive;
use crate::effects::{
    ActionQuery, ActionTrace, Applied, Cluster, DeletePodRequest, EvidenceRequest, RestartRequest,
    RollbackRequest, ScaleRequest,
};
use crate::model::{
    ClusterEvent, EventType, Evidence, EvidenceSource, Inventory, RolloutStatus, Timestamp,
    WorkloadRef,
};

pub use settings::{OnExit, ProcessClusterSettings, ProcessSettings};
pub use usage::{ProcessResourcesProbe, ProcessUsage};

/// A keeper is told one thing at a time.
const MAILBOX: usize = 4;
/// How much longer than its own grace a shutdown may take: for SIGKILL to be carried out.
const SHUTDOWN_SLACK: Duration = Duration::from_secs(6);

struct Owned {
    commands: mpsc::Sender<Command>,
    task: tokio::sync::Mutex<Option<JoinHandle<()>>>,
}

impl Owned {
    fn keeping(shared: &Arc<Shared>, shutdown: watch::Receiver<Option<Duration>>) -> Self {
        let (commands, mailbox) = mpsc::channel(MAILBOX);
        let task = keep_alive(
            format!("{}: keeper of {}", shared.cluster, shared.settings.name),
            keepers(Arc::clone(shared), mailbox, shutdown),
            restart_abandoned(Arc::clone(shared)),
        );
        Self { commands, task: tokio::sync::Mutex::new(Some(tokio::spawn(task))) }
    }
}

struct Process {
    shared: Arc<Shared>,
    /// `None` where only a restart command is known, and where nothing but a look is wanted.
    owned: Option<Owned>,
}

/// All processes of one cluster. Dropped without a shutdown it leaves them running.
pub struct ProcessCluster {
    processes: Vec<Process>,
    inventory: watch::Receiver<Arc<Inventory>>,
    shutdown: watch::Sender<Option<Duration>>,
}

impl ProcessCluster {
    /// Takes the processes over: adopts those that still run from an earlier falconer, starts the
    /// others. Returns at once; what comes of it shows in the inventory. Needs a tokio runtime.
    pub fn start(settings: ProcessClusterSettings, clock: Clock) -> Arc<Self> {
        Self::build(settings, clock, |shared, shutdown| {
            shared.settings.start.is_some().then(|| Owned::keeping(shared, shutdown))
        })
    }

    /// Only looks, once: which processes a falconer keeps running is read from its notes, and
    /// nothing is started, stopped, adopted or locked.
    pub fn observe(settings: ProcessClusterSettings, clock: Clock) -> Arc<Self> {
        Self::build(settings, clock, |shared, _| {
            shared.enter(PidFile::peek(&shared.settings.log_file).map_or(
                Stage::Unwatched,
                |identity| Stage::Running {
                    group: identity.pid,
                    started_at: Timestamp::from_millis(identity.started_at_millis),
                },
            ));
            None
        })
    }

    fn build(
        settings: ProcessClusterSettings,
        clock: Clock,
        own: impl Fn(&Arc<Shared>, watch::Receiver<Option<Duration>>) -> Option<Owned>,
    ) -> Arc<Self> {
        let empty = Inventory { synced: true, ..Inventory::default() };
        let (inventory_in, inventory) = watch::channel(Arc::new(empty));
        let inventory_in = Arc::new(inventory_in);
        let (shutdown, shutdown_asked) = watch::channel(None);
        let processes = settings
            .processes
            .into_iter()
            .map(|process| {
                let cluster = Arc::clone(&settings.cluster);
                let shared = Shared::new(process, cluster, clock, Arc::clone(&inventory_in));
                let owned = own(&shared, shutdown_asked.clone());
                Process { shared, owned }
            })
            .collect();
        Arc::new(Self { processes, inventory, shutdown })
    }

    /// The process groups that run now, by the component's name.
    fn groups(&self) -> Vec<(Arc<str>, i32)> {
        let group = |process: &Process| {
            let group = process.shared.look().stage.group()?;
            Some((Arc::clone(&process.shared.settings.name), group))
        };
        self.processes.iter().filter_map(group).collect()
    }

    /// Whether there is a process of which more than its restart command is known.
    fn knows_any(&self) -> bool {
        let known = |process: &Process| {
            process.owned.is_some() || process.shared.look().stage.group().is_some()
        };
        self.processes.iter().any(known)
    }

    fn find(&self, operation: &'static str, of: &WorkloadRef) -> Result<&Process, ClusterError> {
        self.processes
            .iter()
            .find(|process| process.shared.settings.name == of.name)
            .ok_or_else(|| ClusterError::NotFound { operation, object: of.to_string() })
    }
}

#[async_trait]
impl Cluster for ProcessCluster {
    fn inventory(&self) -> watch::Receiver<Arc<Inventory>> {
        self.inventory.clone()
    }

    async fn restart(&self, request: &RestartRequest) -> Result<Applied, ClusterError> {
        let process = self.find("restart", &request.workload)?;
        let applied = Applied { applied: true, change: describe(process) };
        if !accept(process, request)? {
            return Ok(applied);
        }
        let object = request.workload.to_string();
        let (begun, outcome) = oneshot::channel();
        match &process.owned {
            Some(owned) => {
                let key = request.idempotency_key.clone();
                // A keeper that is gone drops `begun`, which the wait below tells.
                let _ = owned.commands.send(Command::Restart { key, begun }).await;
                let message = match outcome.await {
                    Ok(Ok(())) => return Ok(applied),
                    Ok(Err(message)) => message,
                    Err(_) => "falconer is ending".to_owned(),
                };
                Err(ClusterError::Failed { operation: "restart", object, message })
            }
            None if process.shared.settings.start.is_some() => {
                let message = "this falconer only looks".to_owned();
                Err(ClusterError::Unsupported { operation: "restart", object, message })
            }
            None => run_command(process, request).await.map(|()| applied),
        }
    }

    async fn delete_pod(&self, request: &DeletePodRequest) -> Result<Applied, ClusterError> {
        Err(no_such_thing("delete pod", request.workload.to_string(), "a process has no pods"))
    }

    async fn rollback(&self, request: &RollbackRequest) -> Result<Applied, ClusterError> {
        Err(no_such_thing("roll back", request.workload.to_string(), "a process has no revisions"))
    }

    async fn find_action(&self, action: &ActionQuery) -> Result<ActionTrace, ClusterError> {
        let process = self.find("find action on", &action.workload)?;
        let knows = process.shared.look().knows(&action.idempotency_key);
        Ok(if knows { ActionTrace::Done } else { ActionTrace::NotDone })
    }

    async fn evidence(&self, request: &EvidenceRequest) -> Result<Vec<Evidence>, ClusterError> {
        let process = self.find("evidence of", &request.workload)?;
        let settings = &process.shared.settings;
        if settings.start.is_none() {
            // Somebody else runs it and keeps its output.
            return Ok(Vec::new());
        }
        let (log, lines, bytes) =
            (process.shared.log.clone(), request.log_lines, request.log_bytes);
        let read = tokio::task::spawn_blocking(move || log.end(lines, bytes)).await;
        let text = match read {
            Ok(Ok(text)) => text,
            Ok(Err(error)) => format!("no log: {error}"),
            Err(error) => format!("no log: {error}"),
        };
        let object = settings.log_file.display().to_string().into();
        Ok(vec![Evidence { source: EvidenceSource::Log, object, text }])
    }

    async fn rollout_status(&self, workload: &WorkloadRef) -> Result<RolloutStatus, ClusterError> {
        Ok(self.find("rollout status", workload)?.shared.look().rollout())
    }

    async fn scale(&self, request: &ScaleRequest) -> Result<Applied, ClusterError> {
        Err(scale_refused(request))
    }

    /// e.g. `SIGTERM process group of milvus (pid 123), then start: milvus-server --data ./data`.
    fn describe_restart(&self, request: &RestartRequest) -> String {
        match self.find("restart", &request.workload) {
            Ok(process) => describe(process),
            Err(error) => error.to_string(),
        }
    }

    async fn plan_scale(&self, request: &ScaleRequest) -> Result<String, ClusterError> {
        Err(scale_refused(request))
    }

    async fn record_event(&self, event: &ClusterEvent) -> Result<(), ClusterError> {
        let (workload, reason, message) = (&event.workload, event.reason, &event.message);
        match event.event_type {
            EventType::Normal => tracing::info!(%workload, reason, message, "workload event"),
            EventType::Warning => tracing::warn!(%workload, reason, message, "workload event"),
        }
        Ok(())
    }

    async fn shutdown(&self, grace: Duration) {
        self.shutdown.send_replace(Some(grace));
        let deadline = tokio::time::Instant::now() + grace + SHUTDOWN_SLACK;
        for owned in self.processes.iter().filter_map(|process| process.owned.as_ref()) {
            if let Some(task) = owned.task.lock().await.take() {
                let _ = tokio::time::timeout_at(deadline, task).await;
            }
        }
    }
}

/// Makes the keeper of a process, and successors of one that panicked: those adopt what still runs.
fn keepers(
    shared: Arc<Shared>,
    mailbox: mpsc::Receiver<Command>,
    shutdown: watch::Receiver<Option<Duration>>,
) -> impl FnMut() -> BoxFuture<'static, ()> {
    let mailbox = Arc::new(tokio::sync::Mutex::new(mailbox));
    let mut is_successor = false;
    move || {
        let (shared, shutdown) = (Arc::clone(&shared), shutdown.clone());
        let mailbox = Arc::clone(&mailbox);
        let may_start = !std::mem::replace(&mut is_successor, true);
        Box::pin(async move {
            let commands = mailbox.lock_owned().await;
            Keeper::new(shared, commands, shutdown).run(may_start).await;
        })
    }
}

/// A restart that was under way when its keeper panicked is over, one way or the other.
fn restart_abandoned(shared: Arc<Shared>) -> impl FnMut(&str) {
    move |_| shared.change(|view| view.restarting = false)
}

/// Accepts a restart, or says that it was done before (`false`).
///
/// # Errors
/// When it cannot be done now.
fn accept(process: &Process, request: &RestartRequest) -> Result<bool, ClusterError> {
    let settings = &process.shared.settings;
    let object = request.workload.to_string();
    let Some(command) = settings.start.as_ref().or(settings.restart.as_ref()) else {
        let message = "neither a start nor a restart command is configured".to_owned();
        return Err(ClusterError::Unsupported { operation: "restart", object, message });
    };
    if let Err(message) = process.shared.find_program(command.first().map_or("", String::as_str)) {
        return Err(ClusterError::Failed { operation: "restart", object, message });
    }
    let key = &request.idempotency_key;
    process.shared.change(|view| {
        if view.knows(key) {
            return Ok(false);
        }
        if view.restarting {
            let message = "another restart is under way".to_owned();
            return Err(ClusterError::Conflict { operation: "restart", object, message });
        }
        view.remember(key);
        view.restarting = true;
        Ok(true)
    })
}

/// Runs the restart command in a task of its own: it goes on where the caller gives up.
async fn run_command(process: &Process, request: &RestartRequest) -> Result<(), ClusterError> {
    let shared = Arc::clone(&process.shared);
    let key = request.idempotency_key.clone();
    let ran = tokio::spawn(async move {
        shared.enter(Stage::Commanded);
        let command = shared.settings.restart.clone().unwrap_or_default();
        let result = command::run(&shared, &command).await;
        shared.change(|view| {
            view.restarting = false;
            view.stage = match &result {
                Ok(()) => Stage::Unwatched,
                Err(error) => {
                    view.forget(&key);
                    Stage::CommandFailed { message: error.to_string() }
                }
            };
        });
        result
    });
    ran.await.unwrap_or_else(|error| {
        process.shared.change(|view| view.restarting = false);
        let object = request.workload.to_string();
        Err(ClusterError::Failed { operation: "restart", object, message: error.to_string() })
    })
}

fn describe(process: &Process) -> String {
    let settings = &process.shared.settings;
    match (&settings.start, &settings.restart) {
        (Some(start), _) => match process.shared.look().stage.group() {
            Some(group) => format!(
                "SIGTERM process group of {} (pid {group}), then start: {}",
                settings.name,
                start.join(" ")
            ),
            None => format!("start: {}", start.join(" ")),
        },
        (None, Some(restart)) => format!("run: {}", restart.join(" ")),
        (None, None) => "nothing: no start and no restart command is configured".to_owned(),
    }
}

fn no_such_thing(operation: &'static str, object: String, why: &str) -> ClusterError {
    ClusterError::Unsupported { operation, object, message: why.to_owned() }
}

fn scale_refused(request: &ScaleRequest) -> ClusterError {
    ClusterError::Unsupported {
        operation: "scale",
        object: request.workload.to_string(),
        message: "a process has one replica".to_owned(),
    }
}

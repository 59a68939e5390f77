//! Where one process stands, and what that looks like in the platform's terms. Pure: no process is
//! touched here.

use std::collections::VecDeque;
use std::path::Path;
use std::sync::Arc;

use crate::model::{
    ComponentInventory, Owner, Pod, PodCondition, PodLife, Resources, Role, RolloutStatus,
    Timestamp, Workload, WorkloadKind, WorkloadRef,
};

/// How many idempotency keys are remembered for each process.
const REMEMBERED_KEYS: usize = 64;

/// Where a process stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Stage {
    /// Nothing has been done yet.
    Beginning,
    /// It is somebody else's, or its pid file cannot be used.
    Blocked {
        /// Why.
        message: String,
    },
    /// It has been started, and has yet to show that it stays.
    Starting {
        /// Its process group.
        group: i32,
        /// When it was started.
        started_at: Timestamp,
    },
    /// It runs.
    Running {
        /// Its process group.
        group: i32,
        /// When it was started.
        started_at: Timestamp,
    },
    /// It is being stopped.
    Stopping {
        /// Its process group.
        group: i32,
        /// How far the stop has come, e.g. `SIGTERM sent`.
        step: &'static str,
    },
    /// It does not run.
    Ended {
        /// How it ended, or why it could not be started.
        message: String,
    },
    /// Somebody else runs it: only the restart command is known.
    Unwatched,
    /// The restart command runs.
    Commanded,
    /// The restart command failed.
    CommandFailed {
        /// How.
        message: String,
    },
}

impl Stage {
    /// The process group, where there is one.
    pub(super) fn group(&self) -> Option<i32> {
        match self {
            Self::Starting { group, .. }
            | Self::Running { group, .. }
            | Self::Stopping { group, .. } => Some(*group),
            Self::Beginning
            | Self::Blocked { .. }
            | Self::Ended { .. }
            | Self::Unwatched
            | Self::Commanded
            | Self::CommandFailed { .. } => None,
        }
    }

    fn started_at(&self) -> Option<Timestamp> {
        match self {
            Self::Starting { started_at, .. } | Self::Running { started_at, .. } => {
                Some(*started_at)
            }
            Self::Beginning
            | Self::Blocked { .. }
            | Self::Stopping { .. }
            | Self::Ended { .. }
            | Self::Unwatched
            | Self::Commanded
            | Self::CommandFailed { .. } => None,
        }
    }

    fn condition(&self) -> PodCondition {
        match self {
            Self::Beginning => PodCondition::Pending { message: "not started yet".to_owned() },
            Self::Starting { .. } => PodCondition::Pending { message: "just started".to_owned() },
            // Nobody looks at a process that somebody else runs: its health probe tells.
            Self::Running { .. }
            | Self::Unwatched
            | Self::Commanded
            | Self::CommandFailed { .. } => PodCondition::Ready,
            Self::Stopping { .. } => PodCondition::Terminating,
            Self::Blocked { message } | Self::Ended { message } => {
                PodCondition::Ended { message: message.clone() }
            }
        }
    }
}

/// Everything known of one process, shared between its keeper and the cluster.
#[derive(Debug)]
pub(super) struct View {
    /// Where it stands.
    pub stage: Stage,
    /// Whether a restart has been accepted and is not finished.
    pub restarting: bool,
    keys: VecDeque<String>,
}

impl View {
    /// Nothing has happened yet.
    pub(super) fn new(stage: Stage) -> Self {
        Self { stage, restarting: false, keys: VecDeque::new() }
    }

    /// Whether this key has been accepted before.
    pub(super) fn knows(&self, key: &str) -> bool {
        self.keys.iter().any(|known| known == key)
    }

    /// Accepts this key.
    pub(super) fn remember(&mut self, key: &str) {
        if self.keys.len() == REMEMBERED_KEYS {
            self.keys.pop_front();
        }
        self.keys.push_back(key.to_owned());
    }

    /// Takes the acceptance back: nothing was done.
    pub(super) fn forget(&mut self, key: &str) {
        self.keys.retain(|known| known != key);
    }

    /// How far the newest restart has come.
    pub(super) fn rollout(&self) -> RolloutStatus {
        let in_progress = |message: &str| RolloutStatus::InProgress { message: message.to_owned() };
        match &self.stage {
            Stage::Beginning => in_progress("not started yet"),
            Stage::Starting { .. } => in_progress("the new process has just been started"),
            Stage::Stopping { step, .. } => in_progress(&format!("stopping: {step}")),
            Stage::Commanded => in_progress("the restart command runs"),
            Stage::Running { .. } | Stage::Ended { .. } if self.restarting => {
                in_progress("the restart has been accepted")
            }
            Stage::Running { .. } | Stage::Unwatched => RolloutStatus::Complete,
            Stage::Blocked { message }
            | Stage::Ended { message }
            | Stage::CommandFailed { message } => {
                RolloutStatus::Failed { message: message.clone() }
            }
        }
    }

    /// The component as the inventory shows it: one workload with one pod. `log_file`: where its
    /// output goes.
    pub(super) fn component(&self, name: &Arc<str>, log_file: Option<&Path>) -> ComponentInventory {
        let reference = WorkloadRef {
            kind: WorkloadKind::Process,
            namespace: Arc::from(""),
            name: Arc::clone(name),
        };
        let condition = self.stage.condition();
        let ready = condition == PodCondition::Ready;
        ComponentInventory {
            role: Role::parse(name),
            workloads: vec![Workload {
                reference: reference.clone(),
                desired_replicas: 1,
                ready_replicas: u32::from(ready),
                paused: false,
                rolling_out: matches!(self.rollout(), RolloutStatus::InProgress { .. }),
                owner: Owner::None,
                autoscaler: None,
                gitops: None,
                holds: Vec::new(),
                revision: None,
            }],
            pods: vec![Pod {
                name: Arc::clone(name),
                ip: None,
                condition,
                requests: Resources::default(),
                limits: Resources::default(),
                started_at: self.stage.started_at(),
                workload: Some(reference),
                life: PodLife {
                    log_file: log_file.map(|path| path.display().to_string().into()),
                    ..PodLife::default()
                },
            }],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_running_process_is_one_ready_pod_and_an_ended_one_tells_why() {
        let name: Arc<str> = Arc::from("standalone");
        let at = Timestamp::from_millis(5);
        let running = View::new(Stage::Running { group: 7, started_at: at })
            .component(&name, Some(Path::new("standalone.log")));
        assert_eq!(running.role, Some(Role::Standalone));
        assert_eq!(running.workloads[0].ready_replicas, 1);
        assert!(!running.workloads[0].rolling_out);
        assert_eq!(running.pods[0].condition, PodCondition::Ready);
        assert_eq!(running.pods[0].life.log_file.as_deref(), Some("standalone.log"));
        assert_eq!(running.pods[0].started_at, Some(at));

        let message = "exited with status 1".to_owned();
        let ended = View::new(Stage::Ended { message: message.clone() });
        let component = ended.component(&Arc::from("my-milvus"), None);
        assert_eq!(component.role, None);
        assert_eq!(component.workloads[0].ready_replicas, 0);
        assert_eq!(component.pods[0].condition, PodCondition::Ended { message: message.clone() });
        assert_eq!(ended.rollout(), RolloutStatus::Failed { message });
    }

    #[test]
    fn an_accepted_restart_is_in_progress_before_anything_has_happened() {
        let mut view = View::new(Stage::Running { group: 7, started_at: Timestamp::default() });
        assert_eq!(view.rollout(), RolloutStatus::Complete);
        view.restarting = true;
        assert!(matches!(view.rollout(), RolloutStatus::InProgress { .. }));
        assert!(view.component(&Arc::from("standalone"), None).workloads[0].rolling_out);
    }

    #[test]
    fn remembered_keys_are_bounded() {
        let mut view = View::new(Stage::Beginning);
        for number in 0..1000 {
            view.remember(&number.to_string());
        }
        assert_eq!(view.keys.len(), REMEMBERED_KEYS);
        assert!(view.knows("999") && !view.knows("0"));
        view.forget("999");
        assert!(!view.knows("999"));
    }
}

//! Owns one process from its start (or adoption) to its end: watches it, rotates its log, stops and
//! starts it when told to. Never starts it again by itself: whether an ended process is started
//! again is decided elsewhere, with thresholds and budgets. Only a restart whose new process dies at
//! once is tried a few times before it has failed: nothing runs then that could be harmed.

mod takeover;

use std::process::ExitStatus;
use std::sync::Arc;
use std::time::Duration;

use tokio::process::Child;
use tokio::sync::{OwnedMutexGuard, mpsc, oneshot, watch};
use tokio::time::Instant;

use super::group;
use super::pid_file::PidFile;
use super::settings::OnExit;
use super::shared::Shared;
use super::spawn::describe_exit;
use super::stage::Stage;
use super::stop::{Stopper, wait_until_gone};
use crate::model::Timestamp;

/// How often the process and its log are looked at.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// How long is waited for the rest of a group whose leader has just ended.
const LEADER_GRACE: Duration = Duration::from_millis(200);

/// How often a restart whose new process dies at once is started again.
const STARTS_AGAIN: u32 = 2;
/// How long is waited before it is; twice as long before the second time.
const START_PAUSE: Duration = Duration::from_secs(1);

/// What a keeper can be told.
pub(super) enum Command {
    /// Stop the process, where it runs, and start it. Answered once the old one is being stopped,
    /// or with the outcome of the start where there is none to stop.
    Restart {
        /// The acceptance's key.
        key: String,
        /// Whether it was begun.
        begun: oneshot::Sender<Result<(), String>>,
    },
}

/// The group that is kept.
struct Kept {
    group: i32,
    /// `None` for an adopted process.
    leader: Option<Child>,
    status: Option<ExitStatus>,
    started_at: Timestamp,
    settled_at: Instant,
    /// Where its output begins in the log.
    log_from: u64,
}

enum Event {
    Command(Command),
    LeaderEnded(Option<ExitStatus>),
    LookDue,
    ShutdownAsked,
    Abandoned,
}

/// The task's state.
pub(super) struct Keeper {
    shared: Arc<Shared>,
    /// Held for life, and given back to a successor even by a panic.
    commands: OwnedMutexGuard<mpsc::Receiver<Command>>,
    shutdown: watch::Receiver<Option<Duration>>,
    pid_file: Option<PidFile>,
    kept: Option<Kept>,
    /// How often the present restart was started again, and when it is to be once more.
    starts_again: u32,
    start_again_at: Option<Instant>,
    log_trouble: bool,
}

impl Keeper {
    /// A keeper that has done nothing yet. `shutdown` turns to a grace when falconer ends.
    pub(super) fn new(
        shared: Arc<Shared>,
        commands: OwnedMutexGuard<mpsc::Receiver<Command>>,
        shutdown: watch::Receiver<Option<Duration>>,
    ) -> Self {
        Self {
            shared,
            commands,
            shutdown,
            pid_file: None,
            kept: None,
            starts_again: 0,
            start_again_at: None,
            log_trouble: false,
        }
    }

    /// Keeps the process until falconer ends. A keeper that may not start it at once only adopts
    /// what runs.
    pub(super) async fn run(mut self, may_start: bool) {
        self.take_over(may_start);
        loop {
            match self.next_event().await {
                Event::Command(Command::Restart { key, begun }) => self.restart(key, begun).await,
                Event::LeaderEnded(status) => self.on_leader_ended(status).await,
                Event::LookDue => self.look().await,
                Event::ShutdownAsked => return self.finish().await,
                Event::Abandoned => return,
            }
        }
    }

    async fn next_event(&mut self) -> Event {
        let leader_ended = async {
            match self.kept.as_mut().and_then(|kept| kept.leader.as_mut()) {
                Some(leader) => leader.wait().await.ok(),
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            changed = self.shutdown.changed() => match changed {
                Ok(()) => Event::ShutdownAsked,
                Err(_) => Event::Abandoned,
            },
            status = leader_ended => Event::LeaderEnded(status),
            command = self.commands.recv() => command.map_or(Event::Abandoned, Event::Command),
            () = tokio::time::sleep(LOOK_EVERY) => Event::LookDue,
        }
    }

    async fn restart(&mut self, key: String, begun: oneshot::Sender<Result<(), String>>) {
        self.starts_again = 0;
        self.start_again_at = None;
        if self.pid_file.is_none() {
            self.take_over(true);
            if self.kept.as_ref().is_some_and(|kept| kept.leader.is_some()) {
                return drop(begun.send(Ok(())));
            }
        }
        if self.pid_file.is_none() {
            return self.refuse(&key, begun, "another falconer owns the process".to_owned());
        }
        if self.kept.is_none() {
            return match self.start() {
                Ok(()) => drop(begun.send(Ok(()))),
                Err(message) => {
                    self.shared.enter(Stage::Ended { message: message.clone() });
                    self.refuse(&key, begun, message);
                }
            };
        }
        drop(begun.send(Ok(())));
        if !self.stop().await {
            return;
        }
        // A shutdown that came meanwhile is the next event. A process that is to outlive falconer is
        // started for its successor all the same.
        let ending = self.shutdown.has_changed().unwrap_or(true)
            && self.shared.settings.on_exit == OnExit::Stop;
        let started = if ending { Err("falconer is ending".to_owned()) } else { self.start() };
        if let Err(message) = started {
            self.shared.change(|view| {
                view.stage = Stage::Ended { message };
                view.restarting = false;
            });
        }
    }

    fn refuse(&self, key: &str, begun: oneshot::Sender<Result<(), String>>, message: String) {
        self.shared.change(|view| {
            view.forget(key);
            view.restarting = false;
        });
        drop(begun.send(Err(message)));
    }

    /// Stops the kept group; false where it outlives even SIGKILL, and so is still kept.
    async fn stop(&mut self) -> bool {
        let Some(kept) = self.kept.as_mut() else { return true };
        let mut shutdown = self.shutdown.clone();
        let stopper = Stopper { shared: &self.shared, group: kept.group };
        let gone = stopper.stop(kept.leader.as_mut(), &mut shutdown).await;
        if gone {
            self.kept = None;
            if let Some(pid_file) = self.pid_file.as_mut() {
                pid_file.clear();
            }
            self.shared.enter(Stage::Ended { message: "stopped by falconer".to_owned() });
        } else {
            let stage = Stage::Running { group: kept.group, started_at: kept.started_at };
            self.shared.change(|view| {
                view.stage = stage;
                view.restarting = false;
            });
        }
        gone
    }

    async fn on_leader_ended(&mut self, status: Option<ExitStatus>) {
        let Some(kept) = self.kept.as_mut() else { return };
        kept.leader = None;
        kept.status = status;
        if wait_until_gone(kept.group, LEADER_GRACE).await {
            return self.on_group_ended();
        }
        tracing::warn!(
            cluster = %self.shared.cluster, process = %self.shared.settings.name,
            status = describe_exit(status, None), "process has ended but its group goes on"
        );
    }

    fn on_group_ended(&mut self) {
        let Some(kept) = self.kept.take() else { return };
        if let Some(pid_file) = self.pid_file.as_mut() {
            pid_file.clear();
        }
        let message = describe_exit(kept.status, self.shared.log.last_line(kept.log_from));
        tracing::warn!(
            cluster = %self.shared.cluster, process = %self.shared.settings.name, pid = kept.group,
            reason = message, "process ended"
        );
        if self.shared.look().restarting && self.starts_again < STARTS_AGAIN {
            self.starts_again += 1;
            let pause = START_PAUSE * self.starts_again;
            self.start_again_at = Some(self.shared.clock.monotonic() + pause);
            return self.shared.enter(Stage::Ended { message });
        }
        self.shared.change(|view| {
            view.stage = Stage::Ended { message };
            view.restarting = false;
        });
    }

    async fn look(&mut self) {
        if self.pid_file.is_none() {
            self.take_over(true);
        }
        self.rotate_log().await;
        self.start_again_if_due();
        let Some(kept) = self.kept.as_ref() else { return };
        if kept.leader.is_none() && !group::is_alive(kept.group) {
            return self.on_group_ended();
        }
        let (group, started_at) = (kept.group, kept.started_at);
        if self.shared.clock.monotonic() >= kept.settled_at {
            self.shared.change(|view| {
                view.stage = Stage::Running { group, started_at };
                view.restarting = false;
            });
        }
    }

    fn start_again_if_due(&mut self) {
        let now = self.shared.clock.monotonic();
        if self.kept.is_some() || self.start_again_at.is_none_or(|at| now < at) {
            return;
        }
        self.start_again_at = None;
        if let Err(message) = self.start() {
            self.shared.change(|view| {
                view.stage = Stage::Ended { message };
                view.restarting = false;
            });
        }
    }

    async fn rotate_log(&mut self) {
        let log = self.shared.log.clone();
        let rotated = tokio::task::spawn_blocking(move || log.rotate_if_needed()).await;
        match rotated {
            Ok(Ok(_)) => self.log_trouble = false,
            Ok(Err(error)) if !self.log_trouble => {
                self.log_trouble = true;
                tracing::warn!(
                    process = %self.shared.settings.name, %error, "log could not be rotated"
                );
            }
            Ok(Err(_)) | Err(_) => {}
        }
    }

    /// falconer ends.
    async fn finish(&mut self) {
        match self.shared.settings.on_exit {
            OnExit::Stop => {
                self.stop().await;
            }
            OnExit::Leave => {
                if let Some(kept) = &self.kept {
                    tracing::info!(
                        process = %self.shared.settings.name, pid = kept.group,
                        "process is left running"
                    );
                }
            }
        }
    }
}

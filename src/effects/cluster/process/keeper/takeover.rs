//! How a keeper comes by its process: it locks the pid file, adopts what still runs, or starts it.

use std::sync::Arc;
use std::time::Duration;

use super::{Keeper, Kept};
use crate::effects::cluster::process::group;
use crate::effects::cluster::process::pid_file::{Identity, PidFile};
use crate::effects::cluster::process::spawn::{MARKER, group_of, spawn};
use crate::effects::cluster::process::stage::Stage;
use crate::model::Timestamp;

/// How long a new process must stay before it counts as started.
const SETTLE: Duration = Duration::from_secs(1);

/// What is said of a process that ended while nobody kept it.
const LOST: &str = "it ended while its keeper was made anew";

impl Keeper {
    /// Locks the pid file, then adopts the process that still runs, or starts one where it may.
    pub(super) fn take_over(&mut self, may_start: bool) {
        let path = PidFile::path_beside(&self.shared.settings.log_file);
        let locked = self
            .shared
            .log
            .open()
            .map_err(|error| error.to_string())
            .and_then(|_| PidFile::lock(&path).map_err(|error| error.to_string()));
        match locked {
            Ok(pid_file) => {
                self.pid_file = Some(pid_file);
                if self.adopt() {
                    return;
                }
                let started = if may_start { self.start() } else { Err(LOST.to_owned()) };
                if let Err(message) = started {
                    self.shared.enter(Stage::Ended { message });
                }
            }
            Err(message) => {
                if !matches!(self.shared.look().stage, Stage::Blocked { .. }) {
                    tracing::error!(
                        cluster = %self.shared.cluster, process = %self.shared.settings.name,
                        reason = message, "process cannot be owned"
                    );
                }
                self.shared.enter(Stage::Blocked { message });
            }
        }
    }

    /// Takes the process over that an earlier falconer has left running: two of them on one data
    /// folder would destroy it.
    fn adopt(&mut self) -> bool {
        let Some(pid_file) = self.pid_file.as_mut() else { return false };
        let recorded = pid_file.read().filter(Identity::is_running);
        let group = recorded.as_ref().map(|identity| identity.pid).or_else(|| {
            // The leader alone is gone, or falconer ended between a start and its note.
            group::find_marked(MARKER, &self.marker())
        });
        let Some(group) = group else { return false };
        let now = self.shared.clock.now();
        let started_at =
            recorded.map_or(now, |identity| Timestamp::from_millis(identity.started_at_millis));
        tracing::info!(
            cluster = %self.shared.cluster, process = %self.shared.settings.name, pid = group,
            "process adopted"
        );
        self.kept = Some(Kept {
            group,
            leader: None,
            status: None,
            started_at,
            settled_at: self.shared.clock.monotonic(),
            log_from: self.shared.log.size(),
        });
        self.shared.change(|view| {
            view.stage = Stage::Running { group, started_at };
            view.restarting = false;
        });
        true
    }

    /// Starts a new process; the caller has made sure that there is none.
    pub(super) fn start(&mut self) -> Result<(), String> {
        let shared = Arc::clone(&self.shared);
        let log_from = shared.log.size();
        let command = shared.settings.start.as_deref().unwrap_or_default();
        let started = spawn(&shared, command, Some(&self.marker())).and_then(|leader| {
            let group = group_of(&leader).ok_or("it ended before it had a number")?;
            Ok((group, leader))
        });
        let (group, leader) = started.map_err(|error| {
            let message = format!("could not be started: {error}");
            tracing::error!(
                cluster = %shared.cluster, process = %shared.settings.name, reason = message,
                "process could not be started"
            );
            message
        })?;
        let started_at = shared.clock.now();
        self.note(group, started_at);
        tracing::info!(
            cluster = %shared.cluster, process = %shared.settings.name, pid = group,
            "process started"
        );
        self.kept = Some(Kept {
            group,
            leader: Some(leader),
            status: None,
            started_at,
            settled_at: shared.clock.monotonic() + SETTLE,
            log_from,
        });
        shared.enter(Stage::Starting { group, started_at });
        Ok(())
    }

    /// Writes down who is owned. Without the note the process is still found by its marker.
    fn note(&mut self, group: i32, started_at: Timestamp) {
        let identity = Identity::of(&self.shared.settings.name, group, started_at);
        if let (Some(pid_file), Some(identity)) = (self.pid_file.as_mut(), identity)
            && let Err(error) = pid_file.write(&identity)
        {
            tracing::error!(process = %self.shared.settings.name, %error, "pid file not written");
        }
    }

    fn marker(&self) -> String {
        let path = PidFile::path_beside(&self.shared.settings.log_file);
        std::path::absolute(&path).unwrap_or(path).to_string_lossy().into_owned()
    }
}

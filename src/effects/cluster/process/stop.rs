//! Ends a process group: SIGTERM, a second SIGTERM, SIGKILL, each after its deadline. Gone means that
//! no member of the group lives: the launcher of Milvus ends long before the server it has started.
//!
//! The second SIGTERM is what a loaded Milvus 2.3 needs: after one it lingers half-dead for
//! minutes, after two it is gone in a second.

use std::time::Duration;

use nix::errno::Errno;
use tokio::process::Child;
use tokio::sync::watch;

use super::group;
use super::shared::Shared;
use super::stage::Stage;

/// How often the group is looked at while it ends.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// How long the kernel has to carry out a SIGKILL; only a process stuck in a device needs longer.
const KILL_DEADLINE: Duration = Duration::from_secs(5);
/// Of the time that falconer's own end leaves, the shares (in tenths) of the first and the second
/// SIGTERM; the rest is for SIGKILL.
const SHARES: (u32, u32) = (6, 2);

type SendSignal = fn(i32) -> Result<(), Errno>;

/// One stop of one group.
pub(super) struct Stopper<'a> {
    /// Whose group it is.
    pub shared: &'a Shared,
    /// The group.
    pub group: i32,
}

impl Stopper<'_> {
    /// Stops the group; false where it is still there in the end. `shutdown` holds the time that is
    /// left where falconer ends; where it changes meanwhile, the next step comes at once.
    pub(super) async fn stop(
        &self,
        mut leader: Option<&mut Child>,
        shutdown: &mut watch::Receiver<Option<Duration>>,
    ) -> bool {
        let settings = &self.shared.settings;
        let steps: [(&'static str, SendSignal, Duration, u32); 3] = [
            ("SIGTERM sent", group::terminate, settings.stop_grace, SHARES.0),
            ("second SIGTERM sent", group::terminate, settings.kill_grace, SHARES.1),
            ("SIGKILL sent", group::kill, KILL_DEADLINE, 10),
        ];
        for (step, send, patience, share) in steps {
            let ending = *shutdown.borrow();
            let patience = match ending {
                Some(grace) if share < 10 => patience.min(grace * share / 10),
                Some(_) | None => patience,
            };
            self.announce(step);
            if let Err(error) = send(self.group) {
                tracing::error!(
                    process = %self.shared.settings.name, pid = self.group, %error,
                    "process could not be signalled"
                );
            }
            let gone = async {
                let gone = wait_until_gone(self.group, patience).await;
                // The group may be gone but for its leader, which waits to be reaped by us.
                if let Some(leader) = leader.as_mut() {
                    let _ = leader.try_wait();
                }
                gone
            };
            let hurried = async {
                if share == 10 || shutdown.changed().await.is_err() {
                    std::future::pending::<()>().await;
                }
            };
            let gone = tokio::select! {
                gone = gone => gone,
                () = hurried => false,
            };
            if gone {
                return true;
            }
        }
        tracing::error!(
            process = %self.shared.settings.name, pid = self.group, "process outlives SIGKILL"
        );
        false
    }

    fn announce(&self, step: &'static str) {
        tracing::info!(
            cluster = %self.shared.cluster, process = %self.shared.settings.name,
            pid = self.group, step, "process is being stopped"
        );
        self.shared.enter(Stage::Stopping { group: self.group, step });
    }
}

/// Waits until no member of `group` lives; false after `patience`.
pub(super) async fn wait_until_gone(group: i32, patience: Duration) -> bool {
    let looks = async {
        while group::is_alive(group) {
            tokio::time::sleep(LOOK_EVERY).await;
        }
    };
    tokio::time::timeout(patience, looks).await.is_ok()
}

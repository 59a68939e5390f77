//! Runs the command by which somebody else restarts the process, within a deadline. Knows nothing
//! of the process itself.

use tokio::process::Child;

use super::group;
use super::shared::Shared;
use super::spawn::{describe_exit, group_of, spawn};
use super::stop::wait_until_gone;
use crate::effects::ClusterError;

/// How often the size of the output is looked at.
const LOOK_EVERY: std::time::Duration = std::time::Duration::from_secs(1);
/// How long is waited for a killed command.
const KILL_DEADLINE: std::time::Duration = std::time::Duration::from_secs(2);

/// Runs the restart command to its end. Its output goes to the log file rather than through a
/// pipe: what the command starts may keep it, and would die of a pipe that nobody reads any more.
///
/// # Errors
/// When it cannot be started, does not end in time (it is killed then) or ends with another status
/// than 0.
pub(super) async fn run(shared: &Shared, command: &[String]) -> Result<(), ClusterError> {
    let object = format!("process/{}", shared.settings.name);
    let failed =
        |message| ClusterError::Failed { operation: "restart", object: object.clone(), message };
    let from = shared.log.size();
    let mut child = spawn(shared, command, None).map_err(failed)?;
    let group = group_of(&child);
    let limit = shared.settings.command_timeout;
    match tokio::time::timeout(limit, watch(shared, &mut child)).await {
        Ok(Ok(status)) if status.success() => Ok(()),
        Ok(Ok(status)) => {
            let how = describe_exit(Some(status), shared.log.last_line(from));
            Err(failed(format!("the restart command {how}")))
        }
        Ok(Err(error)) => Err(failed(error.to_string())),
        Err(_) => {
            if let Some(group) = group {
                let _ = group::kill(group);
                wait_until_gone(group, KILL_DEADLINE).await;
            }
            let _ = child.try_wait();
            Err(ClusterError::Timeout { operation: "restart", object, seconds: limit.as_secs() })
        }
    }
}

async fn watch(shared: &Shared, child: &mut Child) -> std::io::Result<std::process::ExitStatus> {
    loop {
        tokio::select! {
            status = child.wait() => return status,
            () = tokio::time::sleep(LOOK_EVERY) => {
                if let Err(error) = shared.log.rotate_if_needed() {
                    tracing::warn!(
                        process = %shared.settings.name, %error, "log could not be rotated"
                    );
                }
            }
        }
    }
}

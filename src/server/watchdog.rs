//! Looks from the server's thread whether the actors' thread still makes progress, and says so in
//! the log, where somebody sees it even if nobody asks `/livez`. Changes nothing: a blocked thread
//! cannot be freed, only its process can be started anew, by whoever runs it.

use std::time::Duration;

use crate::actors::heartbeat::Heartbeat;

/// How often is looked.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Looks for as long as the server lives.
pub(super) async fn watch(heartbeat: Heartbeat) {
    let mut is_late = false;
    loop {
        tokio::time::sleep(LOOK_EVERY).await;
        match heartbeat.late() {
            Some((age, since)) if !is_late => {
                is_late = true;
                let silent_for_s = age.as_secs();
                tracing::error!(%since, silent_for_s, "actors' thread is blocked");
            }
            None if is_late => {
                is_late = false;
                tracing::warn!("actors' thread goes on");
            }
            Some(_) | None => {}
        }
    }
}

//! What people were told survives that falconer is killed. A message is on record as being sent before
//! it is sent, and as accepted right after it was: killed in between, it is sent again as the same
//! message; killed before or after, it is sent once.

use std::sync::Arc;
use std::time::Duration;

use super::Alerter;
use crate::effects::StateError;
use crate::model::{Notification, StateChanges};

/// A message waits no longer until it is on record that it is being sent.
const RECORD_WITHIN: Duration = Duration::from_secs(2);
/// A message that was withheld is looked at again after this time, if this falconer still tells people.
const WITHHELD_FOR: Duration = Duration::from_secs(5);

impl Alerter {
    /// What has changed since the last call.
    pub(super) fn take_changes(&self) -> StateChanges {
        let mut changes = self.silences().take_changes();
        changes.extend(self.book().take_changes());
        changes
    }

    /// Saves what has changed, soon.
    pub(super) fn keep(&self) {
        let changes = self.take_changes();
        if !changes.is_empty() {
            self.keeper.keep(changes);
        }
    }

    /// Saves what has changed, as soon as can be.
    pub(super) fn keep_now(&self) {
        let changes = self.take_changes();
        if !changes.is_empty() {
            self.keeper.keep_now(changes);
        }
    }

    /// Ends when it is on record which messages are being sent. One that cannot be recorded is sent
    /// all the same: told twice is better than not told.
    ///
    /// # Errors
    /// Why another falconer tells people instead.
    pub(super) fn record(&self) -> impl Future<Output = Result<(), StateError>> + 'static {
        let changes = self.take_changes();
        let recording = self.keeper.persist(changes, RECORD_WITHIN);
        let leadership = self.leadership.clone();
        async move {
            match recording.await {
                Err(error @ StateError::Fenced { .. }) if !leadership.speaks_of_itself() => {
                    Err(error)
                }
                Err(error) => {
                    tracing::warn!(%error, "message is sent without a record of it");
                    Ok(())
                }
                Ok(()) => Ok(()),
            }
        }
    }

    /// A message was not sent after all.
    pub(super) fn put_back(
        &mut self,
        receiver: &Arc<str>,
        notification: &Notification,
        error: &StateError,
    ) {
        self.in_flight.remove(receiver);
        let incident = &notification.lead.incident;
        tracing::warn!(%receiver, %incident, %error, "message withheld");
        let retry_at = self.clock.now() + WITHHELD_FOR;
        self.book().put_back(receiver, notification, &error.to_string(), retry_at);
    }
}

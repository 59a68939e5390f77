//! What was scaled survives that falconer is killed, or that another one leads.

use std::time::Duration;

use super::Scaler;
use crate::effects::StateError;

/// A change waits no longer until it is on record.
const RECORD_WITHIN: Duration = Duration::from_secs(2);

impl Scaler {
    /// Saves what has changed, soon.
    pub(super) fn keep(&self) {
        let changes = self.ledger().take_changes();
        if !changes.is_empty() {
            self.around.keeper.keep(changes);
        }
    }

    /// Ends when it is on record that a change begins. One that cannot be recorded begins all the
    /// same: the request names the number of replicas that it is based on.
    ///
    /// # Errors
    /// Why another falconer scales instead.
    pub(super) fn record(&self) -> impl Future<Output = Result<(), StateError>> + 'static {
        let changes = self.ledger().take_changes();
        let recording = self.around.keeper.persist(changes, RECORD_WITHIN);
        async move {
            match recording.await {
                Err(error @ StateError::Fenced { .. }) => Err(error),
                Err(error) => {
                    tracing::warn!(%error, "change of replicas begins without a record of it");
                    Ok(())
                }
                Ok(()) => Ok(()),
            }
        }
    }
}

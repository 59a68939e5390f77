//! What was scaled survives that falconer is killed, or that another one leads.

use std::time::Duration;

use actix::prelude::*;

use super::Scaler;
use crate::actors::leadership::LeadershipHandle;
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

    /// Goes on with the changes under way whenever this falconer begins to lead.
    pub(super) fn follow(mut leadership: LeadershipHandle, ctx: &mut Context<Self>) {
        let changed = async move {
            leadership.changed().await;
            // Given back: a copy of the first one would see the same change again and again.
            leadership
        };
        ctx.spawn(fut::wrap_future::<_, Self>(changed).map(|leadership, act, ctx| {
            let now = act.around.clock.now();
            if leadership.covers(now, Duration::ZERO).is_ok() {
                act.resume(ctx);
            }
            Self::follow(leadership, ctx);
        }));
    }
}

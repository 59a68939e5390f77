//! What was done survives that falconer is killed, or that another one leads.

use std::time::Duration;

use actix::prelude::*;

use super::Recoverer;
use crate::actors::leadership::LeadershipHandle;

impl Recoverer {
    /// Saves what has changed, soon.
    pub(super) fn keep(&self) {
        let mut ledger = self.ledger();
        if ledger.has_changes() {
            self.around.keeper.keep(ledger.take_changes());
        }
    }

    /// Goes on with the actions under way whenever this falconer begins to lead.
    pub(super) fn follow_leadership(mut leadership: LeadershipHandle, ctx: &mut Context<Self>) {
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
            Self::follow_leadership(leadership, ctx);
        }));
    }
}

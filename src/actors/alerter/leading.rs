//! Only the leader tells people. The others keep their books up to date, so that whoever becomes
//! the leader goes on at once.

use actix::prelude::*;

use super::Alerter;
use crate::actors::leadership::LeadershipHandle;

impl Alerter {
    /// The same alerter, which tells people only while `leadership` says that it may.
    #[must_use]
    pub fn led_by(mut self, leadership: LeadershipHandle) -> Self {
        self.leadership = leadership;
        self
    }

    /// Whether people are told by this falconer.
    pub(super) fn speaks(&self) -> bool {
        self.leadership.speaks().is_ok()
    }

    /// Looks at everything that is due whenever another falconer becomes the leader, or this one.
    pub(super) fn follow_leadership(&self, ctx: &mut Context<Self>) {
        let mut leadership = self.leadership.clone();
        let changed = async move { leadership.changed().await };
        ctx.spawn(changed.into_actor(self).map(|(), alerter, ctx| {
            let speaks = alerter.speaks();
            if speaks != alerter.spoke {
                alerter.spoke = speaks;
                let open = alerter.book().alerts().count();
                tracing::info!(speaks, open, "alerts are told by this falconer or by another one");
            }
            alerter.follow_leadership(ctx);
            alerter.advance(ctx);
        }));
    }
}

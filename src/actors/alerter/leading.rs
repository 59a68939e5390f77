//! Only the leader tells people. The others keep their books up to date, so that whoever becomes
//! the leader goes on at once.

use std::time::Duration;

use actix::prelude::*;

use super::Alerter;
use crate::actors::leadership::LeadershipHandle;
use crate::model::Timestamp;

/// A leader that lives has told by then what was over and due, or goes on trying.
const LEADER_TELLS_WITHIN: Duration = Duration::from_secs(60);

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

    /// What ended a while ago under a leader that lives, that one has told. Gives when to look
    /// again; `None` where another leader is not known or nothing is over.
    pub(super) fn leave_to_leader(&self, now: Timestamp) -> Option<Timestamp> {
        if self.speaks() {
            return None;
        }
        let waited = self.settings.longest_wait();
        let within =
            LEADER_TELLS_WITHIN.max(self.leadership.noticed_within()).saturating_add(waited);
        let told_by = self.leadership.is_led_by_another().then(|| now.minus(within));
        let untold_by = now.minus(self.leadership.longest_gap().saturating_add(waited));
        let next = self.book().leave_to_leader(told_by, untold_by)?;
        Some(now + next)
    }

    /// Looks at everything that is due whenever another falconer becomes the leader, or this one.
    pub(super) fn follow(mut leadership: LeadershipHandle, ctx: &mut Context<Self>) {
        let changed = async move {
            leadership.changed().await;
            // Given back: a copy of the first one would see the same change again and again.
            leadership
        };
        ctx.spawn(fut::wrap_future::<_, Self>(changed).map(|leadership, alerter, ctx| {
            Self::follow(leadership, ctx);
            alerter.on_leadership(ctx);
        }));
    }

    fn on_leadership(&mut self, ctx: &mut Context<Self>) {
        let speaks = self.speaks();
        if speaks != self.spoke {
            self.spoke = speaks;
            let open = self.book().alerts().count();
            tracing::info!(speaks, open, "alerts are told by this falconer or by another one");
        }
        if speaks {
            // What was taken over may be about receivers that are not configured here.
            self.follow_settings(&[]);
        }
        self.advance(ctx);
    }
}

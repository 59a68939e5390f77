//! How the actors are made that look after falconer itself and neither decide nor act.

use std::sync::Arc;

use actix::prelude::*;

use super::{Branch, Common, Kept, child};
use crate::actors::beacon::{self, Beacon, BeaconParts};
use crate::actors::recorder::{Recorder, RecorderParts};
use crate::actors::root::RootChild;
use crate::policy::backoff::RespawnSettings;

impl Common {
    /// Tells a watchdog outside that falconer lives.
    pub(in crate::actors::tree) fn beacon(
        &self,
        first: beacon::Reconfigure,
    ) -> (RootChild, Branch<beacon::Reconfigure>) {
        let parts = BeaconParts {
            leadership: self.leadership.clone(),
            board: self.board.clone(),
            clock: self.clock,
            metrics: self.metrics.clone(),
        };
        let branch = Branch::new(first);
        let (made_with, published) = (branch.clone(), branch.link.clone());
        let make = move |_: &mut Context<Beacon>| {
            let beacon::Reconfigure(settings) = made_with.newest();
            Beacon::new(settings, parts.clone())
        };
        let kept = Kept::peer("beacon", RespawnSettings::default());
        (child(kept, make, move |address| published.publish(address)), branch)
    }

    /// Looks after the journal.
    pub(in crate::actors::tree) fn recorder(&self) -> RootChild {
        let parts = RecorderParts {
            journal: Arc::clone(&self.journal),
            alert: self.lasting.journal_alert.clone(),
            raise: self.peers.raise.clone(),
            resolve: self.peers.resolve.clone(),
            board: self.board.clone(),
            clock: self.clock,
        };
        let make = move |_: &mut Context<Recorder>| Recorder::new(parts.clone());
        child(Kept::peer("recorder", RespawnSettings::default()), make, |_| {})
    }
}

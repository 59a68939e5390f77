//! Promises about probing: everything is probed, all the time, and nothing once falconer ends.

use std::time::Duration;

use falconer::model::{ProberKind, Timestamp};

use super::KNOWN;
use crate::world::death::Actor;
use crate::world::{At, State};

/// A dependency that is silent is probed at least this often.
const SILENT_INTERVAL: Duration = Duration::from_secs(30);

/// What a probe may take beyond its time-out, and what it may wait because others are due as well.
const SLACK: Duration = Duration::from_secs(2);

impl State {
    /// A probe begins.
    pub fn probe_begins(&mut self, at: At) {
        if self.ending_since.is_some_and(|since| self.now().since(since) > KNOWN) {
            let id = self.target(at).id.clone();
            self.violate(format!("{id} is probed although falconer ends"));
        }
    }

    /// Every second: no target was left unprobed for longer than its schedule says.
    pub fn check_probed(&mut self) {
        let now = self.now();
        let mut wrong = Vec::new();
        for at in self.all_places() {
            let Some(since) = self.watched_since(at) else { continue };
            let target = self.target(at);
            let prober = &target.plan.prober;
            let interval = match target.plan.kind {
                // Left alone for a while when they do not answer.
                ProberKind::Http | ProberKind::Tcp | ProberKind::Grpc => {
                    prober.interval.max(SILENT_INTERVAL)
                }
                ProberKind::Milvus
                | ProberKind::Pods
                | ProberKind::Process
                | ProberKind::Resources
                | ProberKind::Platform => prober.interval,
            };
            let longest = interval.mul_f64(1.0 + prober.jitter) + prober.timeout + SLACK;
            let excuses = [Actor::Prober(at), Actor::Supervisor(at.cluster)]
                .map(|actor| self.deaths.back_by(actor).unwrap_or_default());
            let last = target.log.last_began.unwrap_or_default().max(since);
            let due = excuses.into_iter().fold(last, Timestamp::max) + longest;
            if now > due {
                let (id, last) = (&target.id, self.time(last));
                wrong.push(format!("{id} was not probed since {last}"));
            }
        }
        for why in wrong {
            self.violate(why);
        }
    }

    /// Since when falconer must watch a target.
    fn watched_since(&self, at: At) -> Option<Timestamp> {
        let target = self.target(at);
        if target.run.is_none() {
            return Some(self.started);
        }
        target.log.began_anew.filter(|_| target.gone_since.is_none())
    }
}

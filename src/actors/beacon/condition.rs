//! How falconer does, as far as it can judge that itself. Looks at what the actors show; asks nobody.

use std::time::Duration;

use super::LOOK_EVERY;
use crate::actors::heartbeat::LIMIT;
use crate::actors::status::ActorsStatus;
use crate::model::{Condition, Timestamp};

/// What is watched between two looks.
pub(super) struct Watch {
    looked_at: Timestamp,
    /// How long the actors' thread stood still, until that was told.
    stood_still: Option<Duration>,
}

impl Watch {
    pub(super) fn new(now: Timestamp) -> Self {
        Self { looked_at: now, stood_still: None }
    }

    /// The thread that calls this makes progress, at least now.
    pub(super) fn looked(&mut self, now: Timestamp) {
        let late = now.since(self.looked_at).saturating_sub(LOOK_EVERY);
        self.looked_at = now;
        if late > LIMIT {
            self.stood_still = Some(late);
        }
    }

    /// Somebody has heard the condition.
    pub(super) fn told(&mut self) {
        self.stood_still = None;
    }

    pub(super) fn condition(&self, status: &ActorsStatus) -> Condition {
        let stood_still = self
            .stood_still
            .map(|time| format!("the actors' thread stood still for {} s", time.as_secs()));
        let lost = status.actors.iter().filter(|(_, actor)| actor.beyond_help);
        let lost = lost.map(|(name, actor)| format!("{name} is beyond help: {}", actor.reason));
        let troubles: Vec<String> =
            stood_still.into_iter().chain(lost).chain(nobody_hears(status)).collect();
        Condition::of(&troubles)
    }
}

/// Where every receiver of people is dead: whoever else could tell?
fn nobody_hears(status: &ActorsStatus) -> Option<String> {
    let mut of_people = status.alerter.receivers.iter().filter(|(name, _)| &***name != "log");
    let (_, first) = of_people.clone().next()?;
    let is_dead = of_people.all(|(_, receiver)| receiver.dead_since.is_some());
    let error = first.state.last_error.as_deref().unwrap_or("no answer");
    is_dead.then(|| format!("no receiver accepts messages: {error}"))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::actors::alerter::ReceiverSnapshot;

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_millis((1_767_225_600 + seconds) * 1_000)
    }

    #[test]
    fn a_thread_that_stood_still_is_told_once() {
        let mut watch = Watch::new(at(0));
        watch.looked(at(1));
        assert!(watch.condition(&ActorsStatus::default()).is_well());
        watch.looked(at(12));
        watch.looked(at(13));
        let Condition::Unwell { why } = watch.condition(&ActorsStatus::default()) else {
            panic!("it stood still");
        };
        assert_eq!(why, "the actors' thread stood still for 10 s");
        watch.told();
        assert!(watch.condition(&ActorsStatus::default()).is_well());
    }

    #[test]
    fn falconer_is_not_well_when_no_receiver_of_people_is_left() {
        let mut status = ActorsStatus::default();
        let mut show = |name: &str, dead_since: Option<Timestamp>| {
            let receiver = ReceiverSnapshot { dead_since, ..ReceiverSnapshot::default() };
            Arc::make_mut(&mut status.alerter).receivers.insert(name.into(), receiver);
            Watch::new(at(0)).condition(&status).is_well()
        };
        assert!(show("log", None));
        assert!(show("slack", None));
        assert!(show("email", Some(at(0))));
        assert!(!show("slack", Some(at(0))));
        assert!(show("email", None));
    }
}

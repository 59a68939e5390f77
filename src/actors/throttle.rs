//! Work that is asked for more often than it is worth doing: it is done at once, then at most once
//! in a while, and what is asked for meanwhile is done together at the end of the while. Owns the
//! times; the actor owns the timer.

use std::time::Duration;

use crate::model::Timestamp;

/// What to do now that the work is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turn {
    /// Do it.
    Now,
    /// Set a timer for so long, and do it then.
    Later(Duration),
    /// A timer is set already.
    Planned,
}

/// See the module's description.
#[derive(Debug)]
pub struct Throttle {
    every: Duration,
    ready_at: Option<Timestamp>,
    is_planned: bool,
}

impl Throttle {
    /// Lets the work be done once in `every`.
    pub const fn new(every: Duration) -> Self {
        Self { every, ready_at: None, is_planned: false }
    }

    /// The work is asked for.
    pub fn ask(&mut self, now: Timestamp) -> Turn {
        if self.is_planned {
            return Turn::Planned;
        }
        match self.ready_at {
            Some(at) if now < at => {
                self.is_planned = true;
                Turn::Later(at.since(now))
            }
            Some(_) | None => {
                self.done(now);
                Turn::Now
            }
        }
    }

    /// The work is done, by a timer that was set or for another reason.
    pub fn done(&mut self, now: Timestamp) {
        self.is_planned = false;
        self.ready_at = Some(now + self.every);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_is_done_at_its_beginning_and_once_more_at_the_end_of_the_while() {
        let at = Timestamp::from_millis;
        let mut throttle = Throttle::new(Duration::from_millis(100));
        assert_eq!(throttle.ask(at(1_000)), Turn::Now);
        assert_eq!(throttle.ask(at(1_030)), Turn::Later(Duration::from_millis(70)));
        assert_eq!(throttle.ask(at(1_031)), Turn::Planned);
        throttle.done(at(1_100));
        assert_eq!(throttle.ask(at(1_150)), Turn::Later(Duration::from_millis(50)));
        throttle.done(at(1_200));
        assert_eq!(throttle.ask(at(1_300)), Turn::Now);
    }
}

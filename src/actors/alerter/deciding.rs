//! When the policy is asked, for whom, and what comes of its answers. Decides nothing itself.

use std::sync::Arc;
use std::time::Duration;

use actix::prelude::*;

use super::{Alerter, written};
use crate::actors::throttle::Turn;
use crate::model::{Notification, Timestamp};
use crate::policy::notification::{Escalated, Finished, NextStep, Pace, SendReason};

/// The shortest time for which the timer is set, so that rounding never makes it spin.
const SHORTEST_WAIT: Duration = Duration::from_millis(1);

/// What one round of decisions brought.
#[derive(Default)]
struct Round {
    finished: Vec<Finished>,
    escalated: Vec<Escalated>,
    sends: Vec<(Arc<str>, Box<Notification>, SendReason)>,
    wake: Option<Timestamp>,
}

impl Alerter {
    /// Every decision looks at all open alerts: while hundreds begin at once, not after each.
    pub(super) fn advance_soon(&mut self, ctx: &mut Context<Self>) {
        match self.advancing.ask(self.clock.now()) {
            Turn::Now => self.advance(ctx),
            Turn::Later(wait) => {
                ctx.run_later(wait, |alerter, ctx| {
                    alerter.advancing.done(alerter.clock.now());
                    alerter.advance(ctx);
                });
            }
            Turn::Planned => {}
        }
    }

    /// Asks the policy about every receiver that is free, begins what it says, and sets the timer.
    pub(super) fn advance(&mut self, ctx: &mut Context<Self>) {
        self.note_ended_silences();
        let round = self.decide();
        for finished in &round.finished {
            written::log_finished(finished);
            self.note_given_up(finished);
        }
        round.escalated.iter().for_each(|escalated| self.note_escalated(escalated));
        self.count_held(self.clock.now());
        for (receiver, notification, reason) in round.sends {
            self.begin_send(receiver, notification, reason, ctx);
        }
        self.keep();
        self.arm(round.wake, ctx);
        self.publish_soon(ctx);
        if self.in_flight.is_empty() && self.pace == Pace::Draining {
            for waiting in self.drained.drain(..) {
                // A sender that has stopped waiting is of no interest.
                let _ = waiting.send(());
            }
        }
    }

    fn decide(&self) -> Round {
        let now = self.clock.now();
        let left_until = self.leave_to_leader(now);
        let mut book = self.book();
        let finished = book.settle(&self.settings, &self.holds(now), self.pace, now);
        let speaks = self.speaks();
        let (escalated, call) =
            if speaks { book.escalate(&self.settings, now) } else { Default::default() };
        let edge = self.silences().next_change(now);
        let wake = left_until.into_iter().chain(call).chain(edge).min();
        let mut round = Round { finished, escalated, wake, ..Round::default() };
        let is_free = |name: &&Arc<str>| speaks && !self.in_flight.contains(*name);
        for receiver in self.receivers.keys().filter(is_free) {
            match book.next(receiver, &self.settings, self.pace, now) {
                NextStep::Send { notification, reason } => {
                    round.sends.push((Arc::clone(receiver), notification, reason));
                }
                NextStep::WaitUntil(at) => {
                    round.wake = Some(round.wake.map_or(at, |other| other.min(at)));
                }
                NextStep::Idle => {}
            }
        }
        round
    }

    /// A receiver is free again: what is next for it begins at once. All else waits for its turn:
    /// a hundred receivers that answer at once are no reason to look at every alert a hundred times.
    pub(super) fn go_on(&mut self, receiver: Arc<str>, ctx: &mut Context<Self>) {
        if self.speaks() && self.receivers.contains_key(&receiver) {
            let now = self.clock.now();
            let next = self.book().next(&receiver, &self.settings, self.pace, now);
            if let NextStep::Send { notification, reason } = next {
                self.begin_send(receiver, notification, reason, ctx);
            }
        }
        self.advance_soon(ctx);
    }

    /// Sets the one timer to the next instant at which something is due.
    fn arm(&mut self, wake: Option<Timestamp>, ctx: &mut Context<Self>) {
        if let Some(handle) = self.due.take() {
            ctx.cancel_future(handle);
        }
        self.due = wake.map(|at| {
            let wait = at.since(self.clock.now()).max(SHORTEST_WAIT);
            ctx.run_later(wait, |alerter, ctx| {
                alerter.due = None;
                alerter.advance(ctx);
            })
        });
    }
}

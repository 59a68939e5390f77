//! The end of the tree: what is under way is finished or handed back, what people should still be
//! told is delivered, and what could not be is logged, so that nothing ends in silence.

use std::sync::PoisonError;
use std::time::Duration;

use actix::prelude::*;
use futures::future::join_all;
use tokio::time::{Instant, sleep, timeout_at};

use super::Tree;
use crate::actors::link::Link;
use crate::actors::{alerter, recoverer, scaler};

/// How soon an actor that is backing off, or a request that is on its way, is looked at again.
const LOOK_AGAIN: Duration = Duration::from_millis(50);

impl Tree {
    /// Ends all deciding, and waits until each request that is on its way to a platform was
    /// answered. What is still to be verified is logged as handed back: whoever runs next sees a
    /// workload that rolls, and lets it.
    pub async fn hand_back(&self, within: Duration) {
        let until = self.common.clock.monotonic() + within;
        tokio::join!(
            self.until_answered("recoverer", &self.drain_recoverer, recoverer::Drain, until),
            self.until_answered("scaler", &self.drain_scaler, scaler::Drain, until),
        );
        while self.is_asking() && self.common.clock.monotonic() < until {
            sleep(LOOK_AGAIN).await;
        }
        let recoveries =
            self.common.lasting.recoveries.lock().unwrap_or_else(PoisonError::into_inner);
        for action in recoveries.all_in_flight() {
            let accepted = action.accepted_at.is_some();
            let (component, workload) = (&action.component, &action.workload);
            let (incident, key) = (&action.incident, &action.idempotency_key);
            tracing::warn!(
                %component, %workload, %incident, key, accepted, "restart under way is handed back"
            );
        }
        drop(recoveries);
        let scalings = self.common.lasting.scalings.lock().unwrap_or_else(PoisonError::into_inner);
        for change in scalings.all_in_flight() {
            let accepted = change.accepted_at.is_some();
            let (component, workload) = (&change.component, &change.workload);
            let (from, to) = (change.from, change.to);
            tracing::warn!(
                %component, %workload, from, to, accepted,
                "change of replicas under way is handed back"
            );
        }
    }

    /// Whether a platform has not answered a request yet.
    fn is_asking(&self) -> bool {
        let recoveries =
            self.common.lasting.recoveries.lock().unwrap_or_else(PoisonError::into_inner);
        if recoveries.all_in_flight().any(|action| action.accepted_at.is_none()) {
            return true;
        }
        drop(recoveries);
        let scalings = self.common.lasting.scalings.lock().unwrap_or_else(PoisonError::into_inner);
        scalings.all_in_flight().any(|change| change.accepted_at.is_none())
    }

    /// Delivers what can be delivered within this time; the rest is logged, a line for each. Gives
    /// how many messages were left.
    pub async fn deliver(&self, within: Duration) -> usize {
        let until = self.common.clock.monotonic() + within;
        let drain = alerter::Drain { deadline: within };
        self.until_answered("alerter", &self.drain_alerter, drain, until).await;
        self.log_undelivered()
    }

    fn log_undelivered(&self) -> usize {
        // The leader has a book of its own.
        if self.common.leadership.speaks().is_err() {
            return 0;
        }
        let lasting = &self.common.lasting;
        let book = lasting.book.lock().unwrap_or_else(PoisonError::into_inner);
        let left = book.undelivered(&self.plan.settings.alerter, self.common.clock.now());
        drop(book);
        for message in &left {
            let (incident, receiver) = (&message.incident, &message.receiver);
            let (status, error) = (message.status.as_str(), message.error.as_deref());
            tracing::error!(%incident, %receiver, status, error, "alert not delivered before the end");
        }
        // Only where the alerter was beyond help.
        let unread = lasting.inbox.raise.take_all();
        for alert in &unread {
            let (incident, title) = (&alert.0.incident, &alert.0.title);
            tracing::error!(%incident, title, "alert not delivered before the end");
        }
        left.len() + unread.len()
    }

    /// Ends watches, and the processes that falconer owns.
    pub async fn release_platforms(&self, grace: Duration) {
        join_all(self.plan.clusters.iter().map(|cluster| cluster.platform.shutdown(grace))).await;
    }

    /// Asks until somebody lives to answer; `None` where nobody did in time, or ever will.
    async fn until_answered<M>(
        &self,
        actor: &str,
        link: &Link<M>,
        question: M,
        until: Instant,
    ) -> Option<M::Result>
    where
        M: Message + Copy + Send + 'static,
        M::Result: Send,
    {
        let is_beyond_help = || {
            let status = &self.common.board;
            status.read(|status| status.actors.get(actor).is_some_and(|one| one.beyond_help))
        };
        let asking = async {
            while !is_beyond_help() {
                match link.ask(question).await {
                    Some(answer) => return Some(answer),
                    None => sleep(LOOK_AGAIN).await,
                }
            }
            None
        };
        timeout_at(until, asking).await.ok().flatten()
    }
}

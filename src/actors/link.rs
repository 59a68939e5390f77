//! How one actor reaches another: a slot in which the parent publishes the newest incarnation's
//! address. Nobody holds an address of its own, so nobody talks to a dead one.

use std::sync::{Arc, PoisonError, RwLock};

use actix::dev::ToEnvelope;
use actix::prelude::*;

use crate::metrics::MailboxCount;

/// Why a message did not reach a mailbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Undelivered {
    /// The mailbox is full.
    Full,
    /// There is no living incarnation at the moment.
    Closed,
}

/// A way to send `M` to whichever incarnation of an actor lives now. Cheap to clone.
pub struct Link<M>
where
    M: Message + Send + 'static,
    M::Result: Send,
{
    slot: Arc<RwLock<Option<Recipient<M>>>>,
    /// Counts what goes into the mailbox; whoever takes it out counts that.
    count: Option<MailboxCount>,
}

impl<M> Link<M>
where
    M: Message + Send + 'static,
    M::Result: Send,
{
    /// A link that leads nowhere yet.
    pub fn new() -> Self {
        Self { slot: Arc::new(RwLock::new(None)), count: None }
    }

    /// The same link, which counts what it puts into the mailbox and what does not fit.
    #[must_use]
    pub fn counted(self, count: MailboxCount) -> Self {
        Self { count: Some(count), ..self }
    }

    fn put(&self) {
        if let Some(count) = &self.count {
            count.put();
        }
    }

    /// From now on messages go to `address`.
    pub fn publish<A>(&self, address: &Addr<A>)
    where
        A: Actor + Handler<M>,
        A::Context: ToEnvelope<A, M>,
    {
        *self.slot.write().unwrap_or_else(PoisonError::into_inner) =
            Some(address.clone().recipient());
    }

    /// Puts the message into the mailbox, never blocking, within the mailbox's bound (the bound
    /// of an actix mailbox is per sender object, which is why the one recipient is shared).
    ///
    /// # Errors
    /// Gives the message back with the reason.
    pub fn try_send(&self, message: M) -> Result<(), (Undelivered, M)> {
        let slot = self.slot.read().unwrap_or_else(PoisonError::into_inner);
        let Some(recipient) = slot.as_ref() else {
            return Err((Undelivered::Closed, message));
        };
        match recipient.try_send(message) {
            Ok(()) => {
                self.put();
                Ok(())
            }
            Err(SendError::Full(message)) => {
                self.count.iter().for_each(MailboxCount::dropped);
                Err((Undelivered::Full, message))
            }
            Err(SendError::Closed(message)) => Err((Undelivered::Closed, message)),
        }
    }

    /// Puts the message into the mailbox whatever its bound; for wake-ups, of which there is never
    /// more than one. False where nobody lives to be woken.
    pub fn notify(&self, message: M) -> bool {
        let slot = self.slot.read().unwrap_or_else(PoisonError::into_inner);
        let living = slot.as_ref().filter(|recipient| recipient.connected());
        if let Some(recipient) = living {
            recipient.do_send(message);
            self.put();
        }
        living.is_some()
    }

    /// Sends a question and waits for its answer; `None` where nobody lives to give one.
    pub async fn ask(&self, message: M) -> Option<M::Result> {
        let recipient = self.slot.read().unwrap_or_else(PoisonError::into_inner).clone()?;
        recipient.send(message).await.ok()
    }
}

impl<M> Clone for Link<M>
where
    M: Message + Send + 'static,
    M::Result: Send,
{
    fn clone(&self) -> Self {
        Self { slot: Arc::clone(&self.slot), count: self.count.clone() }
    }
}

impl<M> Default for Link<M>
where
    M: Message + Send + 'static,
    M::Result: Send,
{
    fn default() -> Self {
        Self::new()
    }
}

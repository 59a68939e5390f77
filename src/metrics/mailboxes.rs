//! How much waits in the mailboxes, and how much did not fit. Counting is an addition, so that it
//! can be done with every message; it is added up only when somebody scrapes.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use opentelemetry::KeyValue;
use opentelemetry::metrics::Meter;

#[derive(Debug, Default)]
struct Counts {
    waiting: AtomicI64,
    dropped: AtomicU64,
}

/// Counts the messages in the mailboxes of one kind of actor. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct MailboxCount(Arc<Counts>);

impl MailboxCount {
    /// One message was put in.
    pub fn put(&self) {
        self.changed(1);
    }

    /// So many messages were taken out, or went away with their mailbox.
    pub fn taken(&self, messages: i64) {
        self.changed(-messages);
    }

    /// So many messages more (or fewer) wait.
    pub fn changed(&self, by: i64) {
        self.0.waiting.fetch_add(by, Ordering::Relaxed);
    }

    /// One message was replaced or left out because the mailbox was full.
    pub fn dropped(&self) {
        self.0.dropped.fetch_add(1, Ordering::Relaxed);
    }

    /// The one mailbox of this kind is a new and empty one.
    pub fn begin_anew(&self) {
        self.0.waiting.store(0, Ordering::Relaxed);
    }

    /// How many messages were replaced or left out so far.
    pub fn so_far_dropped(&self) -> u64 {
        self.0.dropped.load(Ordering::Relaxed)
    }

    /// How many messages wait.
    pub fn waiting(&self) -> i64 {
        // Whoever sends without a counted link is taken out without having been put in.
        self.0.waiting.load(Ordering::Relaxed).max(0)
    }
}

/// All kinds of actors whose mailboxes are counted.
#[derive(Debug, Clone, Default)]
pub(super) struct Mailboxes {
    kinds: Arc<Mutex<BTreeMap<&'static str, MailboxCount>>>,
}

impl Mailboxes {
    /// The count of the actors of kind `actor`.
    pub(super) fn of(&self, actor: &'static str) -> MailboxCount {
        let mut kinds = self.kinds.lock().unwrap_or_else(PoisonError::into_inner);
        kinds.entry(actor).or_default().clone()
    }

    fn for_each(&self, mut look: impl FnMut(&MailboxCount, &[KeyValue])) {
        let kinds = self.kinds.lock().unwrap_or_else(PoisonError::into_inner).clone();
        for (actor, count) in kinds {
            look(&count, &[KeyValue::new("actor", actor)]);
        }
    }

    /// Makes both families known to `meter`.
    pub(super) fn register(&self, meter: &Meter) {
        let mailboxes = self.clone();
        let _depth = meter
            .i64_observable_up_down_counter("falconer_mailbox_depth")
            .with_description("Messages that wait in the mailboxes of a kind of actor")
            .with_callback(move |observer| {
                mailboxes.for_each(|count, labels| observer.observe(count.waiting(), labels));
            })
            .build();
        let mailboxes = self.clone();
        let _dropped = meter
            .u64_observable_counter("falconer_mailbox_dropped_total")
            .with_description("Messages replaced or dropped because a mailbox was full")
            .with_callback(move |observer| {
                mailboxes
                    .for_each(|count, labels| observer.observe(count.so_far_dropped(), labels));
            })
            .build();
    }
}

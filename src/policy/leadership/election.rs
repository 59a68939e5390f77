//! One candidate's part in the election. Whoever drives it asks for the next step, carries it out
//! with a deadline, and says how it went.

use std::sync::Arc;
use std::time::Duration;

use super::{ElectionSettings, SILENT_FOR};
use crate::model::{Leadership, LeaseRecord, StoredLease, Timestamp};

/// What to do next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ElectionStep {
    /// Nothing before this instant.
    WaitUntil(Timestamp),
    /// Read the Lease.
    Read,
    /// Make the Lease, which does not exist.
    Create(LeaseRecord),
    /// Write the Lease, only if it is still the one of this version.
    Update {
        /// The version.
        version: String,
        /// What to write.
        record: LeaseRecord,
    },
}

/// The Lease as it was seen last.
#[derive(Debug, Clone)]
struct Seen {
    /// `None` where there is none.
    stored: Option<StoredLease>,
    /// Since when the record is as it is.
    since: Timestamp,
    /// Since when its holder is the same.
    holder_since: Timestamp,
    /// Whether it may be written upon: nothing has happened since that could have changed it.
    is_current: bool,
}

/// This candidate's time as leader.
#[derive(Debug, Clone, Copy)]
struct Held {
    since: Timestamp,
    until: Timestamp,
}

/// Requests have been failing.
#[derive(Debug, Clone)]
struct Trouble {
    why: Arc<str>,
    since: Timestamp,
}

/// One candidate.
#[derive(Debug)]
pub struct Election {
    settings: ElectionSettings,
    began: Timestamp,
    seen: Option<Seen>,
    held: Option<Held>,
    trouble: Option<Trouble>,
    /// Until when another holder that was seen may believe to be the leader; it does so even if
    /// somebody deletes the Lease.
    others_until: Option<Timestamp>,
    /// Nothing is done before.
    due: Timestamp,
    /// Refused writes in a row.
    conflicts: u32,
    released_at: Option<Timestamp>,
}

impl Election {
    /// A candidate that knows nothing yet.
    pub fn new(settings: ElectionSettings, now: Timestamp) -> Self {
        Self {
            settings,
            began: now,
            seen: None,
            held: None,
            trouble: None,
            others_until: None,
            due: now,
            conflicts: 0,
            released_at: None,
        }
    }

    /// What to do next.
    pub fn step(&self, now: Timestamp) -> ElectionStep {
        if now < self.due {
            return ElectionStep::WaitUntil(self.due);
        }
        match self.seen.as_ref().filter(|seen| seen.is_current) {
            Some(seen) if self.is_free_at(seen) <= now => match &seen.stored {
                None => ElectionStep::Create(self.claim(None, now)),
                Some(StoredLease { record, version }) => ElectionStep::Update {
                    version: version.clone(),
                    record: self.claim(Some(record), now),
                },
            },
            Some(_) | None => ElectionStep::Read,
        }
    }

    /// The Lease was read: what was found, and when the answer came. `random` is uniform in 0..1,
    /// here as everywhere below.
    pub fn on_read(&mut self, found: Option<StoredLease>, random: f64, now: Timestamp) {
        let holder = found.as_ref().map(|stored| stored.record.holder.as_str());
        let is_others = holder.is_some_and(|holder| self.is_other(holder));
        let former = self.seen.as_ref();
        let record = |stored: &Option<StoredLease>| stored.as_ref().map(|one| one.record.clone());
        let same = former.filter(|former| record(&former.stored) == record(&found));
        let same_holder = former.filter(|former| {
            former.stored.as_ref().map(|stored| stored.record.holder.as_str()) == holder
        });
        let seen = Seen {
            since: same.map_or(now, |former| former.since),
            holder_since: same_holder.map_or(now, |former| former.holder_since),
            stored: found,
            is_current: true,
        };
        if is_others {
            self.others_until = Some(self.is_free_at(&seen));
            self.held = None;
        } else if seen.stored.is_some() {
            // Given up in order, or ours.
            self.others_until = None;
        }
        let free_at = self.is_free_at(&seen);
        if free_at > now {
            // Somebody lives there.
            self.trouble = None;
            self.conflicts = 0;
        }
        self.seen = Some(seen);
        self.due = free_at.max(now).min(now + self.settings.pause(random));
    }

    /// The Lease was written: what was written, when the request began and when its answer came.
    pub fn on_written(
        &mut self,
        written: StoredLease,
        began: Timestamp,
        random: f64,
        now: Timestamp,
    ) {
        let until = began + self.settings.validity();
        let former = self.held.filter(|held| now < held.until);
        let since = former.map_or(now, |held| held.since);
        self.held = (now < until).then_some(Held { since, until });
        let mine = self.seen.as_ref().filter(|_| self.is_mine());
        let holder_since = mine.map_or(now, |seen| seen.holder_since);
        self.seen =
            Some(Seen { stored: Some(written), since: now, holder_since, is_current: true });
        self.trouble = None;
        self.others_until = None;
        self.conflicts = 0;
        self.due = now.max(began + self.settings.pause(random));
    }

    /// A write was refused: the Lease is not what it was. The first time it is read anew at once.
    pub fn on_conflict(&mut self, random: f64, now: Timestamp) {
        self.conflicts = self.conflicts.saturating_add(1);
        if self.conflicts == 1 {
            self.is_outdated();
            self.due = now;
        } else {
            let why = "the lease is changed by somebody else all the time";
            self.on_failed(why, random, now);
        }
    }

    /// A request has failed, or nothing is known of what became of it.
    pub fn on_failed(&mut self, why: &str, random: f64, now: Timestamp) {
        self.is_outdated();
        let since = self.trouble.as_ref().map_or(now, |trouble| trouble.since);
        self.trouble = Some(Trouble { why: why.into(), since });
        self.due = now + self.settings.pause(random) / 2;
    }

    /// What to write at the end, so that another one leads at once; `None` where there is nothing
    /// to give up, or the Lease must be read before.
    pub fn resignation(&self, now: Timestamp) -> Option<(String, LeaseRecord)> {
        let seen = self.seen.as_ref().filter(|seen| seen.is_current && self.is_mine())?;
        let StoredLease { record, version } = seen.stored.as_ref()?;
        let empty = LeaseRecord {
            holder: String::new(),
            duration: Duration::from_secs(1),
            renewed_at: Some(now),
            ..record.clone()
        };
        Some((version.clone(), empty))
    }

    /// From now on this candidate takes no part any more.
    pub fn resign(&mut self, now: Timestamp) {
        self.held = None;
        self.released_at = Some(now);
    }

    /// Whether the Lease, as it was seen last, names this candidate.
    pub fn is_mine(&self) -> bool {
        let stored = self.seen.as_ref().and_then(|seen| seen.stored.as_ref());
        stored.is_some_and(|stored| *stored.record.holder == *self.settings.identity)
    }

    /// What this candidate is at `now`.
    pub fn leadership(&self, now: Timestamp) -> Leadership {
        if let Some(since) = self.released_at {
            return Leadership::Follower { leader: None, since };
        }
        if let Some(Held { since, until }) = self.held.filter(|held| now < held.until) {
            return Leadership::Leader { since, until };
        }
        let Some(seen) = &self.seen else {
            let why = self.trouble.as_ref().map_or("the lease was not read yet", |one| &one.why);
            return self.unknown(why, self.began, now);
        };
        let holder = seen.stored.as_ref().map(|stored| stored.record.holder.as_str());
        let other = holder.filter(|holder| self.is_other(holder));
        match &self.trouble {
            Some(Trouble { why, since }) if other.is_none() || self.is_free_at(seen) <= now => {
                self.unknown(why, *since, now)
            }
            None if self.is_mine() => {
                self.unknown("the lease could not be renewed in time", seen.since, now)
            }
            Some(_) | None => {
                Leadership::Follower { leader: other.map(Arc::from), since: seen.holder_since }
            }
        }
    }

    fn unknown(&self, why: &str, since: Timestamp, now: Timestamp) -> Leadership {
        let is_long = now.since(since) >= self.settings.lease_duration * SILENT_FOR;
        let speaks = self.is_mine() || is_long;
        Leadership::Unknown { why: why.into(), since, speaks }
    }

    fn is_other(&self, holder: &str) -> bool {
        !holder.is_empty() && *holder != *self.settings.identity
    }

    fn is_outdated(&mut self) {
        if let Some(seen) = &mut self.seen {
            seen.is_current = false;
        }
    }

    /// When this candidate may take the Lease, if it stays as it is.
    fn is_free_at(&self, seen: &Seen) -> Timestamp {
        match &seen.stored {
            Some(stored) if self.is_other(&stored.record.holder) => {
                seen.since + self.settings.patience(stored.record.duration)
            }
            Some(_) => seen.since,
            None => self.others_until.unwrap_or(seen.since),
        }
    }

    /// What this candidate writes to be or to stay the leader.
    fn claim(&self, former: Option<&LeaseRecord>, now: Timestamp) -> LeaseRecord {
        let mine = former.filter(|record| *record.holder == *self.settings.identity);
        let transitions = match (former, mine) {
            (_, Some(mine)) => mine.transitions,
            (Some(former), None) => former.transitions.saturating_add(1),
            (None, None) => 0,
        };
        LeaseRecord {
            holder: self.settings.identity.to_string(),
            duration: self.settings.promise(),
            acquired_at: mine.and_then(|mine| mine.acquired_at).or(Some(now)),
            renewed_at: Some(now),
            transitions,
        }
    }
}

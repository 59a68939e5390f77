//! The soak's random faults: which target, what, how long; and those of the mail server. The same
//! seed gives the same faults. Touches nothing itself.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::ops::Range;

use crate::support::mail::MailFault;
use crate::support::targets::Mode;

/// What may happen to a target.
const TROUBLES: [Mode; 6] =
    [Mode::Fail, Mode::Hang, Mode::Slow, Mode::Garbage, Mode::HangUp, Mode::Refuse];
/// What may happen to the mail server. Not the one in which mails arrive twice: they are counted.
const MAIL_TROUBLES: [MailFault; 3] =
    [MailFault::HoldThenDrop, MailFault::HoldThenGreet, MailFault::HangUp];
/// Seconds that a target's trouble lasts.
const LASTS: Range<u64> = 2..60;
/// Seconds that the mail server's lasts, and that it is well in between.
const MAIL_LASTS: Range<u64> = 10..60;
const MAIL_WELL: Range<u64> = 60..240;
/// In one second of so many, trouble begins.
const ONE_SECOND_IN: u64 = 2;

/// Who is in trouble, and until when.
pub struct Trouble {
    random: fastrand::Rng,
    targets: Range<usize>,
    ends: BTreeMap<usize, u64>,
    begun: u64,
    mail_changes: u64,
    mail_well: bool,
}

impl Trouble {
    /// Trouble for some of `targets`.
    pub fn new(seed: u64, targets: Range<usize>) -> Self {
        let mut random = fastrand::Rng::with_seed(seed);
        let mail_changes = random.u64(MAIL_WELL);
        Self { random, targets, ends: BTreeMap::new(), begun: 0, mail_changes, mail_well: true }
    }

    /// How many troubles of targets have begun.
    pub fn begun(&self) -> u64 {
        self.begun
    }

    /// How many targets are in trouble.
    pub fn open(&self) -> usize {
        self.ends.len()
    }

    /// What changes in this second.
    pub fn next_second(&mut self, second: u64) -> Vec<(usize, Mode)> {
        let over = self.ends.extract_if(.., |_, end| *end <= second);
        let mut changes: Vec<(usize, Mode)> =
            over.map(|(target, _)| (target, Mode::Answer)).collect();
        if self.random.u64(0..ONE_SECOND_IN) == 0 {
            let target = self.random.usize(self.targets.clone());
            let mode = TROUBLES[self.random.usize(0..TROUBLES.len())];
            let end = second + self.random.u64(LASTS);
            if let Entry::Vacant(well) = self.ends.entry(target) {
                well.insert(end);
                self.begun += 1;
                changes.push((target, mode));
            }
        }
        changes
    }

    /// What changes for the mail server in this second.
    pub fn mail(&mut self, second: u64) -> Option<MailFault> {
        if second < self.mail_changes {
            return None;
        }
        self.mail_well = !self.mail_well;
        if self.mail_well {
            self.mail_changes = second + self.random.u64(MAIL_WELL);
            return Some(MailFault::None);
        }
        self.mail_changes = second + self.random.u64(MAIL_LASTS);
        Some(MAIL_TROUBLES[self.random.usize(0..MAIL_TROUBLES.len())])
    }
}

//! What keeps alerts from being told for a while: where the alerter puts together all that may.

use super::Alerter;
use crate::model::Timestamp;
use crate::policy::notification::{HoldKind, Holds, Inhibition, QuietHolds};

impl Alerter {
    /// All reasons for which an alert may be held back at `now`.
    pub(super) fn holds(&self, now: Timestamp) -> impl Holds {
        // What people want counts before what falconer concludes.
        let quiet = QuietHolds::at(&self.settings, &self.silences(), now);
        (quiet, Inhibition::new(&self.settings))
    }

    /// Counts what is held back, and why.
    pub(super) fn count_held(&self, now: Timestamp) {
        self.metrics.silences_active(self.silences().active(now).count());
        let counts = {
            let book = self.book();
            let open = || book.alerts().filter(|open| open.resolution.is_none());
            let held = |kind| {
                open().filter(|open| open.held.values().any(|hold| hold.kind == kind)).count()
            };
            HoldKind::ALL.map(|kind| (kind, held(kind)))
        };
        for (kind, count) in counts {
            self.metrics.alerts_suppressed(kind.as_str(), count);
        }
    }
}

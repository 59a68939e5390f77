//! What keeps alerts from being told for a while: where the alerter puts together all that may.

use super::Alerter;
use crate::policy::notification::{Holds, NoHolds};

impl Alerter {
    /// All reasons for which an alert may be held back at present.
    pub(super) fn holds() -> impl Holds {
        NoHolds
    }
}

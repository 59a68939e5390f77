//! What was done survives that falconer is killed, or that another one leads.

use super::Recoverer;

impl Recoverer {
    /// Saves what has changed, soon.
    pub(super) fn keep(&self) {
        let mut ledger = self.ledger();
        if ledger.has_changes() {
            self.around.keeper.keep(ledger.take_changes());
        }
    }
}

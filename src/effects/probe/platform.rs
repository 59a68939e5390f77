//! Whether the platform can be asked. So that an unreachable API is one incident of its own, and
//! not one of each component.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::watch;

use crate::effects::Probe;
use crate::model::{Inventory, Outcome, ProbeObservation, ReasonKind};

/// Judges the inventory that the platform's adapter keeps up to date.
pub struct PlatformProbe {
    inventory: watch::Receiver<Arc<Inventory>>,
}

impl PlatformProbe {
    /// A probe of the platform behind `inventory`.
    pub fn new(inventory: watch::Receiver<Arc<Inventory>>) -> Self {
        Self { inventory }
    }
}

#[async_trait]
impl Probe for PlatformProbe {
    async fn probe(&self, budget: Duration) -> ProbeObservation {
        let mut inventory = self.inventory.clone();
        // The first list may still be under way.
        let known = inventory.wait_for(|newest| newest.synced || newest.error.is_some());
        let outcome = match tokio::time::timeout(budget, known).await {
            Ok(Ok(newest)) => match &newest.error {
                Some(reason) => Outcome::Failed { reason: reason.clone() },
                None => Outcome::Healthy,
            },
            Ok(Err(_)) => {
                Outcome::failed(ReasonKind::PlatformUnavailable, "the platform adapter has ended")
            }
            Err(_) => Outcome::failed(
                ReasonKind::Timeout,
                format!(
                    "no complete list from the platform within {}",
                    humantime::format_duration(budget)
                ),
            ),
        };
        ProbeObservation::of(outcome)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Reason;

    #[tokio::test(start_paused = true)]
    async fn it_is_healthy_only_with_a_list_and_without_an_error() {
        let (inventory, receiver) = watch::channel(Arc::new(Inventory::default()));
        let probe = PlatformProbe::new(receiver);
        let budget = Duration::from_secs(5);
        let outcome = probe.probe(budget).await.outcome;
        assert_eq!(outcome.reason().map(|reason| reason.kind), Some(ReasonKind::Timeout));

        inventory.send_replace(Arc::new(Inventory { synced: true, ..Inventory::default() }));
        assert_eq!(probe.probe(budget).await.outcome, Outcome::Healthy);

        let error = Some(Reason::new(ReasonKind::Unauthorized, "the token has expired"));
        inventory.send_replace(Arc::new(Inventory { synced: true, error, ..Inventory::default() }));
        assert!(probe.probe(budget).await.outcome.is_failed());
    }
}

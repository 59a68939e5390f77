//! Hands every change of a cluster's inventory to its supervisor; the newest one is enough.

use std::sync::Arc;
use std::time::Duration;

use actix::prelude::*;
use tokio::sync::watch;

use super::link::{Link, Undelivered};
use super::supervisor::InventoryChanged;
use crate::model::Inventory;

/// How soon a full or absent supervisor is tried again.
const RETRY_AFTER: Duration = Duration::from_millis(100);

/// The actor.
pub struct Discovery {
    inventory: watch::Receiver<Arc<Inventory>>,
    supervisor: Link<InventoryChanged>,
}

impl Discovery {
    /// Watches `inventory` on behalf of `supervisor`.
    pub fn new(
        inventory: watch::Receiver<Arc<Inventory>>,
        supervisor: Link<InventoryChanged>,
    ) -> Self {
        Self { inventory, supervisor }
    }
}

impl Actor for Discovery {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        #[cfg(any(test, feature = "fault-injection"))]
        super::fault_injection::arm("discovery", &ctx.address());
        let watching = forward(self.inventory.clone(), self.supervisor.clone());
        // The platform adapter went away: the parent decides what that means.
        ctx.spawn(watching.into_actor(self).map(|(), _, ctx| ctx.stop()));
    }
}

async fn forward(
    mut inventory: watch::Receiver<Arc<Inventory>>,
    supervisor: Link<InventoryChanged>,
) {
    loop {
        let newest = Arc::clone(&inventory.borrow_and_update());
        if let Err((Undelivered::Full | Undelivered::Closed, _)) =
            supervisor.try_send(InventoryChanged(newest))
        {
            inventory.mark_changed();
            tokio::time::sleep(RETRY_AFTER).await;
        }
        if inventory.changed().await.is_err() {
            return;
        }
    }
}

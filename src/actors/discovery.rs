//! Hands every change of a cluster's inventory to its supervisor; the newest one is enough.

use std::sync::Arc;
use std::time::Duration;

use actix::prelude::*;
use tokio::sync::watch;

use super::link::Link;
use super::supervisor::InventoryChanged;
use crate::model::Inventory;

/// How soon an absent supervisor is tried again.
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

/// One inventory at a time: the next one is sent when the supervisor has handled this one, so a
/// mailbox full of reports delays none, and what came in between is left out.
async fn forward(
    mut inventory: watch::Receiver<Arc<Inventory>>,
    supervisor: Link<InventoryChanged>,
) {
    loop {
        let newest = Arc::clone(&inventory.borrow_and_update());
        if supervisor.ask(InventoryChanged(newest)).await.is_none() {
            inventory.mark_changed();
            tokio::time::sleep(RETRY_AFTER).await;
        }
        if inventory.changed().await.is_err() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;
    use crate::actors::testing::in_virtual_time;
    use crate::model::ComponentInventory;

    /// Takes a second for every inventory.
    struct Slow(Arc<Mutex<Vec<usize>>>);

    impl Actor for Slow {
        type Context = Context<Self>;
    }

    impl Handler<InventoryChanged> for Slow {
        type Result = ();

        fn handle(&mut self, message: InventoryChanged, ctx: &mut Self::Context) {
            self.0.lock().unwrap().push(message.0.components.len());
            ctx.wait(tokio::time::sleep(Duration::from_secs(1)).into_actor(self));
        }
    }

    fn of(components: usize) -> Arc<Inventory> {
        let names = (0..components)
            .map(|number| (Arc::from(number.to_string()), ComponentInventory::default()));
        Arc::new(Inventory { synced: true, error: None, components: names.collect() })
    }

    #[test]
    fn the_newest_inventory_reaches_a_slow_supervisor_and_one_that_comes_later() {
        in_virtual_time(async {
            let (sender, receiver) = watch::channel(of(0));
            let link = Link::new();
            let _discovery = Discovery::new(receiver, link.clone()).start();
            tokio::time::sleep(Duration::from_millis(250)).await;
            sender.send_replace(of(1));
            let seen = Arc::new(Mutex::new(Vec::new()));
            link.publish(&Slow(Arc::clone(&seen)).start());
            tokio::time::sleep(Duration::from_millis(500)).await;
            assert_eq!(*seen.lock().unwrap(), [1]);
            for count in 2..=50 {
                sender.send_replace(of(count));
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            tokio::time::sleep(Duration::from_secs(10)).await;
            let seen = seen.lock().unwrap();
            assert_eq!(seen.last(), Some(&50));
            assert!(seen.len() <= 4, "{seen:?}");
        });
    }
}

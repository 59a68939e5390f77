//! What happens once falconer has done more to a cluster than its budget allows: nothing, until a person
//! has looked and says that it may go on.

use std::sync::Arc;

use falconer::actors::recoverer::{RecovererSnapshot, Resume};
use falconer::actors::tree::Tree;

use crate::world::cluster::Stopped;
use crate::world::{State, World};

/// The people who have looked by now say so.
pub async fn resume(tree: &Tree, world: &World) {
    let looked = world.lock().looked_at();
    for (index, cluster) in looked {
        let wish = Resume { cluster: Some(cluster), by: "somebody".to_owned() };
        let resumed = tree.resume_recovery().ask(wish).await;
        // Otherwise the actor is dead at the moment: again in a second.
        if resumed.is_some_and(|resumed| !resumed.is_empty()) {
            world.lock().resumed(index);
        }
    }
}

impl State {
    /// What the board says of the breakers.
    pub fn note_stopped(&mut self, status: &RecovererSnapshot) {
        let now = self.now();
        for index in 0..self.clusters.len() {
            let name = Arc::clone(&self.clusters[index].name);
            let is_open = status.breakers.contains_key(&name);
            if is_open && self.clusters[index].stopped.is_none() {
                let looked_at = now + self.dice.seconds(60, 2_400);
                self.clusters[index].stopped = Some(Stopped { since: now, looked_at });
                self.counts.stops += 1;
                self.say(format_args!("recovery of {name} is stopped"));
                if self.plan.dry_run {
                    self.violate(format!("recovery of {name} is stopped in a dry run"));
                }
            } else if !is_open && self.clusters[index].stopped.take().is_some() {
                self.violate(format!("recovery of {name} went on without a person"));
            }
        }
    }

    fn looked_at(&self) -> Vec<(usize, Arc<str>)> {
        let now = self.now();
        let all = self.clusters.iter().enumerate();
        let looked = all.filter(|(_, cluster)| {
            cluster.stopped.is_some_and(|stopped| self.calm || stopped.looked_at <= now)
        });
        looked.map(|(index, cluster)| (index, Arc::clone(&cluster.name))).collect()
    }

    fn resumed(&mut self, cluster: usize) {
        let name = Arc::clone(&self.clusters[cluster].name);
        self.say(format_args!("somebody lets falconer go on in {name}"));
        self.clusters[cluster].stopped = None;
        self.resumed_at = self.now();
    }
}

//! Hot reloads in the middle of it all: what did not change must not be touched, and no promise is
//! suspended meanwhile.

use std::sync::Arc;
use std::time::Duration;

use falconer::actors::tree::{ClusterParts, Tree, TreePlan, TreeSettings};
use falconer::effects::Notifier;
use falconer::model::Touched;

use crate::world::death::Actor;
use crate::world::{At, State, World};

/// What the tree is made of, to be handed over again and again.
pub struct Parts {
    /// The clusters.
    pub clusters: Vec<ClusterParts>,
    /// The receivers.
    pub receivers: Vec<Arc<dyn Notifier>>,
    /// The settings, as they are now.
    pub settings: TreeSettings,
}

/// What a reload changes.
enum Change {
    Nothing,
    Prober(At, Duration),
    Recoverer,
    Alerter,
}

impl Parts {
    fn plan(&self) -> TreePlan {
        TreePlan {
            clusters: self.clusters.clone(),
            receivers: self.receivers.clone(),
            settings: self.settings.clone(),
        }
    }

    /// Reloads with something changed, or nothing.
    pub async fn reload(&mut self, tree: &mut Tree, world: &World) {
        let change = world.lock().draw_change();
        let expected = match &change {
            Change::Nothing => None,
            Change::Prober(at, interval) => Some(world.lock().change_interval(*at, *interval)),
            Change::Recoverer => {
                let poll = &mut self.settings.recoverer.poll_interval;
                *poll = Duration::from_secs(if poll.as_secs() == 2 { 3 } else { 2 });
                Some("recoverer".to_owned())
            }
            Change::Alerter => {
                self.settings.alerter.give_up_after += Duration::from_secs(1);
                Some("alerter".to_owned())
            }
        };
        let before = world.lock().counts.panics;
        let touched = tree.reconfigure(self.plan()).await;
        let mut state = world.lock();
        let undisturbed = before == state.counts.panics && state.everybody_lives();
        state.say(format_args!(
            "--- reloaded, changed: {}",
            expected.as_deref().unwrap_or("nothing")
        ));
        if undisturbed && !is_expected(&touched, expected.as_deref()) {
            let expected = expected.as_deref().unwrap_or("nothing");
            state.violate(format!("a reload that changes {expected} touched {touched:?}"));
        }
    }
}

fn is_expected(touched: &Touched, expected: Option<&str>) -> bool {
    match expected {
        None => touched.total() == 0,
        Some(name) => {
            touched.total() == 1 && touched.changed.names.iter().any(|changed| changed == name)
        }
    }
}

impl State {
    /// Whether somebody changes the configuration in this second.
    pub fn reloads_now(&mut self) -> bool {
        let per_hour = 1.5 * self.plan.fury;
        self.dice.now(per_hour)
    }

    fn draw_change(&mut self) -> Change {
        match self.dice.number(0, 5) {
            0 | 1 => Change::Nothing,
            2 => Change::Recoverer,
            3 => Change::Alerter,
            _ => {
                let cluster = self.dice.index(self.clusters.len());
                let target = self.dice.index(self.clusters[cluster].targets.len());
                let at = At { cluster, target };
                let interval = self.dice.one_of_seconds(&[10, 15, 30]);
                let target = self.target(at);
                let is_new = target.plan.prober.interval != interval;
                // Gone, or about to be: then there is no prober to be touched.
                let is_watched =
                    self.clusters[cluster].newest().components.contains_key(&target.id.component)
                        || target.run.is_none();
                if is_new && is_watched { Change::Prober(at, interval) } else { Change::Nothing }
            }
        }
    }

    /// Gives the name of the prober that must be touched.
    fn change_interval(&mut self, at: At, interval: Duration) -> String {
        let now = self.now();
        let target = self.target_mut(at);
        target.plan.prober.interval = interval;
        target.log.spacing = interval.mul_f64(1.0 - target.plan.prober.jitter);
        target.log.last_began = Some(now);
        format!("prober {}", target.id)
    }

    /// Whether no actor is backing off.
    fn everybody_lives(&self) -> bool {
        let now = self.now();
        let supervisors = (0..self.clusters.len()).map(Actor::Supervisor);
        let mut all =
            [Actor::Alerter, Actor::Recoverer, Actor::Scaler].into_iter().chain(supervisors);
        all.all(|actor| self.deaths.back_by(actor).is_none_or(|back_by| back_by < now))
    }
}

//! One cluster and the platform it runs on: what it shows, and whether it answers.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use falconer::model::{Inventory, Reason, ReasonKind, Timestamp};
use tokio::sync::watch;

use super::action::Action;
use super::target::{Sickness, Target};
use super::{At, State};
use crate::dice::Dice;
use crate::plan::ClusterPlan;

/// How many of the newest inventories are remembered.
const REMEMBERED: usize = 8;

/// How the platform misbehaves while it is out of order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outage {
    /// It refuses connections.
    Refuses,
    /// It never answers.
    Hangs,
    /// It answers most calls, and breaks some.
    Flickers,
}

/// A cluster in which falconer does nothing more until a person has looked.
#[derive(Debug, Clone, Copy)]
pub struct Stopped {
    /// Since when that is known.
    pub since: Timestamp,
    /// When the person has looked.
    pub looked_at: Timestamp,
}

/// One cluster.
pub struct Cluster {
    /// Its name.
    pub name: Arc<str>,
    /// What it depends on.
    pub depends_on: BTreeSet<Arc<str>>,
    /// What is probed.
    pub targets: Vec<Target>,
    /// What is out of order, and until when.
    pub outage: Option<(Outage, Timestamp)>,
    /// When the outage shows in the inventory.
    pub outage_shows_at: Option<Timestamp>,
    /// Since when its platform is in order.
    pub answers_since: Timestamp,
    /// Where falconer has stopped acting: since when, and when a person has looked.
    pub stopped: Option<Stopped>,
    /// The planner panics when it is asked next.
    pub planner_breaks: bool,
    /// What falconer did.
    pub actions: Vec<Action>,
    shown: watch::Sender<Arc<Inventory>>,
    history: VecDeque<(Timestamp, Arc<Inventory>)>,
    show_at: Option<Timestamp>,
}

impl Cluster {
    /// A cluster that is well and whose first list has not arrived.
    pub fn new(plan: &ClusterPlan, now: Timestamp, dice: &mut Dice) -> Self {
        Self {
            name: Arc::clone(&plan.name),
            depends_on: plan.depends_on.clone(),
            targets: plan.targets.iter().map(|t| Target::new(&plan.name, t, now)).collect(),
            outage: None,
            outage_shows_at: None,
            answers_since: now,
            stopped: None,
            planner_breaks: false,
            actions: Vec::new(),
            shown: watch::channel(Arc::default()).0,
            history: VecDeque::new(),
            show_at: Some(now + dice.seconds(0, 5)),
        }
    }

    /// What the platform shows from now on.
    pub fn inventory(&self) -> watch::Receiver<Arc<Inventory>> {
        self.shown.subscribe()
    }

    /// Something is to be shown at `at`, or earlier.
    pub fn changed(&mut self, at: Timestamp) {
        self.show_at = Some(self.show_at.map_or(at, |other| other.min(at)));
    }

    /// Whether calls are answered at all.
    pub fn is_down(&self) -> bool {
        matches!(self.outage, Some((Outage::Refuses | Outage::Hangs, _)))
    }

    /// Everything that was shown from `since` on, and what was shown at that instant.
    pub fn shown_since(&self, since: Timestamp) -> impl Iterator<Item = &Arc<Inventory>> {
        let first = self.history.iter().rposition(|(at, _)| *at <= since).unwrap_or(0);
        self.history.iter().skip(first).map(|(_, inventory)| inventory)
    }

    /// Whether `fact` was shown without interruption since `since`.
    pub fn showed(&self, since: Timestamp, fact: impl Fn(&Inventory) -> bool) -> bool {
        let known = self.history.front().is_some_and(|(at, _)| *at <= since);
        known && self.shown_since(since).all(|inventory| fact(inventory))
    }

    /// What is shown right now.
    pub fn newest(&self) -> Arc<Inventory> {
        Arc::clone(&self.shown.borrow())
    }

    fn build(&self, error: Option<Reason>) -> Inventory {
        let present = self.targets.iter().filter(|target| target.present_since.is_some());
        let components = present.filter_map(|target| {
            let run = target.run.as_ref()?;
            Some((Arc::clone(&target.id.component), run.shown(target.is_unready())))
        });
        Inventory { synced: true, error, components: components.collect() }
    }

    /// Shows what is due.
    fn show(&mut self, now: Timestamp) -> bool {
        if self.outage_shows_at.is_some_and(|at| at <= now) && self.is_down() {
            if self.newest().error.is_some() {
                return false;
            }
            let error = Reason::new(ReasonKind::PlatformUnavailable, "connection refused");
            let last = self.newest();
            self.publish(Inventory { error: Some(error), ..Inventory::clone(&last) }, now);
            return true;
        }
        if self.is_down() || self.show_at.is_none_or(|at| at > now) {
            return false;
        }
        self.show_at = None;
        let inventory = self.build(None);
        self.publish(inventory, now);
        true
    }

    fn publish(&mut self, inventory: Inventory, now: Timestamp) {
        let inventory = Arc::new(inventory);
        if self.history.len() == REMEMBERED {
            self.history.pop_front();
        }
        self.history.push_back((now, Arc::clone(&inventory)));
        self.shown.send_replace(inventory);
    }
}

impl State {
    /// Lets the time pass in a cluster: what is due ends, and is shown.
    pub fn pass(&mut self, cluster: usize) {
        let now = self.now();
        let state = &mut self.clusters[cluster];
        if state.outage.is_some_and(|(_, until)| until <= now) {
            state.outage = None;
            state.outage_shows_at = None;
            state.answers_since = now;
            let name = Arc::clone(&state.name);
            self.say(format_args!("platform of {name} answers again"));
            self.changed(cluster);
        }
        for at in self.places(cluster) {
            self.pass_sickness(at, now);
            self.pass_workload(at, now);
        }
        let before = self.clusters[cluster].newest();
        if self.clusters[cluster].show(now) {
            self.note_presence(cluster, &before, now);
        }
    }

    fn pass_sickness(&mut self, at: At, now: Timestamp) {
        let target = self.target_mut(at);
        if target.sickness.as_ref().is_some_and(|sickness| sickness.until <= now) {
            target.sickness = None;
            let id = target.id.clone();
            self.say(format_args!("{id} is well by itself"));
            self.changed(at.cluster);
        }
        let target = self.target_mut(at);
        if let Some((_, sickness)) = target.relapse.take_if(|(due, _)| *due <= now)
            && target.sickness.is_none()
        {
            let until = now + Duration::from_hours(1);
            self.fall_sick(at, Sickness { until, ..sickness }, "again");
        }
    }

    fn pass_workload(&mut self, at: At, now: Timestamp) {
        let over = |until: Option<Timestamp>| until.is_some_and(|until| until <= now);
        let Some(run) = &mut self.target_mut(at).run else { return };
        let grown = run.growth.take_if(|growth| over(growth.until)).is_some();
        let rolled = run.rollout.as_ref().is_some_and(|rollout| over(rollout.until));
        if grown {
            self.say_of(at, "has all its replicas");
        }
        if rolled {
            self.roll_out(at);
        }
        if grown || rolled {
            self.changed(at.cluster);
        }
    }

    /// The platform has shown something: what is in it is watched from now on.
    fn note_presence(&mut self, cluster: usize, before: &Inventory, now: Timestamp) {
        let shown = self.clusters[cluster].newest();
        for target in &mut self.clusters[cluster].targets {
            if target.run.is_none() {
                continue;
            }
            let name = &target.id.component;
            let there = shown.components.get(name);
            let changed = there != before.components.get(name);
            if there.is_none() {
                target.gone_since.get_or_insert(now);
            } else if target.gone_since.take().is_some() || target.log.began_anew.is_none() {
                target.log.begin_anew(now);
            } else if changed || before.error.is_some() {
                target.log.news(now);
            }
        }
    }
}

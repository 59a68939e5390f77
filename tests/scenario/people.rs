//! What people do to a cluster while falconer works on it, and what they mend in the end.

use std::time::Duration;

use crate::world::death::Actor;
use crate::world::receiver::Mood;
use crate::world::{At, State};

impl State {
    /// Somebody does something to a component.
    pub fn somebody_interferes(&mut self, cluster: usize) {
        let target = self.dice.index(self.clusters[cluster].targets.len());
        let at = At { cluster, target };
        if self.target(at).run.is_none() {
            return;
        }
        let (id, what) = (self.target(at).id.clone(), self.dice.number(0, 9));
        self.counts.faults += 1;
        let words = match what {
            0 | 1 => {
                self.begin_rollout(at, None);
                "rolls it out"
            }
            2 => self.rescale(at),
            3 => self.toggle_pause(at),
            4 => self.toggle_zero(at),
            5 => self.move_to_twin(at),
            6..=8 => self.come_or_go(at),
            _ => self.unstick(at),
        };
        self.say(format_args!("somebody {words}: {id}"));
        self.changed(cluster);
    }

    fn rescale(&mut self, at: At) -> &'static str {
        let replicas = self.dice.count(1, 5);
        if self.target(at).run.as_ref().is_some_and(|run| run.desired > 0) {
            self.begin_growth(at, replicas, None);
        }
        "changes its replicas"
    }

    fn toggle_pause(&mut self, at: At) -> &'static str {
        if let Some(run) = &mut self.target_mut(at).run {
            run.paused = !run.paused;
        }
        "pauses or resumes it"
    }

    fn toggle_zero(&mut self, at: At) -> &'static str {
        let zero = self.target(at).run.as_ref().is_some_and(|run| run.desired == 0);
        let planned = self.target(at).plan.runs.as_ref().map_or(1, |runs| runs.replicas);
        self.begin_growth(at, if zero { planned } else { 0 }, None);
        "switches it off or on"
    }

    fn move_to_twin(&mut self, at: At) -> &'static str {
        if let Some(run) = &mut self.target_mut(at).run
            && let Some((_, replicas)) = &mut run.twin
        {
            *replicas = u32::from(*replicas == 0);
        }
        "begins or ends the operator's rollout"
    }

    fn come_or_go(&mut self, at: At) -> &'static str {
        let now = self.now();
        let breaks = self.may_die(Actor::Supervisor(at.cluster)) && self.dice.chance(0.3);
        let target = self.target_mut(at);
        if !target.plan.runs.as_ref().is_some_and(|runs| runs.comes_and_goes) {
            return "looks at it";
        }
        if target.present_since.take().is_some() {
            return "removes it";
        }
        target.present_since = Some(now);
        target.sickness = None;
        target.relapse = None;
        self.clusters[at.cluster].planner_breaks |= breaks;
        "installs it"
    }

    fn unstick(&mut self, at: At) -> &'static str {
        let soon = self.now() + Duration::from_secs(5);
        let target = self.target_mut(at);
        if let Some(rollout) = target.run.as_mut().and_then(|run| run.rollout.as_mut()) {
            rollout.until = Some(soon);
            target.sickness = None;
        }
        "mends its rollout"
    }

    /// The faults stop: within a minute everything is mended.
    pub fn mend_everything(&mut self) {
        self.calm = true;
        self.say("--- from here on nothing goes wrong any more");
        let now = self.now();
        for cluster in 0..self.clusters.len() {
            let state = &mut self.clusters[cluster];
            state.planner_breaks = false;
            if let Some((_, until)) = &mut state.outage {
                *until = (*until).min(now + Duration::from_secs(30));
            }
            for at in self.places(cluster) {
                self.mend(at);
            }
            self.changed(cluster);
        }
        let alerter_back = self.deaths.back_by(Actor::Alerter).unwrap_or_default()
            + self.plan.settings.alerter.send_timeout;
        for receiver in &mut self.receivers {
            if receiver.mood != Mood::Fine {
                receiver.mood = Mood::Fine;
                receiver.mood_until = now;
                receiver.calm_since = now.max(alerter_back);
            }
        }
    }

    fn mend(&mut self, at: At) {
        let now = self.now();
        let soon = now + self.dice.seconds(1, 60);
        let target = self.target_mut(at);
        target.relapse = None;
        if let Some(sickness) = &mut target.sickness {
            sickness.until = sickness.until.min(soon);
        }
        let planned = target.plan.runs.as_ref().map_or(1, |runs| runs.replicas);
        target.present_since.get_or_insert(now);
        let Some(run) = &mut target.run else { return };
        run.paused = false;
        if run.desired == 0 {
            run.desired = planned;
        }
        if let Some((_, replicas)) = &mut run.twin {
            *replicas = 0;
        }
        if let Some(rollout) = &mut run.rollout {
            rollout.until = Some(soon);
        }
        if let Some(growth) = &mut run.growth {
            growth.until = Some(soon);
        }
    }

    /// From here on no load asks for other replicas.
    pub fn settle_load(&mut self) {
        for at in self.all_places() {
            if let Some(run) = &mut self.target_mut(at).run {
                run.demand = f64::from(run.desired) * 50.0;
            }
        }
    }
}

//! What goes wrong, and when: drawn anew every second.

use std::time::Duration;

use falconer::model::ProberKind;

use crate::world::cluster::Outage;
use crate::world::receiver::Mood;
use crate::world::target::{Manner, Sickness};
use crate::world::{At, State};

impl State {
    /// Lets one second of trouble happen.
    pub fn trouble(&mut self) {
        let fury = self.plan.fury;
        for cluster in 0..self.clusters.len() {
            let targets = self.clusters[cluster].targets.len();
            if self.dice.now(2.0 * fury * targets as f64) {
                let at = At { cluster, target: self.dice.index(targets) };
                let sickness = self.sickness();
                self.fall_sick(at, sickness, "anew");
            }
            if self.dice.now(0.5 * fury) {
                self.dependency_fails(cluster);
            }
            if self.dice.now(0.4 * fury) {
                self.storm(cluster);
            }
            if self.dice.now(1.5 * fury) {
                self.platform_fails(cluster);
            }
            if self.dice.now(6.0 * fury) {
                self.load_changes(cluster);
            }
            if self.dice.now(5.0 * fury) {
                self.somebody_interferes(cluster);
            }
        }
        for index in 0..self.receivers.len() {
            if self.dice.now(3.0 * fury) {
                self.receiver_fails(index);
            }
        }
    }

    /// Ends what is over with the receivers.
    pub fn moods_pass(&mut self) {
        let now = self.now();
        for receiver in &mut self.receivers {
            if receiver.mood != Mood::Fine && receiver.mood_until <= now {
                receiver.mood = Mood::Fine;
            }
        }
    }

    fn sickness(&mut self) -> Sickness {
        let now = self.now();
        let manner = match self.dice.number(0, 99) {
            0..=44 => Manner::Fails,
            45..=59 => Manner::Hangs,
            60..=64 => Manner::Slow,
            65..=76 => Manner::Degraded,
            77..=89 => Manner::Flaps,
            _ => Manner::Panics,
        };
        let (lasts, curable) = match self.dice.number(0, 9) {
            0..=2 => (self.dice.seconds(5, 900), false),
            3..=8 => (self.dice.seconds(1_800, 7_200), true),
            _ => (self.dice.seconds(1_800, 5_400), false),
        };
        let lasts =
            if manner == Manner::Panics { lasts.min(Duration::from_mins(6)) } else { lasts };
        let relapses_after = self.dice.chance(0.5).then(|| self.dice.seconds(60, 1_200));
        let shown = matches!(manner, Manner::Fails | Manner::Hangs) && self.dice.chance(0.4);
        Sickness { manner, until: now + lasts, curable, relapses_after, shown }
    }

    /// A target falls sick, unless it is.
    pub fn fall_sick(&mut self, at: At, sickness: Sickness, how: &str) {
        let target = self.target(at);
        // How the platform's own prober fares is up to the platform.
        if target.plan.kind == ProberKind::Platform || target.sickness.is_some() {
            return;
        }
        let (id, now) = (target.id.clone(), self.now());
        self.counts.faults += 1;
        self.say(format_args!(
            "{id} SICK {how}: {:?} for {} s{}{}",
            sickness.manner,
            sickness.until.since(now).as_secs(),
            if sickness.curable { ", a restart helps" } else { "" },
            if sickness.shown { ", pods not ready" } else { "" },
        ));
        self.target_mut(at).sickness = Some(sickness);
        self.changed(at.cluster);
    }

    /// A dependency fails, and takes components with it.
    fn dependency_fails(&mut self, cluster: usize) {
        let lasts = self.dice.seconds(30, 900);
        for at in self.places(cluster) {
            let target = self.target(at);
            let is_dependency = self.clusters[cluster].depends_on.contains(&target.id.component);
            let suffers = target.run.is_some() && self.dice.chance(0.3);
            if is_dependency || suffers {
                self.fails_for(at, lasts, "with its dependency");
            }
        }
    }

    /// Everything fails at once, or nearly everything.
    fn storm(&mut self, cluster: usize) {
        let (share, lasts) = (0.4 + 0.6 * self.dice.share(), self.dice.seconds(20, 1_200));
        for at in self.places(cluster) {
            if self.dice.chance(share) {
                self.fails_for(at, lasts, "in a storm");
            }
        }
    }

    fn fails_for(&mut self, at: At, lasts: Duration, how: &str) {
        let until = self.now() + lasts;
        let manner = self.dice.one(&[Manner::Fails, Manner::Fails, Manner::Hangs]);
        let curable = self.dice.chance(0.5);
        let sickness = Sickness { manner, until, curable, relapses_after: None, shown: false };
        self.fall_sick(at, sickness, how);
    }

    fn platform_fails(&mut self, cluster: usize) {
        let now = self.now();
        let outage = self.dice.one(&[Outage::Refuses, Outage::Hangs, Outage::Flickers]);
        let lasts = self.dice.seconds(5, 600);
        let shows_after = self.dice.millis(0, 20_000);
        let state = &mut self.clusters[cluster];
        if state.outage.is_some() {
            return;
        }
        state.outage = Some((outage, now + lasts));
        state.outage_shows_at = Some(now + shows_after);
        let name = state.name.clone();
        self.counts.faults += 1;
        self.say(format_args!("platform of {name} {outage:?} for {} s", lasts.as_secs()));
    }

    fn load_changes(&mut self, cluster: usize) {
        let target = self.dice.index(self.clusters[cluster].targets.len());
        let at = At { cluster, target };
        let per_replica = self.dice.one(&[10.0, 30.0, 60.0, 90.0, 150.0]);
        let Some(run) = &mut self.target_mut(at).run else { return };
        run.demand = per_replica * f64::from(run.desired.max(1));
        let (id, load) = (self.target(at).id.clone(), per_replica);
        self.counts.faults += 1;
        self.say(format_args!("load of {id} is {load} % of each replica"));
    }

    fn receiver_fails(&mut self, index: usize) {
        let now = self.now();
        let (mood, lasts) = match self.dice.number(0, 9) {
            0 => (Mood::Slow, self.dice.seconds(30, 600)),
            1 | 2 => (Mood::Hangs, self.dice.seconds(10, 900)),
            3 | 4 => (Mood::Away, self.dice.seconds(10, 1_800)),
            5 => (Mood::Refuses, self.dice.seconds(10, 900)),
            6 | 7 => (Mood::Loses, self.dice.seconds(5, 120)),
            8 => (Mood::Swallows, self.dice.seconds(5, 120)),
            _ => (Mood::Breaks, self.dice.seconds(5, 60)),
        };
        if self.receivers[index].mood != Mood::Fine {
            return;
        }
        self.receivers[index].becomes(mood, now + lasts);
        let name = self.receivers[index].name.clone();
        self.counts.faults += 1;
        self.say(format_args!("receiver {name} {mood:?} for {} s", lasts.as_secs()));
    }
}

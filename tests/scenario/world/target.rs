//! Something that is probed: how it really is, and what its probes have told so far.

use std::collections::VecDeque;
use std::time::Duration;

use falconer::model::{ComponentId, ProberKind, Timestamp};
use falconer::policy::health::HealthSettings;

use super::workload::Run;
use crate::plan::TargetPlan;

/// How many outcomes are remembered.
const REMEMBERED: usize = 32;

/// In which way it is sick.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Manner {
    /// Its probe fails at once.
    Fails,
    /// Its probe is never answered.
    Hangs,
    /// Its probe is answered too late.
    Slow,
    /// It serves, badly.
    Degraded,
    /// It fails now and then.
    Flaps,
    /// Its probe panics.
    Panics,
}

/// A sickness and its end.
#[derive(Debug, Clone)]
pub struct Sickness {
    /// In which way.
    pub manner: Manner,
    /// When it passes by itself.
    pub until: Timestamp,
    /// Whether a restart ends it.
    pub curable: bool,
    /// After a restart has helped it comes again after this time.
    pub relapses_after: Option<Duration>,
    /// Whether the platform sees that the pods are not ready.
    pub shown: bool,
}

/// What one probe told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Told {
    /// Healthy.
    Healthy,
    /// Degraded.
    Degraded,
    /// Failed.
    Failed,
    /// It is switched off on purpose.
    Off,
}

/// One probe.
#[derive(Debug, Clone, Copy)]
pub struct Seen {
    /// When it began.
    pub began: Timestamp,
    /// When it ended.
    pub ended: Timestamp,
    /// What it told.
    pub told: Told,
}

/// What is probed.
pub struct Target {
    /// Its identifier.
    pub id: ComponentId,
    /// What was planned.
    pub plan: TargetPlan,
    /// Since when it exists, if it does.
    pub present_since: Option<Timestamp>,
    /// Since when it does not exist.
    pub gone_since: Option<Timestamp>,
    /// What ails it.
    pub sickness: Option<Sickness>,
    /// What will ail it again.
    pub relapse: Option<(Timestamp, Sickness)>,
    /// What runs it.
    pub run: Option<Run>,
    /// Its probes so far.
    pub log: ProbeLog,
    /// When the recoverer last said that it leaves it to a person.
    pub escalated_at: Option<Timestamp>,
    /// When its restart was announced that was not asked for yet.
    pub announced: Option<Timestamp>,
    /// When its restart was last announced.
    pub decided_at: Option<Timestamp>,
    /// When falconer was last told that its rollout is complete.
    pub told_complete_at: Option<Timestamp>,
    /// Since when nothing speaks against doing something about it.
    pub actionable_since: Option<Timestamp>,
}

impl Target {
    /// A target that is well.
    pub fn new(cluster: &str, plan: &TargetPlan, now: Timestamp) -> Self {
        Self {
            id: ComponentId::new(cluster, std::sync::Arc::clone(&plan.name)),
            run: plan.runs.as_ref().map(|runs| Run::new(runs, cluster, now)),
            present_since: Some(now),
            gone_since: None,
            sickness: None,
            relapse: None,
            log: ProbeLog::new(
                plan.health,
                plan.prober.interval.mul_f64(1.0 - plan.prober.jitter),
                now,
            ),
            escalated_at: None,
            announced: None,
            decided_at: None,
            told_complete_at: None,
            actionable_since: None,
            plan: plan.clone(),
        }
    }

    /// Whether the platform sees none of its pods ready.
    pub fn is_unready(&self) -> bool {
        self.sickness.as_ref().is_some_and(|sickness| sickness.shown)
    }

    /// Whether its own probe would fail.
    pub fn fails(&self) -> bool {
        self.sickness.as_ref().is_some_and(|sickness| match sickness.manner {
            Manner::Fails | Manner::Hangs | Manner::Slow => true,
            Manner::Degraded | Manner::Flaps | Manner::Panics => false,
        })
    }

    /// Whether it is the Milvus service as a whole.
    pub fn is_service(&self) -> bool {
        self.plan.kind == ProberKind::Milvus
    }
}

/// What the probes of one target told.
pub struct ProbeLog {
    health: HealthSettings,
    /// Two failures that begin within less are not surely counted both: one may be out of turn.
    pub spacing: Duration,
    /// The newest ones.
    pub seen: VecDeque<Seen>,
    /// When the newest one began.
    pub last_began: Option<Timestamp>,
    /// Failures in a row.
    pub failures: u32,
    /// Healthy ones in a row.
    pub clean: u32,
    /// When the present run of failures reached the threshold.
    pub crossed_at: Option<Timestamp>,
    /// The same, where it was healthy beyond doubt before.
    pub crossed_fresh: Option<Timestamp>,
    /// When there was last such a run.
    pub last_unhealthy: Option<Timestamp>,
    /// When there was last such a run of healthy ones that it must count as healthy.
    pub last_healthy: Option<Timestamp>,
    /// When it was last degraded.
    pub last_degraded: Option<Timestamp>,
    /// Whether it was ever anything but healthy.
    pub ever_sick: bool,
    /// Since when falconer must know, beyond doubt, that it is unhealthy.
    pub surely_unhealthy: Option<Timestamp>,
    /// The same for healthy.
    pub surely_healthy: Option<Timestamp>,
    sure_failures: u32,
    /// Healthy ones in a row that falconer must know of.
    pub sure_clean: u32,
    /// Whether nothing but single failures came since it was healthy.
    fresh: bool,
    /// When the newest failure began that surely counts.
    counted_at: Option<Timestamp>,
    /// Since when it is known to be switched off.
    pub off_since: Option<Timestamp>,
    /// When it was first shown, or shown again.
    pub began_anew: Option<Timestamp>,
    /// Before that, failures may be excused.
    pub excused_until: Timestamp,
    /// Before that, what was told may have been lost with its listener.
    pub untracked_until: Timestamp,
}

impl ProbeLog {
    fn new(health: HealthSettings, spacing: Duration, now: Timestamp) -> Self {
        Self {
            health,
            spacing,
            seen: VecDeque::new(),
            last_began: None,
            failures: 0,
            clean: 0,
            crossed_at: None,
            crossed_fresh: None,
            last_unhealthy: None,
            last_healthy: None,
            last_degraded: None,
            ever_sick: false,
            surely_unhealthy: None,
            surely_healthy: None,
            sure_failures: 0,
            sure_clean: 0,
            fresh: false,
            counted_at: None,
            off_since: None,
            began_anew: None,
            excused_until: now + health.startup_grace,
            untracked_until: Timestamp::default(),
        }
    }

    /// A probe has ended. `is_down` where the platform shows no pod that is ready.
    pub fn add(&mut self, seen: Seen, is_down: bool) {
        if self.seen.len() == REMEMBERED {
            self.seen.pop_front();
        }
        self.seen.push_back(seen);
        let at = seen.ended;
        if seen.told != Told::Off && self.off_since.take().is_some() {
            self.excused_until(at + self.health.startup_grace);
        }
        match seen.told {
            Told::Failed => self.failed(seen, is_down),
            Told::Off => {
                self.off_since.get_or_insert(at);
                self.last_healthy = Some(at);
                self.failures = 0;
                self.crossed_fresh = None;
                self.news(at);
                self.unwell();
            }
            Told::Degraded | Told::Healthy => {
                self.failures = 0;
                self.crossed_at = None;
                self.crossed_fresh = None;
                self.sure_failures = 0;
                self.surely_unhealthy = None;
                if seen.told == Told::Healthy {
                    self.well(at);
                } else {
                    self.last_degraded = Some(at);
                    self.fresh = false;
                    self.unwell();
                }
            }
        }
    }

    fn failed(&mut self, seen: Seen, is_down: bool) {
        let at = seen.ended;
        self.unwell();
        self.failures += 1;
        if is_down {
            // The platform's word makes it unhealthy sooner.
            self.fresh = false;
            self.last_unhealthy = Some(at);
        }
        if self.failures >= self.health.failure_threshold {
            if self.crossed_at.is_none() {
                self.crossed_at = Some(at);
                self.crossed_fresh = self.fresh.then_some(at);
            }
            self.fresh = false;
            self.last_unhealthy = Some(at);
        }
        let counts = self.counted_at.is_none_or(|last| seen.began.since(last) >= self.spacing);
        if counts && at >= self.excused_until && at >= self.untracked_until {
            self.counted_at = Some(seen.began);
            self.sure_failures += 1;
            if self.sure_failures > self.health.failure_threshold {
                self.surely_unhealthy.get_or_insert(at);
            }
        }
    }

    fn unwell(&mut self) {
        self.ever_sick = true;
        self.clean = 0;
        self.sure_clean = 0;
        self.surely_healthy = None;
    }

    fn well(&mut self, at: Timestamp) {
        self.clean += 1;
        if self.clean >= self.health.success_threshold {
            self.last_healthy = Some(at);
            self.fresh = true;
        }
        if at >= self.untracked_until {
            self.sure_clean += 1;
            if self.sure_clean > self.health.success_threshold {
                self.surely_healthy.get_or_insert(at);
            }
        }
    }

    /// It is excused for failing, because its workload restarts.
    pub fn excused_until(&mut self, until: Timestamp) {
        self.excused_until = self.excused_until.max(until);
        self.sure_failures = 0;
        self.surely_unhealthy = None;
    }

    /// The platform shows other pods than before: what was told so far may count anew, and failures
    /// may be excused until new pods are up.
    pub fn news(&mut self, now: Timestamp) {
        self.fresh = false;
        self.sure_clean = 0;
        self.surely_healthy = None;
        self.excused_until(now + self.health.startup_grace);
    }

    /// What it told may be lost: the listener died.
    pub fn lost_track_until(&mut self, until: Timestamp) {
        self.untracked_until = self.untracked_until.max(until);
        self.sure_failures = 0;
        self.sure_clean = 0;
        self.surely_unhealthy = None;
        self.surely_healthy = None;
    }

    /// It exists anew.
    pub fn begin_anew(&mut self, now: Timestamp) {
        let ever_sick = self.ever_sick;
        let last_unhealthy = self.last_unhealthy;
        let (last_degraded, untracked_until) = (self.last_degraded, self.untracked_until);
        *self = Self::new(self.health, self.spacing, now);
        self.began_anew = Some(now);
        self.ever_sick = ever_sick;
        self.last_unhealthy = last_unhealthy;
        self.last_degraded = last_degraded;
        self.untracked_until = untracked_until;
    }

    /// Whether falconer must know that its newest probe failed: it did, and so did the newest one
    /// that ended before `before` and was not told to a dead listener.
    pub fn surely_failing(&self, before: Timestamp) -> bool {
        let known = self.seen.iter().rev().find(|seen| seen.ended < before);
        let failed = |seen: &Seen| seen.told == Told::Failed;
        known.is_some_and(|seen| failed(seen) && seen.ended >= self.untracked_until)
            && self.seen.back().is_some_and(failed)
    }
}

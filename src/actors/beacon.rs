//! Tells a watchdog outside that falconer lives, so that somebody hears of it when it does not. It runs
//! on the actors' thread: when that is blocked, it falls silent, as it should. Only a falconer that
//! would tell people sends signs of life: a leader that died and was not replaced is silent too.

mod condition;
#[cfg(test)]
mod tests;

use std::fmt;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use actix::prelude::*;
use futures::FutureExt as _;
use serde::Serialize;

use super::exit_guard::panic_message;
use super::leadership::LeadershipHandle;
use super::status::StatusBoard;
use crate::clock::Clock;
use crate::effects::LifeSign;
use crate::metrics::{HeartbeatOutcome, Metrics};
use crate::model::{Condition, Timestamp};
use crate::policy::heartbeat::{BeatDecision, BeatReason, HeartbeatSettings, Pulse, SilenceReason};
use condition::Watch;

/// How often falconer's condition is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// How signs of life go out.
#[derive(Clone, Default)]
pub struct BeaconSettings {
    /// When.
    pub heartbeat: HeartbeatSettings,
    /// Where to; `None`: nowhere.
    pub target: Option<Arc<dyn LifeSign>>,
}

impl PartialEq for BeaconSettings {
    fn eq(&self, other: &Self) -> bool {
        let is_same = match (&self.target, &other.target) {
            (Some(one), Some(other)) => Arc::ptr_eq(one, other),
            (None, None) => true,
            (Some(_), None) | (None, Some(_)) => false,
        };
        is_same && self.heartbeat == other.heartbeat
    }
}

impl fmt::Debug for BeaconSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { heartbeat, target } = self;
        let is_set = target.is_some();
        f.debug_struct("BeaconSettings")
            .field("heartbeat", heartbeat)
            .field("is_set", &is_set)
            .finish()
    }
}

/// What can be seen of the beacon from outside.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct BeaconSnapshot {
    /// Whether signs of life go anywhere.
    pub enabled: bool,
    /// When the newest one was accepted.
    pub accepted_at: Option<Timestamp>,
    /// Since when none was accepted, while that is so.
    pub failing_since: Option<Timestamp>,
    /// Why.
    pub error: Option<String>,
    /// Why none goes out, while that is so.
    pub silent: Option<String>,
}

/// What a beacon is made of, whatever its settings are.
#[derive(Clone)]
pub struct BeaconParts {
    /// Whether this falconer would tell people.
    pub leadership: LeadershipHandle,
    /// Observable state: where it is seen how falconer does.
    pub board: StatusBoard,
    /// Time.
    pub clock: Clock,
    /// Instruments.
    pub metrics: Metrics,
}

/// From now on these settings hold.
#[derive(Debug, Clone, Message)]
#[rtype(result = "()")]
pub struct Reconfigure(pub BeaconSettings);

/// The actor.
pub struct Beacon {
    settings: BeaconSettings,
    parts: BeaconParts,
    pulse: Pulse,
    watch: Watch,
    is_in_flight: bool,
    shown: BeaconSnapshot,
}

impl Beacon {
    /// A beacon with these settings.
    pub fn new(settings: BeaconSettings, parts: BeaconParts) -> Self {
        let watch = Watch::new(parts.clock.now());
        let (pulse, shown) = (Pulse::default(), BeaconSnapshot::default());
        Self { settings, parts, pulse, watch, is_in_flight: false, shown }
    }

    fn look(&mut self, ctx: &mut Context<Self>) {
        let now = self.parts.clock.now();
        self.watch.looked(now);
        if self.settings.target.is_some() && !self.is_in_flight {
            self.decide(now, ctx);
        }
        self.publish();
        ctx.run_later(LOOK_EVERY, Self::look);
    }

    fn decide(&mut self, now: Timestamp, ctx: &mut Context<Self>) {
        if let Err(why) = self.parts.leadership.speaks() {
            self.fall_silent(why.to_string());
            return;
        }
        let condition = self.watch.condition(&self.parts.board.actors());
        match (self.pulse.decide(&condition, &self.settings.heartbeat, now), &condition) {
            (BeatDecision::Send { reason }, _) => {
                self.shown.silent = None;
                self.begin_send(condition, reason, ctx);
            }
            (
                BeatDecision::Wait { reason: SilenceReason::Unwell, .. },
                Condition::Unwell { why },
            ) => {
                self.fall_silent(why.clone());
                self.watch.told();
            }
            (BeatDecision::Wait { .. }, _) => self.shown.silent = None,
        }
    }

    fn fall_silent(&mut self, why: String) {
        if self.shown.silent.is_none() {
            tracing::warn!(why, "no signs of life go out");
            self.parts.metrics.heartbeat(HeartbeatOutcome::Withheld);
        }
        self.shown.silent = Some(why);
    }

    fn begin_send(&mut self, condition: Condition, reason: BeatReason, ctx: &mut Context<Self>) {
        let Some(target) = self.settings.target.clone() else { return };
        self.is_in_flight = true;
        let (limit, since) = (self.settings.heartbeat.timeout, self.parts.clock.now());
        let sending = async move {
            let result = tell(target.as_ref(), &condition, limit).await;
            (condition, result)
        };
        ctx.spawn(sending.into_actor(self).map(move |(condition, result), beacon, _| {
            beacon.is_in_flight = false;
            beacon.on_send_done(&condition, reason, since, result);
            beacon.publish();
        }));
    }

    fn on_send_done(
        &mut self,
        condition: &Condition,
        reason: BeatReason,
        since: Timestamp,
        result: Result<(), String>,
    ) {
        let (now, settings) = (self.parts.clock.now(), &self.settings.heartbeat);
        match result {
            Ok(()) => {
                if let Some(silent_since) = self.shown.failing_since.take() {
                    tracing::info!(%silent_since, "signs of life are accepted again");
                }
                tracing::debug!(?reason, well = condition.is_well(), "sign of life accepted");
                self.shown.error = None;
                self.shown.accepted_at = Some(now);
                self.pulse.accepted(condition, settings, since);
                self.watch.told();
                self.parts.metrics.heartbeat(HeartbeatOutcome::Accepted);
            }
            Err(error) => {
                if self.shown.failing_since.is_none() {
                    tracing::warn!(error, "sign of life not accepted");
                }
                self.shown.failing_since.get_or_insert(now);
                self.shown.error = Some(error);
                self.pulse.failed(settings, fastrand::f64(), now);
                self.parts.metrics.heartbeat(HeartbeatOutcome::Failed);
            }
        }
    }

    fn publish(&mut self) {
        self.shown.enabled = self.settings.target.is_some();
        let shown = &self.shown;
        self.parts.board.update(|status| {
            if status.beacon != *shown {
                status.beacon.clone_from(shown);
            }
        });
    }

    fn follow(&mut self, settings: BeaconSettings) {
        self.settings = settings;
        // The new far side has heard nothing yet.
        self.pulse = Pulse::default();
        self.shown = BeaconSnapshot::default();
    }
}

/// One attempt within `limit`; a panic in an adapter costs that attempt only.
async fn tell(target: &dyn LifeSign, condition: &Condition, limit: Duration) -> Result<(), String> {
    let telling = AssertUnwindSafe(target.tell(condition)).catch_unwind();
    match tokio::time::timeout(limit, telling).await {
        Ok(Ok(result)) => result.map_err(|error| error.to_string()),
        Ok(Err(payload)) => Err(format!("panicked: {}", panic_message(payload.as_ref()))),
        Err(_) => Err(format!("no answer within {} s", limit.as_secs_f64())),
    }
}

impl Actor for Beacon {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        #[cfg(any(test, feature = "fault-injection"))]
        super::fault_injection::arm("beacon", &ctx.address());
        self.look(ctx);
    }
}

impl Handler<Reconfigure> for Beacon {
    type Result = ();

    fn handle(&mut self, Reconfigure(settings): Reconfigure, _: &mut Context<Self>) {
        self.follow(settings);
    }
}

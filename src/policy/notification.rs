//! Who is told what and when: alerts in groups, repeated while they fire, retried until they are
//! accepted, resolved once. Pure; never sends anything itself.
//!
//! - [`NotificationSettings`] and its routes: who is told.
//! - [`Delivery`]: the state machine of one alert at one receiver.
//! - [`Group`]: when the alerts that belong together are told, in one message.
//! - [`Holds`]: what keeps an alert from being told for a while.
//! - [`AlertBook`]: all open alerts, all receivers; what survives a respawn of the alerter.

mod alert;
mod book;
mod decision;
mod delivery;
mod group;
mod hold;
mod limit;
mod membership;
mod message;
mod outcome;
mod reroute;
mod route;
mod routing;
mod sending;
mod stored;

pub use alert::{Alert, OpenAlert, ReceiverState, Suspicion};
pub use book::{AlertBook, Finished, NextStep, Raised, SendFailure, Undelivered};
pub use delivery::{
    CloseReason, Delivery, Draft, NotificationDecision, Pace, Resolution, SendReason, Told,
    WaitReason,
};
pub use group::{Group, Timing};
pub use hold::{Hold, HoldKind, Holds, NoHolds};
pub use limit::RateLimit;
pub use membership::GroupView;
pub use message::MAX_ALERTS;
pub use reroute::{Dropped, Rerouted};
pub use route::{NotificationSettings, ReceiverPolicy, Route};
pub use routing::{GroupLabel, fits};
pub use stored::Adopted;

#[cfg(test)]
mod simulation;
#[cfg(test)]
mod timing_tests;

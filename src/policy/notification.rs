//! Who is told what and when: alerts in groups, repeated while they fire, retried until they are
//! accepted, resolved once. Pure; never sends anything itself.
//!
//! - [`NotificationSettings`] and its routes: who is told.
//! - [`Delivery`]: the state machine of one alert at one receiver.
//! - [`Group`]: when the alerts that belong together are told, in one message.
//! - [`Holds`]: what keeps an alert from being told for a while.
//! - [`AlertBook`]: all open alerts, all receivers; what survives a respawn of the alerter.

mod absence;
mod alert;
mod attention;
mod book;
mod decision;
mod delivery;
mod group;
mod hold;
mod inhibition;
mod limit;
mod listeners;
mod membership;
mod message;
mod outcome;
pub mod own;
mod quieting;
mod receiver_watch;
mod reroute;
mod route;
mod routing;
mod sending;
mod shown;
mod stored;
mod undelivered;

pub use alert::{Alert, OpenAlert, ReceiverState, Suspicion};
pub use attention::{AcknowledgeRefusal, Attention, Escalated, EscalationLevel};
pub use book::{AlertBook, Finished, NextStep, Raised, SendFailure};
pub use delivery::{
    CloseReason, Delivery, Draft, NotificationDecision, Pace, Resolution, SendReason, Told,
    WaitReason,
};
pub use group::{Group, Timing};
pub use hold::{Hold, HoldKind, Holds, NoHolds};
pub use inhibition::{Inhibition, LONGEST_SUSPICION};
pub use limit::RateLimit;
pub use membership::GroupView;
pub use message::MAX_ALERTS;
pub use own::OwnAlerts;
pub use quieting::QuietHolds;
pub use receiver_watch::{Backlog, Loss, LossReason, ReceiverNews, ReceiverWatch};
pub use reroute::{Dropped, Rerouted};
pub use route::{NotificationSettings, ReceiverPolicy, Route};
pub use routing::GroupLabel;
pub use stored::Adopted;
pub use undelivered::Undelivered;

#[cfg(test)]
mod simulation;
#[cfg(test)]
mod timing_tests;

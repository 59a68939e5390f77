//! Who is told what and when: one alert per incident, repeated while it fires, retried until it is
//! accepted, resolved once. Pure; never sends anything itself.
//!
//! - [`NotificationSettings`] and its routes: who is told.
//! - [`Delivery`] and [`decide`]: the state machine of one alert at one receiver.
//! - [`AlertBook`]: all open alerts, all receivers; what survives a respawn of the alerter.

mod absence;
mod alert;
mod attention;
mod book;
mod delivery;
mod hold;
mod inhibition;
pub mod own;
mod quieting;
mod receiver_watch;
mod reroute;
mod route;
mod shown;
mod stored;
mod undelivered;

pub use alert::{Alert, OpenAlert, ReceiverState, Suspicion};
pub use attention::{AcknowledgeRefusal, Attention, Escalated, EscalationLevel};
pub use book::{AlertBook, Finished, NextStep, Raised, SendFailure};
pub use delivery::{
    CloseReason, Delivery, Draft, NotificationDecision, Pace, Resolution, SendReason, Told,
    WaitReason, decide,
};
pub use hold::{Hold, HoldKind, Holds, NoHolds};
pub use inhibition::{Inhibition, LONGEST_SUSPICION};
pub use own::OwnAlerts;
pub use quieting::QuietHolds;
pub use receiver_watch::{Backlog, Loss, LossReason, ReceiverNews, ReceiverWatch};
pub use reroute::{Dropped, Rerouted};
pub use route::{NotificationSettings, ReceiverPolicy, Route};
pub use stored::Adopted;
pub use undelivered::Undelivered;

#[cfg(test)]
mod simulation;

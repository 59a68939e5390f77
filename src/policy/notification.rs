//! Who is told what and when: one alert per incident, repeated while it fires, retried until it is
//! accepted, resolved once. Pure; never sends anything itself.
//!
//! - [`NotificationSettings`] and its routes: who is told.
//! - [`Delivery`] and [`decide`]: the state machine of one alert at one receiver.
//! - [`AlertBook`]: all open alerts, all receivers; what survives a respawn of the alerter.

mod alert;
mod book;
mod delivery;
mod hold;
mod reroute;
mod route;
mod stored;

pub use alert::{Alert, OpenAlert, ReceiverState, Suspicion};
pub use book::{AlertBook, Finished, NextStep, Raised, SendFailure, Undelivered};
pub use delivery::{
    CloseReason, Delivery, Draft, NotificationDecision, Pace, Resolution, SendReason, Told,
    WaitReason, decide,
};
pub use hold::{Hold, HoldKind, Holds, NoHolds};
pub use reroute::{Dropped, Rerouted};
pub use route::{NotificationSettings, ReceiverPolicy, Route};
pub use stored::Adopted;

#[cfg(test)]
mod simulation;

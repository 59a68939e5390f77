//! Decisions: plain functions of state, input and `now` that answer with an enum and its reason.
//! Pure: no actor, no I/O, no clock, so the same code serves the live system and every test.

pub mod backoff;
pub mod calendar;
pub mod circuit;
pub mod dependency;
pub mod flapping;
pub mod health;
pub mod heartbeat;
pub mod leadership;
pub mod maintenance;
pub mod notification;
pub mod pacing;
pub mod platform;
pub mod quiet;
pub mod recovery;
pub mod scaling;
pub mod schedule;
pub mod silence;
pub mod workload_choice;

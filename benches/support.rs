//! What several benches share: targets in a process of their own, a falconer to watch them, a mail
//! server with faults, figures from `/proc`, and statistics. Measures nothing by itself.
#![allow(dead_code, reason = "no bench needs all of it")]
#![allow(clippy::disallowed_methods, reason = "a bench measures with clocks of its own")]

pub mod blackbox;
pub mod falconer;
pub mod lateness;
pub mod mail;
pub mod noise;
pub mod proc;
pub mod process;
pub mod report;
pub mod targets;

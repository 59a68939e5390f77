//! `falconer probe`: probes everything once.

pub mod render;

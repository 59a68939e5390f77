//! The kinds of probes.

pub mod resources;

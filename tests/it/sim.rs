//! The simulated world, seen over its sockets.

mod sinks;

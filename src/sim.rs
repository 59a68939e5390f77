//! A simulated Milvus cluster on real loopback sockets, and the sinks for what falconer sends.
//!
//! Used by `demo`, by tests and by benches. A layer of its own: it knows the model and the clock,
//! nothing of actors, policies or effects (but for the generated Milvus messages). Whatever it
//! serves, it keeps evidence of, so that an observer can tell what really reached the far side.

pub mod evidence;
pub mod smtp;
pub mod webhook;
pub mod world;

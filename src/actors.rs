//! The supervision tree. Actors hold state and timers; they ask a policy what to do and an effect
//! to do it, and never perform I/O inside a handler.
//!
//! | from | message | to |
//! |---|---|---|
//! | Prober | `ProbeCompleted` | Supervisor |
//! | Discovery | `InventoryChanged` | Supervisor |
//! | Supervisor | `RaiseAlert`, `UpdateAlert`, `ResolveAlert` | Alerter |
//! | Supervisor | `Recover`, `ComponentHealthy` | Recoverer |
//! | Supervisor | `LoadObserved` | Scaler |
//! | Recoverer | `RecoveryProgressed` | Supervisor |
//! | Scaler | `ScalingProgressed` | Supervisor |
//! | every child's exit guard | `ChildExited` | its parent |

pub mod alerter;
pub mod link;
pub mod recoverer;
pub mod registry;
pub mod scaler;
pub mod status;
#[cfg(test)]
pub mod testing;

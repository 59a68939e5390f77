//! The supervision tree. Actors hold state and timers; they ask a policy what to do and an effect
//! to do it, and never perform I/O inside a handler.
//!
//! | from | message | to |
//! |---|---|---|
//! | Prober | `ProbeCompleted` | Supervisor |
//! | Discovery | `InventoryChanged` | Supervisor |
//! | Supervisor | `ProbeNow` | Prober |
//! | Supervisor | `RaiseAlert`, `UpdateAlert`, `ResolveAlert` | Alerter |
//! | Recorder | `RaiseAlert`, `ResolveAlert` | Alerter |
//! | Supervisor | `Recover`, `ComponentHealthy` | Recoverer |
//! | Supervisor | `LoadObserved` | Scaler |
//! | Recoverer | `RecoveryProgressed` | Supervisor |
//! | Scaler | `ScalingProgressed` | Supervisor |
//! | a `Post` in which commands wait | `CommandsArrived` | Alerter, Supervisor |
//! | every child's exit guard | `ChildExited` | its parent |
//! | a parent's timer | `RespawnDue` | the parent itself |
//! | the process, when its configuration changes | `Reconfigure`, one of each kind | Alerter, Recoverer, Scaler, Supervisor |
//! | the process, when a cluster comes or goes | `AddChild`, `Retire` and `RemoveChild` | Root, Supervisor |
//! | the process, when it ends | `StopProbing` | every Supervisor |
//! | the process, when it ends | `Drain`, one of each kind | Recoverer, Scaler, Alerter |

pub mod alerter;
pub mod beacon;
pub mod children;
pub mod common;
pub mod discovery;
pub mod exit_guard;
#[cfg(any(test, feature = "fault-injection"))]
mod fault_injection;
pub mod heartbeat;
pub mod keeper;
pub mod leadership;
pub mod link;
pub mod pacer;
pub mod platform;
pub mod post;
pub mod prober;
pub mod recorder;
pub mod recoverer;
pub mod registry;
pub mod root;
pub mod scaler;
pub mod status;
pub mod supervisor;
#[cfg(test)]
mod testing;
mod throttle;
pub mod tree;

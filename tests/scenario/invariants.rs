//! What falconer promises, held against what the world has seen.

mod actions;
mod alerts;
mod board;
mod budgets;
mod liveness;
mod probing;

use std::time::Duration;

/// What two calls at the same instant may be apart.
const AT_ONCE: Duration = Duration::from_millis(20);

/// What was shown for this long is known to whoever watches.
const KNOWN: Duration = Duration::from_secs(1);

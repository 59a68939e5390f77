//! What can be seen of the alerter from outside.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Serialize;

use crate::policy::notification::{OpenAlert, ReceiverState};

/// Open alerts and their delivery.
#[derive(Debug, Clone, Default, Serialize)]
pub struct AlerterSnapshot {
    /// Every open alert with its state at each receiver: when it was told, when it is retried, and
    /// why the newest attempt failed.
    pub alerts: Vec<OpenAlert>,
    /// By the receiver's name.
    pub receivers: BTreeMap<Arc<str>, ReceiverSnapshot>,
    /// Whether the process ends and the waits are skipped.
    pub draining: bool,
}

/// One receiver.
#[derive(Debug, Clone, Default, Serialize)]
pub struct ReceiverSnapshot {
    /// Whether a message is on its way at the moment.
    pub in_flight: bool,
    /// Outages, the end of the back-off, the newest error and the newest success.
    #[serde(flatten)]
    pub state: ReceiverState,
}

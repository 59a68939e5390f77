//! The receiver that is always there: a line in falconer's own log.

use async_trait::async_trait;

use super::{NotifyError, render};
use crate::effects::Notifier;
use crate::model::{AlertMessage, AlertStatus, Notification, Receipt, Severity};

/// Writes each notification to the log. Never fails.
#[derive(Debug, Clone, Copy, Default)]
pub struct LogNotifier;

impl LogNotifier {
    /// The receiver `log`.
    pub const fn new() -> Self {
        Self
    }
}

#[async_trait]
impl Notifier for LogNotifier {
    fn name(&self) -> &'static str {
        "log"
    }

    async fn notify(&self, notification: &Notification) -> Result<Receipt, NotifyError> {
        let AlertMessage { incident, component, title, reason, action, .. } = &notification.lead;
        let lasted = render::lasted(notification);
        match (notification.lead.status, notification.lead.severity) {
            (AlertStatus::Firing, Severity::Critical) => {
                tracing::error!(%incident, %component, title, %reason, action, "alert firing");
            }
            (AlertStatus::Firing, Severity::Warning) => {
                tracing::warn!(%incident, %component, title, %reason, action, "alert firing");
            }
            (AlertStatus::Resolved, _) => {
                tracing::info!(%incident, %component, title, lasted, action, "alert over");
            }
        }
        Ok(Receipt::default())
    }
}

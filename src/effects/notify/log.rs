//! The receiver that is always there: a line in falconer's own log for each alert of a message.

use async_trait::async_trait;

use super::{NotifyError, words};
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
        for alert in notification.alerts() {
            write(alert, notification);
        }
        Ok(Receipt::default())
    }
}

fn write(alert: &AlertMessage, notification: &Notification) {
    let AlertMessage { incident, component, severity, .. } = alert;
    let (title, reason, action) = (words::title(alert), words::reason(alert), words::action(alert));
    let (affects, lasted) = (words::affects(alert), words::lasted(alert, notification.sent_at));
    let acknowledged = words::acknowledged(alert).unwrap_or_default();
    let (severity_name, thread) = (severity.as_str(), &*notification.thread);
    match (alert.status, severity) {
        (AlertStatus::Firing, Severity::Critical) => {
            tracing::error!(%incident, %component, severity = severity_name, title, reason, action, affects, acknowledged, thread, "alert firing");
        }
        (AlertStatus::Firing, Severity::Warning) => {
            tracing::warn!(%incident, %component, severity = severity_name, title, reason, action, affects, acknowledged, thread, "alert firing");
        }
        (AlertStatus::Resolved, _) => {
            tracing::info!(%incident, %component, severity = severity_name, title, lasted, action, thread, "alert over");
        }
    }
}

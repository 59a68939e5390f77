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

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::{Arc, Mutex};

    use tracing_subscriber::fmt::MakeWriter;

    use super::*;
    use crate::effects::notify::render::tests::notification;

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Lines {
        fn write(&mut self, text: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(text)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl<'a> MakeWriter<'a> for Lines {
        type Writer = Self;

        fn make_writer(&'a self) -> Self {
            self.clone()
        }
    }

    #[tokio::test]
    async fn each_alert_of_a_message_is_a_line_of_its_own() {
        let lines = Lines::default();
        let subscriber = tracing_subscriber::fmt().json().with_writer(lines.clone()).finish();
        let guard = tracing::subscriber::set_default(subscriber);
        let mut several = notification(AlertStatus::Firing);
        let mut milder = several.lead.clone();
        milder.severity = Severity::Warning;
        several.others = vec![milder, notification(AlertStatus::Resolved).lead];
        LogNotifier::new().notify(&several).await.unwrap();
        drop(guard);
        let written = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
        let line = |line: &str| serde_json::from_str::<serde_json::Value>(line).unwrap();
        let written: Vec<serde_json::Value> = written.lines().map(line).collect();
        let levels: Vec<&str> =
            written.iter().map(|line| line["level"].as_str().unwrap()).collect();
        assert_eq!(levels, ["ERROR", "WARN", "INFO"]);
        assert_eq!(written[0]["fields"]["message"], "alert firing");
        assert_eq!(written[0]["fields"]["component"], "milvus-ha/querynode");
        assert_eq!(written[2]["fields"]["message"], "alert over");
        assert_eq!(written[2]["fields"]["lasted"], "6m 40s");
    }
}

//! One attempt to deliver one message: within its deadline, measured, and never the end of the
//! alerter. Decides nothing and keeps nothing.

use std::panic::AssertUnwindSafe;
use std::time::Duration;

use futures::FutureExt as _;

use crate::actors::exit_guard::panic_message;
use crate::clock::Clock;
use crate::effects::{Notifier, NotifyError};
use crate::metrics::Metrics;
use crate::model::{Notification, Receipt};

/// One attempt within `limit`. A receiver with a bug costs its own messages only: a panic that took
/// the actor down would hold up everybody's.
pub(super) async fn deliver(
    notifier: &dyn Notifier,
    notification: &Notification,
    limit: Duration,
    clock: Clock,
    metrics: &Metrics,
) -> Result<Receipt, NotifyError> {
    let begun = clock.monotonic();
    let receiver = || notifier.name().to_owned();
    let sending = AssertUnwindSafe(notifier.notify(notification)).catch_unwind();
    match tokio::time::timeout(limit, sending).await {
        Ok(Ok(result)) => {
            if result.is_ok() {
                metrics.message_accepted(notifier.name(), begun.elapsed());
            }
            result
        }
        Ok(Err(payload)) => {
            let message = format!("panicked: {}", panic_message(payload.as_ref()));
            Err(NotifyError::Refused { receiver: receiver(), message })
        }
        Err(_) => Err(NotifyError::Timeout { receiver: receiver(), seconds: limit.as_secs() }),
    }
}

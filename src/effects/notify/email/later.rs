//! Recipients whom the server takes only later, while it has taken the mail for others: it is offered
//! to them again, by and by, without delaying what the others are told next. Lives in memory: what
//! still waits when falconer ends is logged and lost, and so is what is refused for too long.

use std::ops::ControlFlow;
use std::sync::Arc;

use lettre::Address;
use lettre::address::Envelope;
use tokio::sync::Semaphore;

use super::EmailSettings;
use super::smtp::{self, Failure, Phase, RefusedRecipient};
use crate::model::IncidentId;

/// How many mails may wait at the same time.
const MOST_WAITING: usize = 100;

/// Where such mails wait. Clones are one and the same.
#[derive(Debug, Clone)]
pub(super) struct Later {
    places: Arc<Semaphore>,
}

impl Default for Later {
    fn default() -> Self {
        Self { places: Arc::new(Semaphore::new(MOST_WAITING)) }
    }
}

impl Later {
    /// Offers `mail` to `recipients` again, later, in a task of its own.
    pub(super) fn deliver(
        &self,
        settings: Arc<EmailSettings>,
        from: Option<Address>,
        recipients: Vec<Address>,
        mail: Arc<[u8]>,
        incident: IncidentId,
    ) {
        let mut waiting = Waiting { from, recipients, incident, why: "falconer ends" };
        match Arc::clone(&self.places).try_acquire_owned() {
            Ok(place) => drop(tokio::spawn(async move {
                offer_again(&settings, waiting, &mail).await;
                drop(place);
            })),
            Err(_) => waiting.why = "too many mails wait already",
        }
    }
}

/// Those who still wait for a mail. Dropped while there are any, it says so.
struct Waiting {
    from: Option<Address>,
    recipients: Vec<Address>,
    incident: IncidentId,
    /// Why they will not get it, should they be dropped.
    why: &'static str,
}

impl Drop for Waiting {
    fn drop(&mut self) {
        for recipient in &self.recipients {
            let (incident, why) = (&self.incident, self.why);
            tracing::error!(%incident, %recipient, why, "mail is lost for a recipient");
        }
    }
}

async fn offer_again(settings: &EmailSettings, mut waiting: Waiting, mail: &[u8]) {
    for pause in &settings.offer_again {
        tokio::time::sleep(*pause).await;
        if waiting.attempt(settings, mail).await.is_break() {
            return;
        }
    }
    waiting.why = "the server has put it off for too long";
}

impl Waiting {
    /// Offers the mail once more; breaks when there is nobody left to offer it to, or no sense in
    /// it.
    async fn attempt(&mut self, settings: &EmailSettings, mail: &[u8]) -> ControlFlow<()> {
        // Only an envelope without recipients is refused.
        let Ok(envelope) = Envelope::new(self.from.clone(), self.recipients.clone()) else {
            return ControlFlow::Break(());
        };
        let incident = &self.incident;
        let phase = Phase::default();
        let sending = smtp::deliver(settings, &envelope, mail, &phase);
        match tokio::time::timeout(settings.timeout, sending).await {
            Ok(Ok(accepted)) => {
                let taken = self.recipients.len() - accepted.refused.len();
                tracing::info!(%incident, recipients = taken, "mail accepted for those who waited");
                self.recipients.clear();
                for RefusedRecipient { address, answer, is_for_now } in accepted.refused {
                    if is_for_now {
                        self.recipients.push(address);
                    } else {
                        tracing::error!(%incident, recipient = %address, answer,
                            "mail is lost for a recipient");
                    }
                }
                if self.recipients.is_empty() {
                    return ControlFlow::Break(());
                }
            }
            Ok(Err(Failure::Refused(error))) => {
                tracing::warn!(%incident, error, "mail is refused for those who waited");
                self.why = "the server refuses it";
                return ControlFlow::Break(());
            }
            Ok(Err(Failure::Unavailable(_))) | Err(_) => {}
        }
        ControlFlow::Continue(())
    }
}

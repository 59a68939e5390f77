//! What came of a message, in one line. Owns the words.

use std::time::Duration;

use crate::effects::NotifyError;
use crate::effects::notify::render;
use crate::model::{AlertStatus, Receipt};

/// The longest answer that is shown, in bytes.
const ANSWER_LIMIT: usize = 400;

/// One message to one receiver.
pub(super) struct Attempt {
    /// Whether it said that something fires, or that it is over.
    pub status: AlertStatus,
    /// What came of it.
    pub result: Result<Receipt, NotifyError>,
    /// How long it took.
    pub took: Duration,
}

impl Attempt {
    /// What went wrong, if anything.
    pub(super) fn trouble(&self) -> Option<String> {
        match &self.result {
            Ok(receipt) => receipt.flaw.as_ref().map(ToString::to_string),
            Err(error) => Some(words(error)),
        }
    }

    /// `email: the test was accepted after 84 ms: 250 2.0.0 queued`.
    pub(super) fn line(&self, receiver: &str) -> String {
        let what = match self.status {
            AlertStatus::Firing => "the test",
            AlertStatus::Resolved => "its end",
        };
        let took = match self.took.as_millis() {
            millis @ ..10_000 => format!("{millis} ms"),
            _ => render::span(self.took),
        };
        match &self.result {
            Ok(Receipt { said, flaw, .. }) => {
                let shown = |text: &str| render::one_line(text, ANSWER_LIMIT);
                let said = said.as_ref().map(|said| format!(": {}", shown(said)));
                let flaw = flaw.as_ref().map(|flaw| format!(", but {}", shown(flaw)));
                let (said, flaw) = (said.unwrap_or_default(), flaw.unwrap_or_default());
                format!("{receiver}: {what} was accepted after {took}{said}{flaw}")
            }
            Err(error) => {
                format!("{receiver}: {what} was not accepted after {took}: {}", words(error))
            }
        }
    }
}

/// An error without the receiver's name, harmless.
fn words(error: &NotifyError) -> String {
    match error {
        NotifyError::Timeout { seconds, .. } => format!("no answer within {seconds} s"),
        NotifyError::Unavailable { message, .. }
        | NotifyError::Overloaded { message, .. }
        | NotifyError::Refused { message, .. } => render::one_line(message, ANSWER_LIMIT),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_says_what_the_far_side_said_and_how_long_it_took() {
        let said = Some("250 2.0.0 queued as 4b\r\nX".to_owned());
        let result = Ok(Receipt { said, ..Receipt::default() });
        let accepted =
            Attempt { status: AlertStatus::Firing, result, took: Duration::from_millis(84) };
        assert_eq!(
            accepted.line("email"),
            "email: the test was accepted after 84 ms: 250 2.0.0 queued as 4b X"
        );
        let result = Err(NotifyError::Timeout { receiver: "email".into(), seconds: 30 });
        let late = Attempt { status: AlertStatus::Resolved, result, took: Duration::from_secs(30) };
        assert_eq!(
            late.line("email"),
            "email: its end was not accepted after 30 s: no answer within 30 s"
        );
    }
}

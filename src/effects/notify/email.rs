//! Mail over SMTP: settings, and one mail for all recipients per notification. What a mail says is
//! in `email/message.rs`, how it gets there in `email/smtp.rs`, and what becomes of recipients whom
//! the server takes only later in `email/later.rs`.

mod later;
mod message;
mod smtp;
mod stream;

use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use lettre::message::Mailbox;

use self::later::Later;
use self::message::Letterhead;
use super::{NotifyError, SetupError, render};
use crate::effects::Notifier;
use crate::effects::secret::SecretFile;
use crate::model::{Notification, Receipt};

/// The usual [`EmailSettings::offer_again`]: servers that put strangers off do so for a minute to an
/// hour.
pub const OFFER_AGAIN: [Duration; 6] = [
    Duration::from_mins(1),
    Duration::from_mins(5),
    Duration::from_mins(15),
    Duration::from_mins(30),
    Duration::from_hours(1),
    Duration::from_hours(2),
];
/// The longest text that every subject begins with, in bytes.
const PREFIX_LIMIT: usize = 60;

/// How the connection to the mail server is protected; a closed set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum SmtpSecurity {
    /// Plain at first, then upgraded; a server that does not offer it is refused.
    #[default]
    StartTls,
    /// TLS from the first byte.
    Tls,
    /// None at all; only to this machine.
    None,
}

impl SmtpSecurity {
    /// The name as it stands in `actors.toml`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::StartTls => "starttls",
            Self::Tls => "tls",
            Self::None => "none",
        }
    }

    /// The port that is usual for it.
    pub const fn default_port(self) -> u16 {
        match self {
            Self::StartTls => 587,
            Self::Tls => 465,
            Self::None => 25,
        }
    }
}

/// Who logs in.
#[derive(Debug, Clone)]
pub struct EmailLogin {
    /// The user's name.
    pub username: String,
    /// Where the password is; read for each mail.
    pub password: SecretFile,
}

/// Settings of the receiver `email`.
#[derive(Debug, Clone)]
pub struct EmailSettings {
    /// The mail server's name or address; also the name its certificate must bear.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// How the connection is protected.
    pub security: SmtpSecurity,
    /// Who logs in, if anybody.
    pub login: Option<EmailLogin>,
    /// The sender, e.g. `falconer <alerts@example.com>`.
    pub from: String,
    /// The recipients, all in one mail.
    pub to: Vec<String>,
    /// Where answers go; empty = to the sender.
    pub reply_to: String,
    /// What every subject begins with, e.g. `prod:`; may be empty.
    pub subject_prefix: String,
    /// Whether all subjects of a thread are the same but for the brackets at their beginning.
    pub stable_subject: bool,
    /// PEM file with the only authorities to trust, instead of the system's; read for each mail.
    pub ca_file: Option<PathBuf>,
    /// The pauses before the mail is offered again to recipients whom the server has put off while it
    /// took the mail for others.
    pub offer_again: Vec<Duration>,
    /// For one mail as a whole, from the name look-up to the server's acceptance.
    pub timeout: Duration,
}

/// Sends mails.
#[derive(Debug, Clone)]
pub struct EmailNotifier {
    settings: Arc<EmailSettings>,
    letterhead: Letterhead,
    later: Later,
}

impl EmailNotifier {
    const NAME: &'static str = "email";

    /// A receiver with these settings.
    ///
    /// # Errors
    /// When an address is none, there is no recipient, or an unprotected connection would leave
    /// this machine.
    pub fn new(mut settings: EmailSettings) -> Result<Self, SetupError> {
        let host = settings.host.trim_matches(['[', ']']).to_owned();
        settings.host = host;
        let wrong = |message: String| SetupError::new(Self::NAME, message);
        let mailbox = |key: &str, address: &str| {
            let parsed = address.parse::<Mailbox>();
            let parsed = parsed.map_err(|error| wrong(format!("{key}: {address:?}: {error}")))?;
            if parsed.email.to_string().is_ascii() {
                Ok(parsed)
            } else {
                Err(wrong(format!("{key}: {address:?}: not an ASCII address")))
            }
        };
        if settings.security == SmtpSecurity::None && !is_loopback(&settings.host) {
            let host = &settings.host;
            return Err(wrong(format!(
                "security = \"none\" is for this machine only, and host is {host:?}"
            )));
        }
        let from = mailbox("from", &settings.from)?;
        let to = settings.to.iter().map(|one| mailbox("to", one)).collect::<Result<Vec<_>, _>>()?;
        if to.is_empty() {
            return Err(wrong("to: there is no recipient".to_owned()));
        }
        let reply_to = Some(settings.reply_to.as_str()).filter(|address| !address.is_empty());
        let letterhead = Letterhead {
            from,
            to,
            reply_to: reply_to.map(|address| mailbox("reply_to", address)).transpose()?,
            subject_prefix: render::one_line(&settings.subject_prefix, PREFIX_LIMIT),
            stable_subject: settings.stable_subject,
        };
        Ok(Self { settings: Arc::new(settings), letterhead, later: Later::default() })
    }

    /// One attempt. Recipients whom the server puts off while it takes the mail for others are
    /// offered it again later.
    async fn send(
        &self,
        notification: &Notification,
        phase: &smtp::Phase,
    ) -> Result<Receipt, smtp::Failure> {
        let mail = self.letterhead.build(notification);
        let mail = mail
            .map_err(|error| smtp::Failure::Refused(format!("cannot write the mail: {error}")))?;
        let bytes: Arc<[u8]> = mail.formatted().into();
        let accepted = smtp::deliver(&self.settings, mail.envelope(), &bytes, phase).await?;
        let (mut later, mut flaws) = (Vec::new(), Vec::new());
        for refused in accepted.refused {
            let what = if refused.is_for_now { "put off" } else { "refused" };
            flaws.push(format!("{what} {}: {}", refused.address, refused.answer));
            if refused.is_for_now {
                later.push(refused.address);
            }
        }
        if !later.is_empty() {
            let from = mail.envelope().from().cloned();
            let incident = notification.lead.incident.clone();
            self.later.deliver(Arc::clone(&self.settings), from, later, bytes, incident);
        }
        let flaw = render::one_line(&flaws.join("; "), render::ERROR_LIMIT);
        Ok(Receipt {
            reference: None,
            said: Some(render::one_line(&accepted.said, render::ERROR_LIMIT)),
            flaw: (!flaw.is_empty()).then(|| flaw.into()),
        })
    }
}

#[async_trait]
impl Notifier for EmailNotifier {
    fn name(&self) -> &'static str {
        Self::NAME
    }

    async fn notify(&self, notification: &Notification) -> Result<Receipt, NotifyError> {
        let limit = self.settings.timeout;
        let phase = smtp::Phase::default();
        let sent = tokio::time::timeout(limit, self.send(notification, &phase)).await;
        let sent = sent.unwrap_or_else(|_| {
            let (phase, limit) = (phase.get(), render::span(limit));
            Err(smtp::Failure::Unavailable(format!("{phase}: no answer within {limit}")))
        });
        match sent {
            Ok(receipt) => Ok(receipt),
            Err(smtp::Failure::Unavailable(message)) => {
                Err(NotifyError::unavailable(Self::NAME, message))
            }
            Err(smtp::Failure::Refused(message)) => Err(NotifyError::refused(Self::NAME, message)),
        }
    }
}

/// Whether the host is this machine by its very name. The addresses are checked once more when the
/// name is looked up.
fn is_loopback(host: &str) -> bool {
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings() -> EmailSettings {
        EmailSettings {
            host: "smtp.example.com".into(),
            port: 587,
            security: SmtpSecurity::StartTls,
            login: None,
            from: "falconer <alerts@example.com>".into(),
            to: vec!["admin@example.com".into()],
            reply_to: String::new(),
            subject_prefix: String::new(),
            stable_subject: false,
            ca_file: None,
            offer_again: OFFER_AGAIN.to_vec(),
            timeout: Duration::from_secs(20),
        }
    }

    #[test]
    fn settings_that_make_no_sense_are_refused_before_anything_is_sent() {
        let refusal = |change: fn(&mut EmailSettings)| {
            let mut settings = settings();
            change(&mut settings);
            EmailNotifier::new(settings).map(|_| ()).unwrap_err().to_string()
        };
        assert!(EmailNotifier::new(settings()).is_ok());
        assert_eq!(
            refusal(|settings| settings.security = SmtpSecurity::None),
            "email: security = \"none\" is for this machine only, and host is \"smtp.example.com\""
        );
        assert!(refusal(|settings| settings.to.clear()).contains("no recipient"));
        assert!(refusal(|settings| settings.from = "nobody".into()).contains("from: \"nobody\""));
        assert!(refusal(|settings| settings.reply_to = "x".into()).contains("reply_to: \"x\""));
        assert!(
            refusal(|settings| settings.to = vec!["a@b.example\r\nBcc: c@d.example".into()])
                .contains("to: ")
        );
    }

    #[test]
    fn an_unprotected_connection_may_lead_to_this_machine() {
        for host in ["127.0.0.1", "localhost", "::1", "[::1]", "127.9.9.9"] {
            let settings =
                EmailSettings { host: host.into(), security: SmtpSecurity::None, ..settings() };
            assert!(EmailNotifier::new(settings).is_ok(), "{host}");
        }
    }
}

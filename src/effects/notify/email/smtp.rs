//! One conversation with a mail server: connect, protect, log in, hand over one mail. Recipients
//! are offered one by one, so that one bad address does not keep the mail from the others. The
//! caller bounds the time of the whole.

use std::error::Error as _;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use lettre::Address;
use lettre::address::Envelope;
use lettre::transport::smtp::Error;
use lettre::transport::smtp::authentication::{Credentials, Mechanism};
use lettre::transport::smtp::client::{
    AsyncSmtpConnection, Certificate, CertificateStore, TlsParameters,
};
use lettre::transport::smtp::commands::{Data, Mail, Rcpt};
use lettre::transport::smtp::extension::ClientId;
use tokio::net::{TcpStream, lookup_host};
use tokio::time::timeout;

use super::stream::BoundedStream;
use super::{EmailLogin, EmailSettings, SmtpSecurity};
use crate::effects::small_file::{self, CA_FILE_LIMIT};

/// How long one of several addresses of a server may take to answer a connect.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// How long the farewell may take once everything is said.
const QUIT_TIMEOUT: Duration = Duration::from_secs(1);

/// Why a mail was not accepted.
#[derive(Debug)]
pub(super) enum Failure {
    /// Out of reach or not now.
    Unavailable(String),
    /// Not like this.
    Refused(String),
}

/// How far a conversation is, for whoever ends it because it takes too long.
#[derive(Debug)]
pub(super) struct Phase(Mutex<&'static str>);

impl Default for Phase {
    fn default() -> Self {
        Self(Mutex::new("connection"))
    }
}

impl Phase {
    /// What the server was to answer last.
    pub(super) fn get(&self) -> &'static str {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn enter(&self, phase: &'static str) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = phase;
    }
}

/// A recipient for whom the server does not take the mail, while it takes it for others.
#[derive(Debug)]
pub(super) struct RefusedRecipient {
    /// Who.
    pub address: Address,
    /// What the server said.
    pub answer: String,
    /// Whether it may take the mail later (4xx).
    pub is_for_now: bool,
}

/// What became of a mail that the server took for one recipient at least.
#[derive(Debug)]
pub(super) struct Accepted {
    /// What the server said when it took it.
    pub said: String,
    /// For whom it did not.
    pub refused: Vec<RefusedRecipient>,
}

/// Delivers one mail to all recipients of its envelope, as far as the server takes it.
pub(super) async fn deliver(
    settings: &EmailSettings,
    envelope: &Envelope,
    mail: &[u8],
    phase: &Phase,
) -> Result<Accepted, Failure> {
    let server = Server { settings, phase, target: format!("{}:{}", settings.host, settings.port) };
    let password = match &settings.login {
        Some(EmailLogin { password, .. }) => {
            let password = password.read().await;
            Some(password.map_err(|error| Failure::Unavailable(error.to_string()))?)
        }
        None => None,
    };
    let mut connection = server.connect().await?;
    let said = server.say(&mut connection, password.as_deref(), envelope, mail).await;
    // The mail's fate is known, and must not wait for a server that is slow to say goodbye: who is
    // killed before it is on record sends the mail again.
    tokio::spawn(async move { timeout(QUIT_TIMEOUT, connection.abort()).await });
    let password = password.as_deref();
    said.map(|accepted| accepted.without(password)).map_err(|failure| failure.without(password))
}

struct Server<'a> {
    settings: &'a EmailSettings,
    phase: &'a Phase,
    /// `host:port`, as it stands in the settings.
    target: String,
}

impl Server<'_> {
    async fn connect(&self) -> Result<AsyncSmtpConnection, Failure> {
        let hello = ClientId::default();
        let greeting = |error| self.describe("greeting", &error);
        match self.settings.security {
            SmtpSecurity::None => {
                let stream = self.dial().await?;
                self.phase.enter("greeting");
                let plain = AsyncSmtpConnection::connect_with_transport(stream, &hello).await;
                plain.map_err(greeting)
            }
            SmtpSecurity::StartTls => {
                let tls = self.tls().await?;
                let stream = self.dial().await?;
                self.phase.enter("greeting");
                let plain = AsyncSmtpConnection::connect_with_transport(stream, &hello).await;
                let mut connection = plain.map_err(greeting)?;
                if !connection.can_starttls() {
                    let message = format!("{} does not offer STARTTLS", self.target);
                    return Err(Failure::Refused(message));
                }
                self.phase.enter("TLS");
                let upgraded = connection.starttls(tls, &hello).await;
                upgraded.map_err(|error| self.describe("TLS", &error))?;
                Ok(connection)
            }
            SmtpSecurity::Tls => {
                // Here the library dials, and nothing bounds the length of a line; but only the
                // bearer of the right certificate gets to say one, and not for long.
                let tls = Some(self.tls().await?);
                self.phase.enter("TLS");
                let address = (self.settings.host.as_str(), self.settings.port);
                let limit = Some(CONNECT_TIMEOUT);
                AsyncSmtpConnection::connect_tokio1(address, limit, &hello, tls, None)
                    .await
                    .map_err(|error| self.describe("TLS", &error))
            }
        }
    }

    /// A TCP connection to the first of the host's addresses that answers.
    async fn dial(&self) -> Result<Box<BoundedStream>, Failure> {
        let EmailSettings { host, port, security, .. } = self.settings;
        let addresses: Vec<SocketAddr> = lookup_host((host.as_str(), *port))
            .await
            .map_err(|error| Failure::Unavailable(format!("cannot find {host}: {error}")))?
            .collect();
        let mut failure = Failure::Unavailable(format!("{host} has no address"));
        for address in addresses {
            if *security == SmtpSecurity::None && !is_loopback(address.ip()) {
                failure = Failure::Refused(format!("{address} is not on this machine"));
                continue;
            }
            failure = match timeout(CONNECT_TIMEOUT, TcpStream::connect(address)).await {
                Ok(Ok(stream)) => return Ok(Box::new(BoundedStream::new(stream, address))),
                Ok(Err(error)) => Failure::Unavailable(network(&error, &address.to_string())),
                Err(_) => {
                    let seconds = CONNECT_TIMEOUT.as_secs();
                    Failure::Unavailable(format!("no answer from {address} within {seconds} s"))
                }
            };
        }
        Err(failure)
    }

    async fn tls(&self) -> Result<TlsParameters, Failure> {
        let mut builder = TlsParameters::builder(self.settings.host.clone());
        if let Some(path) = &self.settings.ca_file {
            let unusable = |error: &dyn std::fmt::Display| {
                Failure::Unavailable(format!("cannot use {}: {error}", path.display()))
            };
            let pem = small_file::read(path, CA_FILE_LIMIT).await;
            let pem = pem.map_err(|error| unusable(&error))?;
            let authority = Certificate::from_pem(&pem).map_err(|error| unusable(&error))?;
            builder =
                builder.certificate_store(CertificateStore::None).add_root_certificate(authority);
        }
        builder.build().map_err(|error| Failure::Unavailable(format!("no TLS: {error}")))
    }

    /// From the login to the server's acceptance of the mail.
    async fn say(
        &self,
        connection: &mut AsyncSmtpConnection,
        password: Option<&str>,
        envelope: &Envelope,
        mail: &[u8],
    ) -> Result<Accepted, Failure> {
        if let (Some(login), Some(password)) = (&self.settings.login, password) {
            self.phase.enter("login");
            let credentials = Credentials::new(login.username.clone(), password.to_owned());
            let mechanisms = [Mechanism::Plain, Mechanism::Login];
            let answer = connection.auth(&mechanisms, &credentials).await;
            answer.map_err(|error| self.describe("login", &error))?;
        }
        self.phase.enter("sender");
        let sender = Mail::new(envelope.from().cloned(), Vec::new());
        let answer = connection.command(sender).await;
        answer.map_err(|error| self.describe("sender", &error))?;
        self.phase.enter("recipient");
        let refused = self.offer(connection, envelope.to()).await?;
        self.phase.enter("message");
        let answer = connection.command(Data).await;
        answer.map_err(|error| self.describe("message", &error))?;
        let answer = connection.message(mail).await;
        let answer = answer.map_err(|error| self.describe("message", &error))?;
        let words = answer.message().collect::<Vec<_>>().join(" ");
        Ok(Accepted { said: format!("{} {words}", answer.code()), refused })
    }

    /// Offers each recipient; fails where the server takes none of them.
    async fn offer(
        &self,
        connection: &mut AsyncSmtpConnection,
        recipients: &[Address],
    ) -> Result<Vec<RefusedRecipient>, Failure> {
        let mut refused = Vec::new();
        let mut last = None;
        for address in recipients {
            let answer = connection.command(Rcpt::new(address.clone(), Vec::new())).await;
            let Err(error) = answer else { continue };
            let failure = self.describe(&format!("recipient {address}"), &error);
            if error.status().is_none() {
                return Err(failure);
            }
            let (answer, is_for_now) = (reply(&error), error.is_transient());
            refused.push(RefusedRecipient { address: address.clone(), answer, is_for_now });
            // A refusal for now outweighs one for good: the mail may get through later.
            last = match (last, failure) {
                (Some(Failure::Unavailable(first)), _) => Some(Failure::Unavailable(first)),
                (_, failure) => Some(failure),
            };
        }
        match last {
            Some(failure) if refused.len() == recipients.len() => Err(failure),
            Some(_) | None => Ok(refused),
        }
    }

    /// What an error of the library means.
    fn describe(&self, during: &str, error: &Error) -> Failure {
        let target = &self.target;
        if error.is_timeout() {
            return Failure::Unavailable(format!("{during}: no answer from {target}"));
        }
        if error.is_transient() {
            return Failure::Unavailable(format!("{during}: {}", reply(error)));
        }
        if error.is_permanent() {
            return Failure::Refused(format!("{during}: {}", reply(error)));
        }
        if let Some(cause) = io_error(error) {
            return Failure::Unavailable(format!("{during}: {}", network(cause, target)));
        }
        let text = cause(error);
        if error.is_client() {
            return Failure::Refused(format!("{during}: {text}"));
        }
        if error.is_response() && text == "incomplete response" {
            return Failure::Unavailable(format!("{during}: connection closed by {target}"));
        }
        Failure::Unavailable(format!("{during}: not the answer of a mail server: {text}"))
    }
}

impl Accepted {
    /// The same without the password, should a server echo it.
    fn without(mut self, password: Option<&str>) -> Self {
        let Some(password) = password else { return self };
        self.said = self.said.replace(password, "***");
        for refused in &mut self.refused {
            refused.answer = refused.answer.replace(password, "***");
        }
        self
    }
}

impl Failure {
    /// As [`Accepted::without`].
    fn without(self, password: Option<&str>) -> Self {
        let Some(password) = password else { return self };
        match self {
            Self::Unavailable(text) => Self::Unavailable(text.replace(password, "***")),
            Self::Refused(text) => Self::Refused(text.replace(password, "***")),
        }
    }
}

fn is_loopback(ip: IpAddr) -> bool {
    ip.to_canonical().is_loopback()
}

/// `451 4.3.0 try again later`.
fn reply(error: &Error) -> String {
    let code = error.status().map(|code| code.to_string()).unwrap_or_default();
    format!("{code} {}", cause(error))
}

fn cause(error: &Error) -> String {
    error.source().map_or_else(|| error.to_string(), ToString::to_string)
}

fn io_error(error: &Error) -> Option<&io::Error> {
    let mut next = error.source();
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref::<io::Error>() {
            return Some(found);
        }
        next = error.source();
    }
    None
}

/// A sentence about a failed connection.
fn network(error: &io::Error, target: &str) -> String {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => format!("connection refused by {target}"),
        io::ErrorKind::ConnectionReset => format!("connection reset by {target}"),
        io::ErrorKind::BrokenPipe | io::ErrorKind::UnexpectedEof => {
            format!("connection closed by {target}")
        }
        _ => format!("{target}: {error}"),
    }
}

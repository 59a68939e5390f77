//! One SMTP conversation, with bounds on every line, message and silence.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};

use super::{ReceivedMail, SmtpBehaviour, SmtpSettings, decode};
use crate::clock::Clock;
use crate::sim::evidence::Evidence;

const LINE_LIMIT: u64 = 8 * 1024;
const SILENCE_LIMIT: Duration = Duration::from_secs(60);

pub(super) struct Shared {
    pub(super) settings: SmtpSettings,
    pub(super) clock: Clock,
    pub(super) mails: Evidence<ReceivedMail>,
    pub(super) behaviour: Arc<Mutex<SmtpBehaviour>>,
}

impl Shared {
    fn behaviour(&self) -> SmtpBehaviour {
        self.behaviour.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Takes connections until the world ends.
pub(super) async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            tokio::time::sleep(Duration::from_millis(20)).await;
            continue;
        };
        let shared = Arc::clone(&shared);
        tokio::spawn(async move {
            // A client that goes away is its own business.
            let _ = Session::new(stream, shared).run().await;
        });
    }
}

struct Session {
    reader: BufReader<OwnedReadHalf>,
    writer: OwnedWriteHalf,
    shared: Arc<Shared>,
    user: Option<String>,
    from: Option<String>,
    to: Vec<String>,
}

impl Session {
    fn new(stream: TcpStream, shared: Arc<Shared>) -> Self {
        let (reader, writer) = stream.into_split();
        let reader = BufReader::new(reader);
        Self { reader, writer, shared, user: None, from: None, to: Vec::new() }
    }

    async fn run(mut self) -> io::Result<()> {
        match self.shared.behaviour() {
            SmtpBehaviour::Hang => std::future::pending().await,
            SmtpBehaviour::HangUp => return Ok(()),
            SmtpBehaviour::Accept
            | SmtpBehaviour::RejectRecipients(_)
            | SmtpBehaviour::RejectMessages(_) => {}
        }
        self.say("220 sink.localhost ESMTP").await?;
        while let Some(line) = self.line().await? {
            let line = String::from_utf8_lossy(&line).trim_end().to_owned();
            let (verb, rest) = line.split_once(' ').unwrap_or((&line, ""));
            match verb.to_ascii_uppercase().as_str() {
                "EHLO" => self.greet().await?,
                "HELO" => self.say("250 sink.localhost").await?,
                "AUTH" => self.login(rest).await?,
                "MAIL" => self.sender(rest).await?,
                "RCPT" => self.recipient(rest).await?,
                "DATA" => self.data().await?,
                "RSET" => {
                    self.reset();
                    self.say("250 2.0.0 ok").await?;
                }
                "NOOP" => self.say("250 2.0.0 ok").await?,
                "QUIT" => return self.say("221 2.0.0 bye").await,
                _ => self.say("500 5.5.1 unknown command").await?,
            }
        }
        Ok(())
    }

    async fn greet(&mut self) -> io::Result<()> {
        let size = self.shared.settings.max_message_bytes;
        let login = if self.shared.settings.credentials.is_some() {
            "250-AUTH PLAIN LOGIN\r\n"
        } else {
            ""
        };
        self.say(&format!("250-sink.localhost\r\n250-8BITMIME\r\n{login}250 SIZE {size}")).await
    }

    async fn login(&mut self, rest: &str) -> io::Result<()> {
        let (mechanism, initial) = rest.split_once(' ').unwrap_or((rest, ""));
        let given = match mechanism.to_ascii_uppercase().as_str() {
            "PLAIN" => {
                let answer = self.challenge(initial, "334 ").await?;
                let mut parts = answer.splitn(3, '\0').skip(1).map(str::to_owned);
                (parts.next().unwrap_or_default(), parts.next().unwrap_or_default())
            }
            "LOGIN" => {
                let user = self.challenge(initial, "334 VXNlcm5hbWU6").await?;
                (user, self.challenge("", "334 UGFzc3dvcmQ6").await?)
            }
            _ => return self.say("504 5.5.4 unknown mechanism").await,
        };
        if self.shared.settings.credentials.as_ref() == Some(&given) {
            self.user = Some(given.0);
            self.say("235 2.7.0 welcome").await
        } else {
            self.say("535 5.7.8 wrong user or password").await
        }
    }

    async fn challenge(&mut self, initial: &str, prompt: &str) -> io::Result<String> {
        let encoded = if initial.is_empty() {
            self.say(prompt).await?;
            self.line().await?.unwrap_or_default()
        } else {
            initial.as_bytes().to_vec()
        };
        Ok(String::from_utf8_lossy(&decode::base64(&encoded)).into_owned())
    }

    async fn sender(&mut self, rest: &str) -> io::Result<()> {
        if self.shared.settings.credentials.is_some() && self.user.is_none() {
            return self.say("530 5.7.0 log in first").await;
        }
        let Some(address) = address_after(rest, "FROM:") else {
            return self.say("501 5.5.4 MAIL FROM:<address>").await;
        };
        self.reset();
        self.from = Some(address);
        self.say("250 2.1.0 ok").await
    }

    async fn recipient(&mut self, rest: &str) -> io::Result<()> {
        if let SmtpBehaviour::RejectRecipients(reply) = self.shared.behaviour() {
            return self.say(&reply).await;
        }
        if self.from.is_none() {
            return self.say("503 5.5.1 MAIL first").await;
        }
        if self.to.len() >= self.shared.settings.max_recipients {
            return self.say("452 4.5.3 too many recipients").await;
        }
        let Some(address) = address_after(rest, "TO:") else {
            return self.say("501 5.5.4 RCPT TO:<address>").await;
        };
        self.to.push(address);
        self.say("250 2.1.5 ok").await
    }

    async fn data(&mut self) -> io::Result<()> {
        if self.to.is_empty() {
            return self.say("503 5.5.1 RCPT first").await;
        }
        self.say("354 end with a dot on a line of its own").await?;
        let Some(raw) = self.message().await? else {
            self.reset();
            return self.say("552 5.3.4 message too large").await;
        };
        if let SmtpBehaviour::RejectMessages(reply) = self.shared.behaviour() {
            return self.say(&reply).await;
        }
        let mail = ReceivedMail {
            received_at: self.shared.clock.now(),
            from: self.from.take().unwrap_or_default(),
            to: std::mem::take(&mut self.to),
            authenticated_as: self.user.clone(),
            raw,
        };
        self.shared.mails.push(mail);
        self.say("250 2.0.0 kept").await
    }

    /// Reads to the lone dot; `None` when the message was too large (but is read to its end).
    async fn message(&mut self) -> io::Result<Option<String>> {
        let mut raw = Vec::new();
        let mut too_large = false;
        loop {
            let line = self.line().await?.ok_or(io::ErrorKind::UnexpectedEof)?;
            if line == b".\r\n" || line == b".\n" {
                break;
            }
            let line = line.strip_prefix(b".").unwrap_or(&line);
            too_large |= raw.len() + line.len() > self.shared.settings.max_message_bytes;
            if !too_large {
                raw.extend_from_slice(line);
            }
        }
        Ok((!too_large).then(|| String::from_utf8_lossy(&raw).into_owned()))
    }

    fn reset(&mut self) {
        self.from = None;
        self.to.clear();
    }

    async fn line(&mut self) -> io::Result<Option<Vec<u8>>> {
        let mut line = Vec::new();
        let mut bounded = (&mut self.reader).take(LINE_LIMIT);
        let reading = bounded.read_until(b'\n', &mut line);
        let read = tokio::time::timeout(SILENCE_LIMIT, reading)
            .await
            .map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
        Ok((read > 0).then_some(line))
    }

    async fn say(&mut self, reply: &str) -> io::Result<()> {
        self.writer.write_all(format!("{reply}\r\n").as_bytes()).await
    }
}

fn address_after(rest: &str, keyword: &str) -> Option<String> {
    let given = rest.get(..keyword.len())?;
    if !given.eq_ignore_ascii_case(keyword) {
        return None;
    }
    let (_, after) = rest[keyword.len()..].split_once('<')?;
    let (address, _) = after.split_once('>')?;
    Some(address.to_owned())
}

//! A mail server that accepts mail, keeps it, and delivers nothing.

mod decode;
mod session;

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

pub(super) use decode::base64;

use super::evidence::Evidence;
use super::world::{FREE_LOOPBACK, World, listen};
use crate::clock::Clock;
use crate::model::Timestamp;

/// How many mails are kept.
const KEPT_MAILS: usize = 10_000;

/// How the sink is set up.
#[derive(Debug, Clone)]
pub struct SmtpSettings {
    /// User and password; `Some` makes the login a condition of sending.
    pub credentials: Option<(String, String)>,
    /// The largest message that is accepted, in bytes.
    pub max_message_bytes: usize,
    /// The most recipients of one message.
    pub max_recipients: usize,
}

impl Default for SmtpSettings {
    fn default() -> Self {
        Self { credentials: None, max_message_bytes: 1 << 20, max_recipients: 100 }
    }
}

/// How the sink behaves from now on.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum SmtpBehaviour {
    /// Takes every mail.
    #[default]
    Accept,
    /// Answers every recipient with this reply, e.g. `451 4.3.0 try again later`.
    RejectRecipients(String),
    /// Reads the whole message and then answers it with this reply.
    RejectMessages(String),
    /// Accepts the connection and never says a word.
    Hang,
    /// Closes every connection at once.
    HangUp,
}

/// A mail as it was accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReceivedMail {
    /// When its last line had arrived.
    pub received_at: Timestamp,
    /// The envelope's sender, without brackets.
    pub from: String,
    /// The envelope's recipients, without brackets.
    pub to: Vec<String>,
    /// The user of the login, if there was one.
    pub authenticated_as: Option<String>,
    /// The message as it came, dots unstuffed.
    pub raw: String,
}

impl ReceivedMail {
    /// The subject, decoded.
    pub fn subject(&self) -> String {
        decode::words(&self.header("subject").unwrap_or_default())
    }

    /// The first header called `name`, unfolded but not decoded.
    pub fn header(&self, name: &str) -> Option<String> {
        decode::header(&self.raw, name)
    }

    /// The text, decoded; of a multipart mail its first part.
    pub fn body(&self) -> String {
        decode::text(&self.raw)
    }
}

/// A running mail sink. Ends when dropped.
#[derive(Debug)]
pub struct SmtpSink {
    address: SocketAddr,
    mails: Evidence<ReceivedMail>,
    behaviour: Arc<Mutex<SmtpBehaviour>>,
    /// Held for as long as the sink lives, where it is the sink's own.
    #[allow(dead_code, reason = "held for its drop")]
    world: Option<World>,
}

impl SmtpSink {
    /// Starts a sink without login on a free loopback port, on a thread of its own.
    ///
    /// # Errors
    /// When there is no thread or no port.
    pub fn start() -> io::Result<Self> {
        Self::start_with(SmtpSettings::default())
    }

    /// Starts a sink on a free loopback port, on a thread of its own.
    ///
    /// # Errors
    /// When there is no thread or no port.
    pub fn start_with(settings: SmtpSettings) -> io::Result<Self> {
        let world = World::start("smtp-sink")?;
        let mut sink = Self::start_in(&world, Clock::system(), settings)?;
        sink.world = Some(world);
        Ok(sink)
    }

    /// Starts a sink on the thread of `world`.
    ///
    /// # Errors
    /// When there is no free port.
    pub fn start_in(world: &World, clock: Clock, settings: SmtpSettings) -> io::Result<Self> {
        let (listener, address) = listen(&world.handle(), FREE_LOOPBACK)?;
        let mails = Evidence::new(KEPT_MAILS);
        let behaviour = Arc::new(Mutex::new(SmtpBehaviour::Accept));
        let shared = Arc::new(session::Shared {
            settings,
            clock,
            mails: mails.clone(),
            behaviour: Arc::clone(&behaviour),
        });
        world.spawn(session::accept(listener, shared));
        Ok(Self { address, mails, behaviour, world: None })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What was accepted.
    pub fn mails(&self) -> &Evidence<ReceivedMail> {
        &self.mails
    }

    /// Changes how later commands are answered.
    pub fn behave(&self, behaviour: SmtpBehaviour) {
        *self.behaviour.lock().unwrap_or_else(PoisonError::into_inner) = behaviour;
    }
}

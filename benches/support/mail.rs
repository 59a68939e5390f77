//! A mail server with faults: falconer's own sink for mails, behind a relay that holds, drops or
//! withholds. Owns both; keeps every mail that the sink has accepted.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use falconer::sim::smtp::{ReceivedMail, SmtpSink};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::watch;

/// What is wrong with the mail server; a closed set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MailFault {
    /// Nothing.
    None,
    /// Accepts and is silent; drops these connections when the fault ends.
    HoldThenDrop,
    /// Accepts and is silent; greets when the fault ends.
    HoldThenGreet,
    /// Takes the mail, and drops the connection at the end of the fault without having said so:
    /// nobody but the server knows that the mail has arrived.
    WithholdVerdict,
    /// Closes every connection at once.
    HangUp,
}

/// A running mail server. Ends when dropped.
pub struct MailServer {
    sink: SmtpSink,
    fault: watch::Sender<MailFault>,
    address: SocketAddr,
    /// Held for its drop.
    _runtime: Runtime,
}

impl MailServer {
    /// Starts on free loopback ports, without a fault.
    ///
    /// # Errors
    /// When there is no thread or no port.
    pub fn start() -> anyhow::Result<Self> {
        let sink = SmtpSink::start()?;
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0"))?;
        let address = listener.local_addr()?;
        let (fault, seen) = watch::channel(MailFault::None);
        runtime.spawn(accept(listener, sink.address(), seen));
        Ok(Self { sink, fault, address, _runtime: runtime })
    }

    /// The TOML tables with which falconer mails to it, one message for each incident, however many
    /// there are.
    pub fn configuration(&self, group_wait: &str) -> String {
        let (host, port) = (self.address.ip(), self.address.port());
        format!(
            "[alerter]\ngroup_by = [\"component\"]\ngroup_wait = \"{group_wait}\"\n\
             rate_limit = {{ messages = 10000, per = \"1m\" }}\n\n\
             [alerter.email]\nhost = \"{host}\"\nport = {port}\nsecurity = \"none\"\n\
             from = \"falconer@example.com\"\nto = [\"admin@example.com\"]\ntimeout = \"10s\"\n"
        )
    }

    /// Begins or ends a fault.
    pub fn set(&self, fault: MailFault) {
        self.fault.send_replace(fault);
    }

    /// How many mails were accepted.
    pub fn accepted(&self) -> usize {
        self.sink.mails().len()
    }

    /// What was accepted.
    pub fn mails(&self) -> Mails {
        Mails(self.sink.mails().all())
    }
}

/// Accepted mails.
pub struct Mails(Vec<ReceivedMail>);

impl Mails {
    /// Those that are about the component and have this status, `firing` or `resolved`.
    pub fn about(&self, component: &str, status: &str) -> usize {
        let is_about = |mail: &&ReceivedMail| {
            mail.header("x-falconer-component").is_some_and(|names| names == component)
                && has_status(mail, status)
        };
        self.0.iter().filter(is_about).count()
    }

    /// How many there are of each message: its id stays the same when an attempt is repeated.
    pub fn by_message(&self) -> BTreeMap<String, usize> {
        let mut counts = BTreeMap::new();
        for mail in &self.0 {
            *counts.entry(mail.header("message-id").unwrap_or_default()).or_default() += 1;
        }
        counts
    }

    /// How many mails of this status each matter of a component has brought; what comes again before
    /// the end of one was told is the same matter.
    pub fn by_incident(&self, status: &str) -> BTreeMap<String, usize> {
        let mut counts = BTreeMap::new();
        for mail in self.0.iter().filter(|mail| has_status(mail, status)) {
            *counts.entry(mail.header("in-reply-to").unwrap_or_default()).or_default() += 1;
        }
        counts
    }
}

fn has_status(mail: &ReceivedMail, status: &str) -> bool {
    mail.header("x-falconer-status").is_some_and(|of| of == status)
}

async fn accept(listener: TcpListener, sink: SocketAddr, fault: watch::Receiver<MailFault>) {
    loop {
        let Ok((client, _)) = listener.accept().await else { continue };
        let fault = fault.clone();
        tokio::spawn(async move {
            // A client that goes away is its own business.
            let _ = relay(client, sink, fault).await;
        });
    }
}

async fn relay(
    mut client: TcpStream,
    sink: SocketAddr,
    mut fault: watch::Receiver<MailFault>,
) -> std::io::Result<()> {
    let now = *fault.borrow();
    match now {
        MailFault::None => {}
        MailFault::HangUp => return Ok(()),
        MailFault::HoldThenDrop => {
            over(&mut fault, now).await;
            return Ok(());
        }
        MailFault::HoldThenGreet => over(&mut fault, now).await,
        MailFault::WithholdVerdict => return withhold(client, sink, fault).await,
    }
    let mut server = TcpStream::connect(sink).await?;
    copy_bidirectional(&mut client, &mut server).await?;
    Ok(())
}

async fn over(fault: &mut watch::Receiver<MailFault>, now: MailFault) {
    let _ = fault.wait_for(|fault| *fault != now).await;
}

/// Passes everything on but what the server says after the mail's final dot.
async fn withhold(
    client: TcpStream,
    sink: SocketAddr,
    mut fault: watch::Receiver<MailFault>,
) -> std::io::Result<()> {
    let server = TcpStream::connect(sink).await?;
    let (mut from_client, mut to_client) = client.into_split();
    let (from_server, mut to_server) = server.into_split();
    let upwards = tokio::spawn(async move {
        let _ = tokio::io::copy(&mut from_client, &mut to_server).await;
    });
    let mut lines = BufReader::new(from_server).lines();
    let mut data = false;
    while let Some(line) = lines.next_line().await? {
        if data {
            over(&mut fault, MailFault::WithholdVerdict).await;
            break;
        }
        data = line.starts_with("354");
        to_client.write_all(format!("{line}\r\n").as_bytes()).await?;
    }
    upwards.abort();
    Ok(())
}

//! HTTP targets on loopback, served by a process of their own so that what watches them and what
//! they are do not share a thread: this bench's binary, started once more. Owns that process and
//! the conversation with it over its standard input and output.

mod server;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr};
use std::ops::Range;
use std::process::{ChildStdin, ChildStdout, Command, Stdio};

use anyhow::{Context, bail, ensure};

use super::process::Process;

/// With this argument the binary is a target server.
const ARGUMENT: &str = "--serve-targets";

/// Bytes of one arrival on the pipe.
const RECORD: usize = 12;

/// How a target behaves; a closed set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Mode {
    /// Answers 200 at once and keeps the connection.
    Answer,
    /// Accepts, reads, and never answers.
    Hang,
    /// Answers 500 at once.
    Fail,
    /// Answers 200 after two seconds.
    Slow,
    /// Answers something that is not HTTP, and closes.
    Garbage,
    /// Closes without an answer.
    HangUp,
    /// Does not listen: connections are refused.
    Refuse,
}

impl Mode {
    /// All of them, in the order of their numbers.
    pub const ALL: [Self; 7] = [
        Self::Answer,
        Self::Hang,
        Self::Fail,
        Self::Slow,
        Self::Garbage,
        Self::HangUp,
        Self::Refuse,
    ];

    fn from_number(number: u8) -> Self {
        Self::ALL.get(usize::from(number)).copied().unwrap_or(Self::Answer)
    }
}

/// A request that a target has read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Arrival {
    /// Which target.
    pub target: u32,
    /// When its head was complete, in nanoseconds since the server's start.
    pub at: u64,
}

/// The address of target `index`: one port, an address of 127.0.0.0/8 for each, so that even 10,000
/// of them take none of the ports that connections need.
fn ip(index: usize) -> Ipv4Addr {
    Ipv4Addr::new(127, 1, (index / 250) as u8, (index % 250 + 1) as u8)
}

/// Serves targets and never returns where the process was started for that. The first thing in the
/// `main` of a bench that uses [`Targets`].
pub fn serve_if_asked() {
    let mut arguments = std::env::args().skip(1);
    if arguments.next().as_deref() != Some(ARGUMENT) {
        return;
    }
    let count = arguments.next().and_then(|text| text.parse().ok()).unwrap_or(0);
    if let Err(error) = server::run(count) {
        eprintln!("target server: {error:#}");
        std::process::exit(1);
    }
    std::process::exit(0);
}

/// A running target server. Ends when dropped.
pub struct Targets {
    process: Process,
    to: ChildStdin,
    from: BufReader<ChildStdout>,
    port: u16,
    count: usize,
}

impl Targets {
    /// Starts `count` targets, all of which answer.
    ///
    /// # Errors
    /// When the process or its sockets cannot be had.
    pub fn start(count: usize) -> anyhow::Result<Self> {
        let program = std::env::current_exe().context("who am I")?;
        // Listeners and held connections are descriptors: as many as are allowed.
        let mut command = Command::new("sh");
        command
            .args(["-c", "ulimit -n $(ulimit -Hn); exec \"$0\" \"$@\""])
            .arg(program)
            .args([ARGUMENT, &(count + 1).to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        let mut process = Process::spawn("target server", command)?;
        let (to, from) = process.pipes().context("no pipes")?;
        let mut targets = Self { process, to, from: BufReader::new(from), port: 0, count };
        targets.port = targets.line()?.parse().context("the target server's port")?;
        Ok(targets)
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.count
    }

    /// The process that serves them.
    pub fn pid(&self) -> u32 {
        self.process.pid()
    }

    /// Where target `index` listens.
    pub fn address(&self, index: usize) -> SocketAddr {
        SocketAddr::from((ip(index), self.port))
    }

    /// What target `index` is asked.
    pub fn url(&self, index: usize) -> String {
        format!("http://{}/healthz", self.address(index))
    }

    /// One more that always answers and is not counted among them.
    pub fn spare_url(&self) -> String {
        self.url(self.count)
    }

    /// The port that all share.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Changes how some of them behave, from the next request on. Returns the server's time then.
    ///
    /// # Errors
    /// When the server is gone.
    pub fn set(&mut self, targets: Range<usize>, mode: Mode) -> anyhow::Result<u64> {
        ensure!(targets.end <= self.count, "there is no target {}", targets.end);
        self.ask(&format!("set {} {} {}", mode as u8, targets.start, targets.end))
    }

    /// The server's time in nanoseconds.
    ///
    /// # Errors
    /// When the server is gone.
    pub fn now(&mut self) -> anyhow::Result<u64> {
        self.ask("now")
    }

    /// The arrivals since the last time, in order.
    ///
    /// # Errors
    /// When the server is gone.
    pub fn take(&mut self) -> anyhow::Result<Vec<Arrival>> {
        let count = usize::try_from(self.ask("take")?)?;
        let mut bytes = vec![0; count * RECORD];
        self.from.read_exact(&mut bytes).context("the target server's arrivals")?;
        Ok(bytes.chunks_exact(RECORD).filter_map(decoded).collect())
    }

    fn ask(&mut self, question: &str) -> anyhow::Result<u64> {
        writeln!(self.to, "{question}").context("the target server is gone")?;
        let answer = self.line()?;
        answer.parse().with_context(|| format!("{question}: {answer}"))
    }

    fn line(&mut self) -> anyhow::Result<String> {
        let mut line = String::new();
        if self.from.read_line(&mut line)? == 0 {
            bail!("the target server has ended");
        }
        Ok(line.trim().to_owned())
    }
}

fn encoded(arrival: Arrival) -> [u8; RECORD] {
    let mut bytes = [0; RECORD];
    bytes[..4].copy_from_slice(&arrival.target.to_le_bytes());
    bytes[4..].copy_from_slice(&arrival.at.to_le_bytes());
    bytes
}

fn decoded(bytes: &[u8]) -> Option<Arrival> {
    let (target, at) = bytes.split_first_chunk::<4>()?;
    let at = u64::from_le_bytes(at.try_into().ok()?);
    Some(Arrival { target: u32::from_le_bytes(*target), at })
}

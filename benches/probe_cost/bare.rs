//! The least that a tokio program can do to probe: this bench's binary, started once more. No
//! configuration, no deadline, no parsing, no record; it only sends, receives and closes.

use std::io::{BufRead, ErrorKind, Write};
use std::net::SocketAddr;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::Context;
use socket2::{Domain, Protocol, Socket, Type};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, MissedTickBehavior, interval_at};

use crate::support::process::Process;
use crate::support::targets::Targets;

/// With one of these arguments the binary is such a program.
const BARE: &str = "--probe-bare";
const TUNED: &str = "--probe-tuned";

/// What falconer's due times are multiples of.
const GRAIN: Duration = Duration::from_millis(10);

/// What falconer sends.
pub fn request(host: SocketAddr) -> String {
    let version = env!("CARGO_PKG_VERSION");
    format!(
        "GET /healthz HTTP/1.1\r\nhost: {host}\r\nuser-agent: falconer/{version}\r\n\
         accept: */*\r\nconnection: close\r\n\r\n"
    )
}

/// Starts it on all targets.
///
/// # Errors
/// When the process cannot be started.
pub fn start(targets: &Targets, tuned: bool, interval: Duration) -> anyhow::Result<Process> {
    let program = std::env::current_exe().context("who am I")?;
    let mut command = Command::new(program);
    command.args([if tuned { TUNED } else { BARE }, &interval.as_millis().to_string()]);
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut process = Process::spawn("bare program", command)?;
    let (mut to, _) = process.pipes().context("no pipes")?;
    for index in 0..targets.count() {
        writeln!(to, "{}", targets.address(index))?;
    }
    Ok(process)
}

/// Probes and never returns where the process was started for that.
pub fn probe_if_asked() {
    let mut arguments = std::env::args().skip(1);
    let tuned = match arguments.next().as_deref() {
        Some(BARE) => false,
        Some(TUNED) => true,
        _ => return,
    };
    let millis = arguments.next().and_then(|text| text.parse().ok()).unwrap_or(1_000);
    let lines = std::io::stdin().lock().lines().map_while(Result::ok);
    let targets: Vec<SocketAddr> = lines.filter_map(|line| line.parse().ok()).collect();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let Ok(runtime) = runtime else { std::process::exit(1) };
    runtime.block_on(probe_all(&targets, Duration::from_millis(millis), tuned));
    std::process::exit(0);
}

async fn probe_all(targets: &[SocketAddr], interval: Duration, tuned: bool) {
    let start = Instant::now();
    for (index, target) in targets.iter().copied().enumerate() {
        let phase = interval.mul_f64(index as f64 / targets.len() as f64);
        let phase = if tuned { on_grid(phase) } else { phase };
        tokio::spawn(async move {
            let request = request(target).into_bytes();
            let mut due = interval_at(start + phase, interval);
            due.set_missed_tick_behavior(MissedTickBehavior::Delay);
            loop {
                due.tick().await;
                let answer = if tuned {
                    ask_tuned(target, &request).await
                } else {
                    ask(target, &request).await
                };
                if let Err(error) = answer {
                    eprintln!("bare program: {error}");
                }
            }
        });
    }
    std::future::pending::<()>().await;
}

/// Several together, as falconer's schedules have it.
fn on_grid(phase: Duration) -> Duration {
    let nanos = phase.as_nanos().next_multiple_of(GRAIN.as_nanos());
    Duration::from_nanos(nanos as u64)
}

async fn ask(target: SocketAddr, request: &[u8]) -> std::io::Result<()> {
    let mut stream = TcpStream::connect(target).await?;
    stream.write_all(request).await?;
    receive(&mut stream).await
}

async fn ask_tuned(target: SocketAddr, request: &[u8]) -> std::io::Result<()> {
    let kind = Type::STREAM.nonblocking();
    let socket = Socket::new(Domain::for_address(target), kind, Some(Protocol::TCP))?;
    socket.set_tcp_quickack(false)?;
    // It says that it is in progress.
    let _ = socket.connect(&target.into());
    let mut socket: std::net::TcpStream = socket.into();
    let sent = match socket.write(request) {
        Ok(count) => count,
        Err(error) if error.kind() == ErrorKind::WouldBlock => 0,
        Err(error) => return Err(error),
    };
    let mut stream = TcpStream::from_std(socket)?;
    stream.write_all(&request[sent..]).await?;
    receive(&mut stream).await?;
    stream.set_zero_linger()
}

/// The targets' answer fits into one packet.
async fn receive(stream: &mut TcpStream) -> std::io::Result<()> {
    let mut answer = [0; 1024];
    let count = stream.read(&mut answer).await?;
    if answer[..count].starts_with(b"HTTP/1.1 200 ") {
        return Ok(());
    }
    Err(ErrorKind::InvalidData.into())
}

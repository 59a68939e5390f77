//! The target server's own process: one thread for the sockets, one for what the bench asks. Owns
//! the record of arrivals. Ends with its standard input.

use std::io::{BufRead, Write};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;

use super::{Arrival, Mode, encoded, ip};

const OK: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nOK";
const FAILED: &[u8] = b"HTTP/1.1 500 Internal Server Error\r\ncontent-length: 6\r\n\r\nbroken";
const GARBAGE: &[u8] =
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 not the protocol you want\r\n\0\0";
const SLOW: Duration = Duration::from_secs(2);
/// The longest head of a request.
const HEAD_LIMIT: usize = 1024;
/// How often a whole set of free addresses is looked for.
const ATTEMPTS: usize = 20;

struct Shared {
    started: Instant,
    modes: Vec<AtomicU8>,
    /// Wakes a target whose mode has changed to or from refusal.
    changed: Vec<Notify>,
    arrivals: Mutex<Vec<Arrival>>,
}

impl Shared {
    fn now(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }

    fn mode(&self, target: usize) -> Mode {
        Mode::from_number(self.modes[target].load(Ordering::Relaxed))
    }

    fn arrivals(&self) -> MutexGuard<'_, Vec<Arrival>> {
        self.arrivals.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Serves until the standard input ends.
pub(super) fn run(count: usize) -> anyhow::Result<()> {
    let shared = Arc::new(Shared {
        started: Instant::now(),
        modes: (0..count).map(|_| AtomicU8::new(Mode::Answer as u8)).collect(),
        changed: (0..count).map(|_| Notify::new()).collect(),
        arrivals: Mutex::default(),
    });
    let (port, listeners) = listen(count)?;
    let controlled = Arc::clone(&shared);
    println!("{port}");
    let control = std::thread::spawn(move || control(&controlled));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        for (index, listener) in listeners.into_iter().enumerate() {
            let listener = TcpListener::from_std(listener)?;
            tokio::spawn(target(index, listener, Arc::clone(&shared)));
        }
        while !control.is_finished() {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        Ok(())
    })
}

/// One port that is free on all the addresses.
fn listen(count: usize) -> anyhow::Result<(u16, Vec<std::net::TcpListener>)> {
    let mut last = None;
    for _ in 0..ATTEMPTS {
        match listen_once(count) {
            Ok(found) => return Ok(found),
            Err(error) => last = Some(error),
        }
    }
    match last {
        Some(error) => Err(error).context("no port is free on all addresses"),
        None => bail!("no attempt"),
    }
}

fn listen_once(count: usize) -> std::io::Result<(u16, Vec<std::net::TcpListener>)> {
    let mut listeners = Vec::with_capacity(count);
    let mut port = 0;
    for index in 0..count {
        let listener = std::net::TcpListener::bind((ip(index), port))?;
        listener.set_nonblocking(true)?;
        port = listener.local_addr()?.port();
        listeners.push(listener);
    }
    Ok((port, listeners))
}

/// Answers what the bench asks, line by line.
fn control(shared: &Shared) {
    let mut out = std::io::stdout().lock();
    for line in std::io::stdin().lock().lines() {
        let Ok(line) = line else { return };
        let words: Vec<&str> = line.split_whitespace().collect();
        let said = match words.as_slice() {
            ["now"] => writeln!(out, "{}", shared.now()),
            ["take"] => {
                let arrivals = std::mem::take(&mut *shared.arrivals());
                let bytes: Vec<u8> = arrivals.iter().copied().flat_map(encoded).collect();
                writeln!(out, "{}", arrivals.len()).and_then(|()| out.write_all(&bytes))
            }
            ["set", mode, first, end] => {
                match (mode.parse::<u8>(), first.parse::<usize>(), end.parse::<usize>()) {
                    (Ok(mode), Ok(first), Ok(end)) => {
                        for target in first..end.min(shared.modes.len()) {
                            shared.modes[target].store(mode, Ordering::Relaxed);
                            shared.changed[target].notify_one();
                        }
                        writeln!(out, "{}", shared.now())
                    }
                    _ => writeln!(out, "not understood"),
                }
            }
            _ => writeln!(out, "not understood"),
        };
        if said.and_then(|()| out.flush()).is_err() {
            return;
        }
    }
}

/// Accepts for one target; listens only while it does not refuse.
async fn target(index: usize, listener: TcpListener, shared: Arc<Shared>) {
    let Ok(address) = listener.local_addr() else { return };
    let mut listener = Some(listener);
    loop {
        match &listener {
            Some(open) => tokio::select! {
                accepted = open.accept() => match accepted {
                    Ok((stream, _)) => {
                        tokio::spawn(converse(stream, index, Arc::clone(&shared)));
                    }
                    Err(_) => tokio::time::sleep(Duration::from_millis(5)).await,
                },
                () = shared.changed[index].notified() => {}
            },
            None => shared.changed[index].notified().await,
        }
        let refuses = shared.mode(index) == Mode::Refuse;
        match (refuses, listener.is_some()) {
            (true, true) => listener = None,
            (false, false) => listener = Some(listen_again(address).await),
            (true, false) | (false, true) => {}
        }
    }
}

async fn listen_again(address: SocketAddr) -> TcpListener {
    loop {
        match TcpListener::bind(address).await {
            Ok(listener) => return listener,
            Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
        }
    }
}

/// One connection, request by request, until the client or the target's mode ends it.
async fn converse(mut stream: TcpStream, target: usize, shared: Arc<Shared>) {
    let mut head = [0_u8; HEAD_LIMIT];
    let mut filled = 0;
    loop {
        match stream.read(&mut head[filled..]).await {
            Ok(0) | Err(_) => return,
            Ok(count) => filled += count,
        }
        if !head[..filled].ends_with(b"\r\n\r\n") {
            if filled == HEAD_LIMIT {
                return;
            }
            continue;
        }
        filled = 0;
        let arrival = Arrival { target: target as u32, at: shared.now() };
        shared.arrivals().push(arrival);
        let answer = match shared.mode(target) {
            Mode::Answer => OK,
            Mode::Fail => FAILED,
            Mode::Slow => {
                tokio::time::sleep(SLOW).await;
                OK
            }
            Mode::Garbage => {
                let _ = stream.write_all(GARBAGE).await;
                return;
            }
            Mode::HangUp | Mode::Refuse => return,
            Mode::Hang => return hold(stream).await,
        };
        if stream.write_all(answer).await.is_err() {
            return;
        }
    }
}

/// Keeps a connection open until the client closes it.
async fn hold(mut stream: TcpStream) {
    let mut ignored = [0; 64];
    while !matches!(stream.read(&mut ignored).await, Ok(0) | Err(_)) {}
}

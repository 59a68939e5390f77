//! From a host to an open connection on which the request has been sent. Owns the look-up of names
//! and the order in which several addresses are tried; knows nothing of HTTP.

use std::io::{self, ErrorKind, Write as _};
use std::net::{SocketAddr, ToSocketAddrs as _};
use std::time::Duration;

use futures::stream::{FuturesUnordered, StreamExt as _};
use nix::errno::Errno;
use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::time::sleep;

use super::request::Host;
use crate::effects::failure;
use crate::model::Reason;

/// Names that are looked up at the same time. The resolver blocks a thread each, for as long as the
/// name server is silent, and everything else that blocks shares those threads.
const LOOKUPS: usize = 32;

/// When the next address of a name is tried beside one that has not answered (RFC 8305).
const NEXT_ADDRESS_AFTER: Duration = Duration::from_millis(250);

/// Most addresses of one name that are tried.
const MAX_ADDRESSES: usize = 16;

static LOOKUP: Semaphore = Semaphore::const_new(LOOKUPS);

/// Opens a new connection and writes all of `request`.
///
/// # Errors
/// When the name is not found, nobody accepts, or the connection breaks.
pub(super) async fn connect_and_send(
    host: &Host,
    port: u16,
    request: &[u8],
) -> Result<TcpStream, Reason> {
    let sent = match host {
        Host::Address(ip) => send_to((*ip, port).into(), request).await,
        // In a box, so that the state of what is rare is not carried around by every probe.
        Host::Name(name) => Box::pin(send_to_named(name, port, request)).await?,
    };
    sent.map_err(|error| failure::classify(&error))
}

async fn send_to_named(
    name: &str,
    port: u16,
    request: &[u8],
) -> Result<io::Result<TcpStream>, Reason> {
    Ok(match look_up(name, port).await?.as_slice() {
        [only] => send_to(*only, request).await,
        several => send_to_first(several, request).await,
    })
}

async fn look_up(name: &str, port: u16) -> Result<Vec<SocketAddr>, Reason> {
    let not_found = |why: &str| failure::name_not_found(format!("name not found: {name}: {why}"));
    let turn = LOOKUP.acquire().await.map_err(|error| not_found(&error.to_string()))?;
    let asked = name.to_owned();
    let found = tokio::task::spawn_blocking(move || {
        // Held by the thread itself: whoever asked may long have given up.
        let _turn = turn;
        let all = (asked.as_str(), port).to_socket_addrs()?;
        Ok::<_, io::Error>(all.take(MAX_ADDRESSES).collect::<Vec<_>>())
    });
    match found.await {
        Ok(Ok(addresses)) if addresses.is_empty() => Err(not_found("it has no address")),
        Ok(Ok(addresses)) => Ok(addresses),
        Ok(Err(error)) => Err(not_found(&error.to_string())),
        Err(error) => Err(not_found(&error.to_string())),
    }
}

/// The first of several addresses that accepts gets the request.
async fn send_to_first(addresses: &[SocketAddr], request: &[u8]) -> io::Result<TcpStream> {
    let mut waiting = addresses.iter();
    let mut attempts = FuturesUnordered::new();
    let mut newest_error = io::Error::from(ErrorKind::AddrNotAvailable);
    let stream = loop {
        attempts.extend(waiting.next().map(TcpStream::connect));
        let next_one = async {
            if waiting.len() == 0 {
                std::future::pending::<()>().await;
            }
            sleep(NEXT_ADDRESS_AFTER).await;
        };
        tokio::select! {
            ended = attempts.next() => match ended {
                Some(Ok(stream)) => break stream,
                Some(Err(error)) => newest_error = error,
                None => return Err(newest_error),
            },
            () = next_one => {}
        }
    };
    write_rest(&stream, request).await?;
    Ok(stream)
}

/// Connects and writes without waiting: on this machine and its own network bridge the connection
/// stands by the time `connect` returns, though it says that it is still at work. One that does not
/// stand yet refuses the bytes, and is waited for.
async fn send_to(address: SocketAddr, request: &[u8]) -> io::Result<TcpStream> {
    let mut socket = begin_to_connect(address)?;
    // Probes that begin together connect first and send then: a server that gets its requests in
    // one go is woken once, and does not interrupt us for each.
    tokio::task::yield_now().await;
    let sent = match socket.write(request) {
        Ok(count) => count,
        Err(error) if is_too_early(&error) => 0,
        Err(error) => return Err(error),
    };
    let stream = TcpStream::from_std(socket)?;
    write_rest(&stream, &request[sent..]).await?;
    Ok(stream)
}

fn begin_to_connect(address: SocketAddr) -> io::Result<std::net::TcpStream> {
    let socket = nonblocking_socket(Domain::for_address(address))?;
    match socket.connect(&address.into()) {
        Ok(()) => {}
        Err(error) if error.raw_os_error() == Some(Errno::EINPROGRESS as i32) => {}
        Err(error) => return Err(error),
    }
    Ok(socket.into())
}

#[cfg(target_os = "linux")]
fn nonblocking_socket(domain: Domain) -> io::Result<Socket> {
    let socket = Socket::new(domain, Type::STREAM.nonblocking(), Some(Protocol::TCP))?;
    // The last packet of the handshake goes out with the request, not before it. Where the kernel
    // does not know this, it costs a packet.
    let _ = socket.set_tcp_quickack(false);
    Ok(socket)
}

#[cfg(not(target_os = "linux"))]
fn nonblocking_socket(domain: Domain) -> io::Result<Socket> {
    let socket = Socket::new(domain, Type::STREAM, Some(Protocol::TCP))?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}

fn is_too_early(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted | ErrorKind::NotConnected)
}

/// Writes what is left of the request. On a connection that does not stand yet, the first write
/// after the wait says why it never will.
async fn write_rest(stream: &TcpStream, mut rest: &[u8]) -> io::Result<()> {
    while !rest.is_empty() {
        stream.writable().await?;
        match stream.try_write(rest) {
            Ok(0) => return Err(ErrorKind::WriteZero.into()),
            Ok(count) => rest = &rest[count..],
            Err(error) if is_too_early(&error) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

//! A TCP connection to a server that is not trusted: what it may say is bounded, and it is read
//! byte by byte until TLS begins, so that nothing it says in plain can pass for something said
//! under TLS. Knows nothing of SMTP.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use lettre::transport::smtp::client::AsyncTokioStream;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

/// What a server may say in one conversation, its certificates included, in bytes.
const READ_BUDGET: usize = 256 * 1024;
/// The first byte of every TLS connection: a handshake record.
const TLS_HANDSHAKE: u8 = 0x16;

/// The connection.
#[derive(Debug)]
pub(super) struct BoundedStream {
    inner: TcpStream,
    peer: SocketAddr,
    budget: usize,
    encrypted: bool,
}

impl BoundedStream {
    pub(super) fn new(inner: TcpStream, peer: SocketAddr) -> Self {
        Self { inner, peer, budget: READ_BUDGET, encrypted: false }
    }
}

impl AsyncTokioStream for BoundedStream {
    fn peer_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.peer)
    }
}

impl AsyncRead for BoundedStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let room = if self.encrypted { buf.remaining() } else { buf.remaining().min(1) };
        if self.budget == 0 && room > 0 {
            return Poll::Ready(Err(io::Error::other("the server says too much")));
        }
        let mut bytes = [0_u8; 4_096];
        let room = room.min(self.budget).min(bytes.len());
        let mut part = ReadBuf::new(bytes.get_mut(..room).unwrap_or_default());
        ready!(Pin::new(&mut self.inner).poll_read(cx, &mut part))?;
        let read = part.filled();
        buf.put_slice(read);
        self.budget -= read.len();
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for BoundedStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        // No SMTP command begins with this byte, and a mail's text never does.
        if buf.first() == Some(&TLS_HANDSHAKE) {
            self.encrypted = true;
        }
        Pin::new(&mut self.inner).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}

//! A listening port of the API whose network can be cut: the connections of the clients behind it
//! then hang or break, while those of all other ports go on.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::extract::connect_info::Connected;
use axum::serve::{IncomingStream, Listener};
use futures::StreamExt;
use futures::stream::BoxStream;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// How long to wait before listening, or accepting, is tried again.
const RETRY: Duration = Duration::from_millis(20);

/// How the network between a port of the API and its clients is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Link {
    /// As it should be.
    #[default]
    Up,
    /// Nothing gets through in either direction: requests hang, and so do answers that were on
    /// their way. When the network comes back, the connections of this time are reset, and what
    /// was sent into them is lost.
    Silent,
    /// Connections break and new ones are refused.
    Refused,
}

/// The client's end of a connection.
#[derive(Debug, Clone, Copy)]
pub(in crate::sim) struct Peer(pub(in crate::sim) Option<SocketAddr>);

/// Listens for connections and hands out gated ones.
pub(in crate::sim) struct Gate {
    /// `None` while connections are refused.
    listener: Option<TcpListener>,
    address: SocketAddr,
    link: watch::Receiver<Link>,
}

impl Gate {
    pub(in crate::sim) fn new(
        listener: TcpListener,
        address: SocketAddr,
        link: watch::Receiver<Link>,
    ) -> Self {
        Self { listener: Some(listener), address, link }
    }

    /// The next connection; `None` when the network has changed meanwhile.
    async fn try_accept(&mut self) -> Option<(Gated, SocketAddr)> {
        if *self.link.borrow_and_update() == Link::Refused {
            self.listener = None;
            // Without anybody to change it the world ends with this port refused.
            let _ = self.link.changed().await;
        }
        let listener = match self.listener.take() {
            Some(listener) => listener,
            None if *self.link.borrow() == Link::Refused => return None,
            None => TcpListener::bind(self.address).await.ok()?,
        };
        let listener = self.listener.insert(listener);
        tokio::select! {
            accepted = TcpListener::accept(listener) => {
                let (stream, peer) = accepted.ok()?;
                Some((Gated::new(stream, &self.link), peer))
            }
            Ok(()) = self.link.changed() => None,
        }
    }
}

impl Listener for Gate {
    type Io = Gated;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        loop {
            match self.try_accept().await {
                Some(accepted) => return accepted,
                None if self.listener.is_none() => tokio::time::sleep(RETRY).await,
                None => tokio::task::yield_now().await,
            }
        }
    }

    fn local_addr(&self) -> io::Result<Self::Addr> {
        Ok(self.address)
    }
}

impl Connected<IncomingStream<'_, Gate>> for Peer {
    fn connect_info(stream: IncomingStream<'_, Gate>) -> Self {
        Self(Some(*stream.remote_addr()))
    }
}

/// A connection through the gate.
pub(in crate::sim) struct Gated {
    stream: TcpStream,
    reading: Watched,
    writing: Watched,
}

impl Gated {
    fn new(stream: TcpStream, link: &watch::Receiver<Link>) -> Self {
        Self { stream, reading: Watched::new(link), writing: Watched::new(link) }
    }
}

/// One direction of a connection, and what has happened to the network.
struct Watched {
    changes: BoxStream<'static, Link>,
    link: Link,
    /// Set for good by the first trouble that is over.
    broken: bool,
}

impl Watched {
    fn new(link: &watch::Receiver<Link>) -> Self {
        let mut link = link.clone();
        let now = *link.borrow_and_update();
        let changes = futures::stream::unfold(link, |mut link| async move {
            if link.changed().await.is_err() {
                // Nobody will ever change it again.
                return std::future::pending().await;
            }
            let now = *link.borrow_and_update();
            Some((now, link))
        });
        Self { changes: changes.boxed(), link: now, broken: false }
    }

    /// Ready while the network is up, an error once it has been cut; wakes when it changes.
    fn poll(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        while let Poll::Ready(Some(link)) = self.changes.poll_next_unpin(context) {
            self.broken |= self.link != Link::Up;
            self.link = link;
        }
        match self.link {
            Link::Silent if !self.broken => Poll::Pending,
            Link::Up if !self.broken => Poll::Ready(Ok(())),
            Link::Up | Link::Silent | Link::Refused => {
                Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()))
            }
        }
    }
}

impl AsyncRead for Gated {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let gated = self.get_mut();
        ready!(gated.reading.poll(context))?;
        Pin::new(&mut gated.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for Gated {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let gated = self.get_mut();
        ready!(gated.writing.poll(context))?;
        Pin::new(&mut gated.stream).poll_write(context, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(context)
    }
}

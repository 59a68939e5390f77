//! What falconer shows over HTTP: metrics, liveness, readiness, status, why it did what it did; and,
//! with a token, what changes state: reading the configuration again, letting recovery go on where
//! it was stopped, silences, and that somebody looks after an alert. On a thread and a runtime of its own,
//! so that no client can disturb an actor. Never asks an actor anything: it reads what they have
//! published.

mod about;
mod administration;
mod alerts;
mod body;
mod connections;
mod explain;
mod history;
mod notices;
mod page;
mod readiness;
mod recovery;
mod refusal;
mod routes;
mod silences;
mod watchdog;

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use tokio::sync::oneshot;

use crate::actors::heartbeat::Heartbeat;
use crate::actors::status::StatusBoard;
use crate::clock::Clock;
use crate::metrics::MetricsRegistry;

pub use about::{About, AboutBoard};
pub use administration::{Administration, ReloadError, ResumeError};
pub use history::History;
use refusal::refuse;

/// Where the server listens, and how much it takes from its clients.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerSettings {
    /// The address; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Bounds on what clients can take.
    pub limits: ServerLimits,
}

impl ServerSettings {
    /// Listens on `listen` with the usual bounds.
    pub fn listening_on(listen: SocketAddr) -> Self {
        Self { listen, limits: ServerLimits::default() }
    }
}

/// Bounds on what clients can take.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerLimits {
    /// Connections at a time. One more ends the oldest, so that slow clients never lock others out.
    pub connections: usize,
    /// The time in which the head of a request must arrive, also between two requests.
    pub header_timeout: Duration,
    /// The longest life of a connection, whatever it does.
    pub connection_lifetime: Duration,
}

impl Default for ServerLimits {
    fn default() -> Self {
        Self {
            connections: 256,
            header_timeout: Duration::from_secs(10),
            connection_lifetime: Duration::from_secs(120),
        }
    }
}

/// What the server shows.
#[derive(Debug, Clone)]
pub struct ServerSources {
    /// What the actors have published.
    pub status: StatusBoard,
    /// The metrics page.
    pub metrics: MetricsRegistry,
    /// The actors' sign of life.
    pub heartbeat: Heartbeat,
    /// The time.
    pub clock: Clock,
    /// How falconer is configured.
    pub about: AboutBoard,
    /// What may be changed over HTTP; `None` = nothing.
    pub administration: Option<Arc<dyn Administration>>,
    /// Who reads the journal; `None` = nobody.
    pub history: Option<Arc<dyn History>>,
}

/// Why the server could not start.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// The address cannot be used.
    #[error("cannot listen on {address}: {}; set [server] listen", in_words(source))]
    Listen {
        /// The address.
        address: SocketAddr,
        /// Why.
        source: io::Error,
    },
    /// The thread or its runtime could not be made.
    #[error("cannot start the server's thread: {0}")]
    Thread(#[source] io::Error),
}

fn in_words(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::AddrInUse => "address in use".to_owned(),
        io::ErrorKind::AddrNotAvailable => "this machine has no such address".to_owned(),
        io::ErrorKind::PermissionDenied => {
            "not permitted (ports below 1024 need rights)".to_owned()
        }
        _ => error.to_string(),
    }
}

/// The running server. Dropping it ends it without waiting.
#[derive(Debug)]
pub struct Server {
    local_addr: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    /// Resolves when the thread ends, in whichever way.
    ended: oneshot::Receiver<()>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    /// Listens, then serves on a thread of its own. Connections are accepted from the moment this
    /// returns.
    ///
    /// # Errors
    /// When the address cannot be used, or the thread cannot be started.
    pub fn start(settings: &ServerSettings, sources: ServerSources) -> Result<Self, ServerError> {
        let listen_error = |source| ServerError::Listen { address: settings.listen, source };
        let listener = TcpListener::bind(settings.listen).map_err(listen_error)?;
        listener.set_nonblocking(true).map_err(listen_error)?;
        let local_addr = listener.local_addr().map_err(listen_error)?;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(ServerError::Thread)?;
        let listener = {
            let _entered = runtime.enter();
            tokio::net::TcpListener::from_std(listener).map_err(ServerError::Thread)?
        };
        let (stop, stopped) = oneshot::channel();
        let (alive, ended) = oneshot::channel::<()>();
        let limits = settings.limits.clone();
        let thread = thread::Builder::new()
            .name("server".into())
            .spawn(move || {
                // Dropped when the thread ends, also by a panic.
                let _alive = alive;
                runtime.spawn(watchdog::watch(sources.heartbeat.clone()));
                let router = routes::router(sources);
                runtime.block_on(connections::serve(listener, router, limits, stopped));
            })
            .map_err(ServerError::Thread)?;
        tracing::info!(address = %local_addr, "server listens");
        Ok(Self { local_addr, stop: Some(stop), ended, thread: Some(thread) })
    }

    /// The address it listens on, with the real port.
    pub fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    /// Waits until the thread ends; before a shutdown that is never meant to happen.
    pub async fn ended(&mut self) {
        // Its far end is never sent to, only dropped.
        let _ = (&mut self.ended).await;
    }

    /// Ends the server: no new connection, answers under way get two seconds. Blocks that long.
    pub fn shutdown(mut self) {
        self.signal();
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("server thread panicked");
        }
    }

    fn signal(&mut self) {
        if let Some(stop) = self.stop.take() {
            // The far end is gone only where the thread has ended already.
            let _ended = stop.send(());
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.signal();
    }
}

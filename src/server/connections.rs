//! Accepts connections and bounds what each of them can take. Knows nothing of what is served.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::pin;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{oneshot, watch};
use tokio::task::{AbortHandle, JoinSet};

use super::ServerLimits;

/// Most header lines of a request.
const MAX_HEADERS: usize = 64;
/// Most bytes of a request's head.
const MAX_HEAD_BYTES: usize = 16 * 1_024;
/// How long answers under way may take once a connection is to end.
const DRAIN: Duration = Duration::from_secs(2);
/// The pause after a failed accept: mostly no file descriptor is free, and trying at once would spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Serves `router` until `stop` is told or dropped.
pub(super) async fn serve(
    listener: TcpListener,
    router: Router,
    limits: ServerLimits,
    stop: oneshot::Receiver<()>,
) {
    let (closing, closed) = watch::channel(());
    let mut connections = Connections::new(limits.connections);
    let mut stop = pin!(stop);
    loop {
        tokio::select! {
            _ = &mut stop => break,
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => connections
                    .admit(serve_one(stream, router.clone(), limits.clone(), closed.clone())),
                Err(error) => {
                    tracing::debug!(%error, "connection was not accepted");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            },
        }
    }
    drop(listener);
    drop(closing);
    let drained = tokio::time::timeout(DRAIN, connections.finished()).await;
    if drained.is_err() {
        tracing::debug!("connections were cut at shutdown");
    }
}

/// The connections that are open, oldest first.
struct Connections {
    tasks: JoinSet<()>,
    by_age: VecDeque<AbortHandle>,
    limit: usize,
}

impl Connections {
    fn new(limit: usize) -> Self {
        Self { tasks: JoinSet::new(), by_age: VecDeque::new(), limit: limit.max(1) }
    }

    /// Runs one more connection; at the limit the oldest makes room.
    fn admit(&mut self, connection: impl Future<Output = ()> + Send + 'static) {
        while self.tasks.try_join_next().is_some() {}
        self.by_age.retain(|task| !task.is_finished());
        if self.by_age.len() >= self.limit
            && let Some(oldest) = self.by_age.pop_front()
        {
            oldest.abort();
        }
        self.by_age.push_back(self.tasks.spawn(connection));
    }

    async fn finished(&mut self) {
        while self.tasks.join_next().await.is_some() {}
    }
}

async fn serve_one(
    stream: TcpStream,
    router: Router,
    limits: ServerLimits,
    mut closed: watch::Receiver<()>,
) {
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.header_timeout)
        .max_headers(MAX_HEADERS)
        .max_buf_size(MAX_HEAD_BYTES)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
    let mut connection = pin!(connection);
    tokio::select! {
        result = connection.as_mut() => {
            if let Err(error) = result {
                tracing::trace!(%error, "connection ended early");
            }
            return;
        }
        () = tokio::time::sleep(limits.connection_lifetime) => {}
        // Resolves with an error as soon as the server drops its end.
        _ = closed.changed() => {}
    }
    connection.as_mut().graceful_shutdown();
    // Whatever is not written by then belongs to a client that does not read.
    let _cut = tokio::time::timeout(DRAIN, connection).await;
}

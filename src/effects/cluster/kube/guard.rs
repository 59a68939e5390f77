//! A layer around the HTTP client that bounds what any answer can cost: time to its head, time
//! between its parts, size as a whole (or of one line of a watch), and how often a watch is opened.

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures::FutureExt;
use futures::future::BoxFuture;
use http::header::CONTENT_TYPE;
use http::{Request, Response};
use http_body::{Body, Frame, SizeHint};
use tokio::time::{Instant, Sleep, sleep, sleep_until, timeout};
use tower::{BoxError, Layer, Service};

use super::settings::Timing;

/// Largest answer to anything but a watch, in bytes. Lists are asked for in pages.
const WHOLE_LIMIT: usize = 16 << 20;
/// Largest log of a container, in bytes; less is asked for.
pub const LOG_LIMIT: usize = 1 << 20;
/// Largest event of a watch, in bytes; an object is at most 1.5 MiB in the API's own store.
const LINE_LIMIT: usize = 4 << 20;

/// Why an answer was given up.
#[derive(Debug, thiserror::Error)]
pub enum GuardError {
    /// It took too long.
    #[error("no answer within {} s", .0.as_secs_f64())]
    Deadline(Duration),
    /// It is too large.
    #[error("the answer is larger than {0} bytes")]
    TooLarge(usize),
    /// It is not from a Kubernetes API.
    #[error("the answer is {0} instead of JSON: is this a Kubernetes API?")]
    NotJson(String),
    /// It is a redirect; those are not followed, since the credentials would go with them.
    #[error("the answer is a redirect ({0})")]
    Redirect(u16),
}

/// Puts a guard around the client's service.
#[derive(Debug, Clone)]
pub struct GuardLayer {
    timing: Timing,
    opened: Arc<Mutex<HashMap<String, Instant>>>,
}

impl GuardLayer {
    /// A guard with these deadlines.
    pub fn new(timing: Timing) -> Self {
        Self { timing, opened: Arc::default() }
    }

    /// How long the opening of a watch has to wait: one whose server ends it at once is otherwise
    /// opened again without a pause.
    fn pause_before(&self, path: &str) -> Duration {
        let now = Instant::now();
        let mut opened = self.opened.lock().unwrap_or_else(PoisonError::into_inner);
        let start =
            opened.get(path).map_or(now, |last| (*last + self.timing.retry_initial).max(now));
        opened.insert(path.to_owned(), start);
        start - now
    }
}

impl<S> Layer<S> for GuardLayer {
    type Service = Guard<S>;

    fn layer(&self, inner: S) -> Guard<S> {
        Guard { inner, layer: self.clone() }
    }
}

/// The guarded service.
#[derive(Debug)]
pub struct Guard<S> {
    inner: S,
    layer: GuardLayer,
}

impl<S, A, B> Service<Request<A>> for Guard<S>
where
    S: Service<Request<A>, Response = Response<B>>,
    S::Future: Send + 'static,
    S::Error: Into<BoxError>,
    B: Body<Data = Bytes> + Unpin + Send + 'static,
    B::Error: Into<BoxError>,
{
    type Response = Response<Guarded<B>>;
    type Error = BoxError;
    type Future = BoxFuture<'static, Result<Self::Response, BoxError>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(context).map_err(Into::into)
    }

    fn call(&mut self, request: Request<A>) -> Self::Future {
        let is_watch = request.uri().query().is_some_and(is_watch);
        let is_log = request.uri().path().ends_with("/log");
        let timing = self.layer.timing;
        let pause =
            if is_watch { self.layer.pause_before(request.uri().path()) } else { Duration::ZERO };
        let answer = self.inner.call(request);
        async move {
            sleep(pause).await;
            let deadline = Instant::now() + timing.request;
            let answer = timeout(timing.request, answer)
                .await
                .map_err(|_| GuardError::Deadline(timing.request))?
                .map_err(Into::into)?;
            check_head(&answer, is_log)?;
            let bound = if is_watch {
                Bound::Line { idle: timing.watch + timing.request, length: 0 }
            } else {
                let limit = if is_log { LOG_LIMIT } else { WHOLE_LIMIT };
                Bound::Whole { time: timing.request, limit, length: 0 }
            };
            Ok(answer.map(|inner| Guarded {
                inner,
                alarm: Box::pin(sleep_until(bound.alarm(deadline))),
                bound,
            }))
        }
        .boxed()
    }
}

fn is_watch(query: &str) -> bool {
    query.split('&').any(|pair| matches!(pair, "watch=true" | "watch=1"))
}

/// Every answer is JSON, but for a log, which is whatever its container wrote.
fn check_head<B>(answer: &Response<B>, is_log: bool) -> Result<(), GuardError> {
    let status = answer.status();
    if status.is_redirection() {
        return Err(GuardError::Redirect(status.as_u16()));
    }
    let kind =
        answer.headers().get(CONTENT_TYPE).map(|kind| String::from_utf8_lossy(kind.as_bytes()));
    match kind {
        Some(kind) if status.is_success() && !is_log && !kind.contains("json") => {
            Err(GuardError::NotJson(kind.chars().take(60).collect()))
        }
        _ => Ok(()),
    }
}

/// What is bounded, and how much of it has been used.
#[derive(Debug)]
enum Bound {
    /// The whole answer, by the deadline of the request.
    Whole { time: Duration, limit: usize, length: usize },
    /// One line, and the time between two pieces.
    Line { idle: Duration, length: usize },
}

impl Bound {
    fn alarm(&self, deadline: Instant) -> Instant {
        match self {
            Self::Whole { .. } => deadline,
            Self::Line { idle, .. } => Instant::now() + *idle,
        }
    }

    fn deadline_error(&self) -> GuardError {
        match self {
            Self::Whole { time, .. } => GuardError::Deadline(*time),
            Self::Line { idle, .. } => GuardError::Deadline(*idle),
        }
    }

    fn take(&mut self, piece: &[u8]) -> Result<(), GuardError> {
        let (length, limit) = match self {
            Self::Whole { length, limit, .. } => {
                *length += piece.len();
                (*length, *limit)
            }
            Self::Line { length, .. } => {
                match piece.iter().rposition(|byte| *byte == b'\n') {
                    Some(end) => *length = piece.len() - end - 1,
                    None => *length += piece.len(),
                }
                (*length, LINE_LIMIT)
            }
        };
        if length > limit { Err(GuardError::TooLarge(limit)) } else { Ok(()) }
    }
}

/// The guarded body of an answer.
#[derive(Debug)]
pub struct Guarded<B> {
    inner: B,
    alarm: Pin<Box<Sleep>>,
    bound: Bound,
}

impl<B> Body for Guarded<B>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: Into<BoxError>,
{
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = &mut *self;
        let Poll::Ready(frame) = Pin::new(&mut this.inner).poll_frame(context) else {
            return match this.alarm.poll_unpin(context) {
                Poll::Ready(()) => Poll::Ready(Some(Err(this.bound.deadline_error().into()))),
                Poll::Pending => Poll::Pending,
            };
        };
        let Some(frame) = frame else { return Poll::Ready(None) };
        let frame = frame.map_err(Into::into).and_then(|frame| {
            if let Some(piece) = frame.data_ref() {
                this.bound.take(piece)?;
            }
            Ok(frame)
        });
        if let Bound::Line { idle, .. } = this.bound {
            this.alarm.as_mut().reset(Instant::now() + idle);
        }
        Poll::Ready(Some(frame))
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_watch_may_last_for_ever_but_its_events_are_bounded() {
        let mut watch = Bound::Line { idle: Duration::ZERO, length: 0 };
        let piece = vec![b'x'; 1 << 20];
        let mut with_end = piece.clone();
        with_end.push(b'\n');
        for _ in 0..100 {
            watch.take(&piece).expect("a short line");
            watch.take(&with_end).expect("its end");
        }
        for _ in 0..4 {
            watch.take(&piece).expect("still short");
        }
        assert!(matches!(watch.take(b"x"), Err(GuardError::TooLarge(LINE_LIMIT))));
    }

    #[test]
    fn any_other_answer_is_bounded_as_a_whole() {
        let mut whole = Bound::Whole { time: Duration::ZERO, limit: WHOLE_LIMIT, length: 0 };
        let piece = vec![b'\n'; WHOLE_LIMIT];
        whole.take(&piece).expect("just as large as allowed");
        assert!(matches!(whole.take(b"\n"), Err(GuardError::TooLarge(WHOLE_LIMIT))));
    }

    #[test]
    fn only_watches_count_as_watches() {
        assert!(is_watch("allowWatchBookmarks=true&watch=true&timeoutSeconds=30"));
        assert!(!is_watch("limit=100&labelSelector=watch%3Dtrue"));
    }

    #[tokio::test(start_paused = true)]
    async fn a_watch_that_ends_at_once_is_not_opened_again_at_once() {
        let layer = GuardLayer::new(Timing::default());
        assert_eq!(layer.pause_before("/a"), Duration::ZERO);
        assert_eq!(layer.pause_before("/a"), Duration::from_millis(500));
        assert_eq!(layer.pause_before("/b"), Duration::ZERO);
        tokio::time::advance(Duration::from_mins(1)).await;
        assert_eq!(layer.pause_before("/a"), Duration::ZERO);
    }
}

//! One GET over a connection of its own, with as few system calls as it can be done with: the
//! request in one write, an ordinary answer in one read into a buffer that all exchanges of a thread
//! share. No task, no pool, nothing left behind.
//!
//! How the connection ends: the request says `connection: close`, so the server expects nothing
//! more and does not read again. Once the answer is complete the socket is therefore closed with a
//! reset (linger of zero). An orderly close would leave, for every probe, a socket in TIME_WAIT for
//! a minute, here or at the server, and cost four packets instead of one. It does no harm: there is
//! nothing under way that a reset could destroy, and a server that has closed, or is about to, does
//! not see it. An exchange that did not end well is closed in the ordinary way, so that a server
//! that is still at work notices as it would with any client.

use std::cell::RefCell;
use std::future::poll_fn;
use std::io::ErrorKind;

use tokio::net::TcpStream;
use tokio::time::Instant;

use super::AnswerHead;
use super::connecting::connect_and_send;
use super::reading::{Progress, Reading};
use super::request::Request;
use crate::effects::failure;
use crate::model::Reason;

/// Most bytes taken from the kernel at once.
const READ_AT_ONCE: usize = 64 * 1024;

thread_local! {
    /// Bytes on their way from the kernel to a [`Reading`]; never holds anything across a wait.
    static INCOMING: RefCell<Vec<u8>> = RefCell::new(vec![0; READ_AT_ONCE]);
}

/// Sends `request` and hands at most `limit` bytes of the answer's body to `on_part`. Has no
/// deadline of its own.
///
/// # Errors
/// When there is no connection, the answer is not HTTP, or it breaks off.
pub(super) async fn exchange(
    request: &Request,
    limit: u64,
    mut on_part: impl FnMut(&[u8]),
) -> Result<AnswerHead, Reason> {
    let started = Instant::now();
    let stream = connect_and_send(&request.host, request.port, &request.bytes).await?;
    let mut reading = Reading::new(limit);
    loop {
        // Ready is what one may poll without end only so often: after that others have their turn.
        poll_fn(|task| stream.poll_read_ready(task))
            .await
            .map_err(|error| failure::classify(&error))?;
        match receive(&stream, &mut reading, &mut on_part)? {
            Progress::More => {}
            Progress::Complete => break,
        }
    }
    // Where this cannot be set the close is an ordinary one.
    let _ = stream.set_zero_linger();
    reading.finish(started.elapsed())
}

fn receive(
    stream: &TcpStream,
    reading: &mut Reading,
    on_part: &mut impl FnMut(&[u8]),
) -> Result<Progress, Reason> {
    INCOMING.with_borrow_mut(|buffer| match stream.try_read(buffer) {
        Ok(0) => reading.closed().map(|()| Progress::Complete),
        Ok(count) => reading.feed(&buffer[..count], on_part),
        Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {
            Ok(Progress::More)
        }
        Err(error) => Err(failure::classify(&error)),
    })
}

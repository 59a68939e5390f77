//! Understands one HTTP/1.x answer while its bytes arrive, however they are cut up: heads that are
//! only provisional, the head that counts, and where its body ends (RFC 9112, section 6.3). Does no
//! I/O, and keeps nothing of the body.

use std::mem::MaybeUninit;

use httparse::{Error as ParseError, ParserConfig, Response, Status};

use super::chunked::{Chunked, NotChunked};
use super::{AnswerHead, MAX_HEADERS};
use crate::effects::failure::CLOSED_EARLY;
use crate::model::{Reason, ReasonKind};

/// Most bytes of all heads of one answer together.
const HEAD_LIMIT: usize = 64 * 1024;

/// Whether an answer needs more bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Progress {
    More,
    Complete,
}

/// How the end of a body is known.
#[derive(Debug, Clone, Copy)]
enum Framing {
    /// After so many more bytes.
    Length(u64),
    Chunked(Chunked),
    UntilClose,
}

/// The head that counts.
#[derive(Debug)]
struct Head {
    status: u16,
    location: Option<String>,
    framing: Framing,
}

/// How much of the body may still be handed on.
#[derive(Debug)]
struct Room {
    left: u64,
    exceeded: bool,
}

impl Room {
    /// Hands on what there is room for; `false` where that is not all.
    fn pass(&mut self, part: &[u8], on_part: &mut impl FnMut(&[u8])) -> bool {
        let fits = usize::try_from(self.left).unwrap_or(usize::MAX).min(part.len());
        if fits > 0 {
            on_part(&part[..fits]);
        }
        self.left -= fits as u64;
        self.exceeded = fits < part.len();
        !self.exceeded
    }
}

/// An answer on its way.
#[derive(Debug)]
pub(super) struct Reading {
    room: Room,
    head: Option<Head>,
    /// The part of a head that has arrived, where it did not arrive in one piece.
    unfinished: Vec<u8>,
    /// How long `unfinished` has to be for another look at it, unless its end has arrived: a head
    /// that drips in must not be looked at for every byte.
    look_again_at: usize,
    /// Bytes of the provisional heads so far.
    provisional: usize,
}

impl Reading {
    /// Nothing has arrived yet; at most `limit` bytes of the body will be handed on.
    pub(super) fn new(limit: u64) -> Self {
        Self {
            room: Room { left: limit, exceeded: false },
            head: None,
            unfinished: Vec::new(),
            look_again_at: 0,
            provisional: 0,
        }
    }

    /// Takes in what has arrived and hands the body's part of it to `on_part`.
    ///
    /// # Errors
    /// When this is not HTTP, or its head is too large.
    pub(super) fn feed(
        &mut self,
        bytes: &[u8],
        on_part: &mut impl FnMut(&[u8]),
    ) -> Result<Progress, Reason> {
        if self.head.is_some() {
            return self.feed_body(bytes, on_part);
        }
        if self.unfinished.is_empty() {
            return self.feed_head(bytes, on_part);
        }
        let seen = self.unfinished.len();
        self.unfinished.extend_from_slice(bytes);
        if self.unfinished.len() < self.look_again_at && !has_end(&self.unfinished, seen) {
            return Ok(Progress::More);
        }
        let all = std::mem::take(&mut self.unfinished);
        self.feed_head(&all, on_part)
    }

    /// The far side has closed the connection.
    ///
    /// # Errors
    /// When the answer was not complete.
    pub(super) fn closed(&self) -> Result<(), Reason> {
        match self.head.as_ref().map(|head| head.framing) {
            Some(Framing::UntilClose | Framing::Length(0)) => Ok(()),
            Some(Framing::Length(_) | Framing::Chunked(_)) | None => {
                Err(Reason::new(ReasonKind::Connection, CLOSED_EARLY))
            }
        }
    }

    /// What the head said.
    ///
    /// # Errors
    /// When it has not arrived.
    pub(super) fn finish(self, latency: std::time::Duration) -> Result<AnswerHead, Reason> {
        let Some(Head { status, location, .. }) = self.head else {
            return Err(Reason::new(ReasonKind::Connection, CLOSED_EARLY));
        };
        Ok(AnswerHead { status, location, truncated: self.room.exceeded, latency })
    }

    fn feed_head(
        &mut self,
        mut bytes: &[u8],
        on_part: &mut impl FnMut(&[u8]),
    ) -> Result<Progress, Reason> {
        while let Some((length, head)) = parse_head(bytes)? {
            bytes = &bytes[length..];
            if let Some(head) = head {
                self.head = Some(head);
                return self.feed_body(bytes, on_part);
            }
            self.provisional += length;
        }
        if self.provisional + bytes.len() > HEAD_LIMIT {
            return Err(too_large());
        }
        self.unfinished = bytes.to_vec();
        self.look_again_at = (2 * bytes.len()).min(HEAD_LIMIT - self.provisional + 1);
        Ok(Progress::More)
    }

    fn feed_body(
        &mut self,
        bytes: &[u8],
        on_part: &mut impl FnMut(&[u8]),
    ) -> Result<Progress, Reason> {
        let Some(head) = &mut self.head else { return Ok(Progress::More) };
        let room = &mut self.room;
        let complete = match &mut head.framing {
            Framing::Length(left) => {
                let ours = usize::try_from(*left).unwrap_or(usize::MAX).min(bytes.len());
                *left -= ours as u64;
                !room.pass(&bytes[..ours], on_part) || *left == 0
            }
            Framing::Chunked(chunked) => chunked
                .feed(bytes, |data| room.pass(data, on_part))
                .map_err(|NotChunked(why)| not_http(why))?,
            Framing::UntilClose => !room.pass(bytes, on_part),
        };
        Ok(if complete { Progress::Complete } else { Progress::More })
    }
}

/// Whether a head ends in `bytes`, of which the first `seen` were looked at before.
fn has_end(bytes: &[u8], seen: usize) -> bool {
    let new = &bytes[seen.saturating_sub(3)..];
    new.windows(2).any(|pair| pair == b"\n\n") || new.windows(3).any(|three| three == b"\n\r\n")
}

/// A head at the start of `bytes` and its length; no head where it is only provisional. `None`
/// where it has not arrived completely.
fn parse_head(bytes: &[u8]) -> Result<Option<(usize, Option<Head>)>, Reason> {
    let mut lines = [const { MaybeUninit::uninit() }; MAX_HEADERS];
    let mut response = Response::new(&mut []);
    let parsed = ParserConfig::default().parse_response_with_uninit_headers(
        &mut response,
        bytes,
        &mut lines,
    );
    let length = match parsed {
        Ok(Status::Complete(length)) => length,
        Ok(Status::Partial) => return Ok(None),
        Err(ParseError::TooManyHeaders) => return Err(too_large()),
        Err(error) => return Err(not_http(&error.to_string())),
    };
    if length > HEAD_LIMIT {
        return Err(too_large());
    }
    let head = match response.code.unwrap_or_default() {
        0..100 => return Err(not_http("invalid response status")),
        // Switching protocols is the end of HTTP, though nobody has asked for it.
        status @ (101 | 204 | 304) => Some((status, Framing::Length(0))),
        100..200 => None,
        status => Some((status, framing(&response)?)),
    };
    let head = head.map(|(status, framing)| {
        let location = values(&response, "location").next();
        let location = location.map(|value| String::from_utf8_lossy(value).into_owned());
        Head { status, location, framing }
    });
    Ok(Some((length, head)))
}

fn values<'a>(response: &'a Response<'_, '_>, name: &'a str) -> impl Iterator<Item = &'a [u8]> {
    let wanted = response.headers.iter().filter(|line| line.name.eq_ignore_ascii_case(name));
    wanted.map(|line| line.value)
}

fn framing(response: &Response<'_, '_>) -> Result<Framing, Reason> {
    if let Some(last) = values(response, "transfer-encoding").last() {
        if response.version == Some(0) {
            return Err(not_http("unexpected transfer-encoding"));
        }
        let coding = last.rsplit(|byte| *byte == b',').next().unwrap_or(last);
        return Ok(if coding.trim_ascii().eq_ignore_ascii_case(b"chunked") {
            Framing::Chunked(Chunked::new())
        } else {
            Framing::UntilClose
        });
    }
    let mut length = None;
    for value in values(response, "content-length").flat_map(|value| value.split(|b| *b == b',')) {
        let given = parse_length(value).ok_or_else(|| not_http("invalid content-length"))?;
        if length.is_some_and(|known| known != given) {
            return Err(not_http("two different content-lengths"));
        }
        length = Some(given);
    }
    Ok(length.map_or(Framing::UntilClose, Framing::Length))
}

/// Digits alone: no sign, no fraction.
fn parse_length(value: &[u8]) -> Option<u64> {
    let digits = value.trim_ascii();
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(digits).ok()?.parse().ok()
}

fn too_large() -> Reason {
    Reason::new(ReasonKind::BadAnswer, "the answer's headers are too large")
}

fn not_http(why: &str) -> Reason {
    Reason::new(ReasonKind::BadAnswer, format!("the answer is not HTTP: {why}"))
}

#[cfg(test)]
mod tests;

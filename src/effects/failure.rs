//! Turns the errors of sockets, TLS, HTTP and gRPC libraries into a [`Reason`]. Never decides
//! what a failure means for a component.

use std::error::Error;
use std::io;
use std::path::Path;
use std::time::Duration;

use super::descriptors;
use super::small_file::FileError;
use crate::model::{Reason, ReasonKind};

/// Deepest chain of causes that is followed; deeper ones do not occur outside a loop.
const MAX_DEPTH: usize = 16;

/// What is said of a connection that the far side closed too early.
pub const CLOSED_EARLY: &str = "connection closed before the answer was complete";

/// What the standard library says where a name cannot be resolved.
const LOOKUP_FAILED: &str = "failed to lookup address information";

/// The reason for "no answer within `budget`".
pub fn timeout(budget: Duration) -> Reason {
    Reason::new(ReasonKind::Timeout, format!("timeout after {}", short_duration(budget)))
}

/// The reason for a file of certificates that cannot be read.
pub fn unreadable(path: &Path, error: &FileError) -> Reason {
    if let FileError::Unreadable(source) = error
        && let Some(reason) = own_limit(source)
    {
        return reason;
    }
    Reason::new(ReasonKind::Connection, format!("cannot read {}: {error}", path.display()))
}

/// The reason for an error that is no fault of the far side: this process or this machine has run
/// out of descriptors or memory. `None` for every other error.
pub fn own_limit(error: &io::Error) -> Option<Reason> {
    descriptors::is_own_limit(error).then(|| {
        let text = format!("not probed, falconer's own limit: {error}");
        Reason::new(ReasonKind::OwnLimit, text)
    })
}

/// The reason for a name that could not be resolved. A resolver that cannot open a socket says no
/// more than that the name is not known, so it is asked whether that is falconer's own fault.
pub fn name_not_found(text: String) -> Reason {
    if descriptors::are_exhausted() {
        let text = format!("not probed, falconer's own limit: out of descriptors; {text}");
        return Reason::new(ReasonKind::OwnLimit, text);
    }
    Reason::new(ReasonKind::Connection, text)
}

/// A duration for people, to the millisecond: `5s`, `1s 500ms`.
pub fn short_duration(duration: Duration) -> String {
    let millis = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    humantime::format_duration(Duration::from_millis(millis)).to_string()
}

/// Finds the cause that says most in the chain of `error`: a refusal, a time-out, a broken
/// connection, TLS, a name that is not found, an answer that is not of the protocol. Where nothing
/// is recognised, the kind is `Connection`.
pub fn classify(error: &(dyn Error + 'static)) -> Reason {
    let mut depth = 0;
    let mut current = Some(error);
    while let Some(cause) = current {
        if let Some(reason) = recognise(cause) {
            return reason;
        }
        depth += 1;
        current = if depth < MAX_DEPTH { cause.source() } else { None };
    }
    Reason::new(ReasonKind::Connection, describe(error))
}

/// The messages of an error and its causes, outermost first, without repetitions.
pub fn describe(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut current = error.source();
    for _ in 0..MAX_DEPTH {
        let Some(cause) = current else { break };
        let message = cause.to_string();
        if !text.contains(&message) {
            text.push_str(": ");
            text.push_str(&message);
        }
        current = cause.source();
    }
    text
}

fn recognise(cause: &(dyn Error + 'static)) -> Option<Reason> {
    if let Some(error) = cause.downcast_ref::<io::Error>() {
        return recognise_io(error);
    }
    if let Some(error) = cause.downcast_ref::<rustls::Error>() {
        return Some(tls_reason(error));
    }
    if let Some(error) = cause.downcast_ref::<hyper::Error>() {
        return recognise_hyper(error);
    }
    // The resolver's error type is private to hyper-util; its text is all there is.
    if cause.to_string().starts_with("dns error") {
        return Some(name_not_found(format!("name not found: {}", describe(cause))));
    }
    None
}

fn recognise_io(error: &io::Error) -> Option<Reason> {
    // What an io::Error wraps is not part of its chain of sources.
    if let Some(inner) = error.get_ref()
        && let Some(reason) = recognise(inner)
    {
        return Some(reason);
    }
    if let Some(reason) = own_limit(error) {
        return Some(reason);
    }
    if error.to_string().starts_with(LOOKUP_FAILED) {
        return Some(name_not_found(format!("name not found: {error}")));
    }
    let (kind, text) = match error.kind() {
        io::ErrorKind::ConnectionRefused => (ReasonKind::Refused, "connection refused".into()),
        io::ErrorKind::TimedOut => (ReasonKind::Timeout, "connection timed out".into()),
        io::ErrorKind::ConnectionReset => (ReasonKind::Connection, "connection reset".into()),
        io::ErrorKind::BrokenPipe
        | io::ErrorKind::ConnectionAborted
        | io::ErrorKind::NotConnected
        | io::ErrorKind::UnexpectedEof => (ReasonKind::Connection, CLOSED_EARLY.into()),
        io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable => {
            (ReasonKind::Connection, format!("unreachable: {error}"))
        }
        io::ErrorKind::PermissionDenied | io::ErrorKind::AddrNotAvailable => {
            (ReasonKind::Connection, error.to_string())
        }
        io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput => {
            (ReasonKind::BadAnswer, error.to_string())
        }
        _ if error.raw_os_error().is_some() => (ReasonKind::Connection, error.to_string()),
        _ => return None,
    };
    Some(Reason::new(kind, text))
}

fn tls_reason(error: &rustls::Error) -> Reason {
    let hint = match error {
        rustls::Error::InvalidMessage(_) => " (does the port speak plain text?)",
        _ => "",
    };
    Reason::new(ReasonKind::Connection, format!("TLS: {error}{hint}"))
}

fn recognise_hyper(error: &hyper::Error) -> Option<Reason> {
    if error.is_parse_too_large() {
        return Some(Reason::new(ReasonKind::BadAnswer, "the answer's headers are too large"));
    }
    if error.is_parse() {
        return Some(Reason::new(
            ReasonKind::BadAnswer,
            format!("the answer is not HTTP: {}", describe(error)),
        ));
    }
    if error.is_incomplete_message() {
        return Some(Reason::new(ReasonKind::Connection, CLOSED_EARLY));
    }
    None
}

#[cfg(test)]
mod tests {
    use nix::errno::Errno;

    use super::*;

    #[test]
    fn a_refused_connection_is_recognised_behind_other_errors() {
        #[derive(Debug, thiserror::Error)]
        #[error("outer")]
        struct Outer(#[source] io::Error);
        let reason = classify(&Outer(io::Error::from(io::ErrorKind::ConnectionRefused)));
        assert_eq!(reason.kind, ReasonKind::Refused);
    }

    #[test]
    fn a_tls_error_inside_an_io_error_is_recognised() {
        let error = io::Error::new(
            io::ErrorKind::InvalidData,
            rustls::Error::General("bad certificate".into()),
        );
        let reason = classify(&error);
        assert_eq!(reason.kind, ReasonKind::Connection);
        assert!(reason.text.starts_with("TLS: "), "{reason}");
    }

    #[test]
    fn falconers_own_limits_are_told_apart_from_the_failures_of_the_far_side() {
        for code in [Errno::EMFILE, Errno::ENFILE, Errno::ENOMEM, Errno::ENOBUFS] {
            let reason = classify(&io::Error::from_raw_os_error(code as i32));
            assert_eq!(reason.kind, ReasonKind::OwnLimit, "{reason}");
            assert!(reason.text.contains("falconer's own limit"), "{reason}");
        }
        let refused = classify(&io::Error::from_raw_os_error(Errno::ECONNREFUSED as i32));
        assert_eq!(refused.kind, ReasonKind::Refused);
    }

    #[test]
    fn a_time_out_names_its_budget() {
        assert_eq!(timeout(Duration::from_secs(5)).text, "timeout after 5s");
        assert_eq!(timeout(Duration::from_micros(1_500_400)).text, "timeout after 1s 500ms");
    }
}

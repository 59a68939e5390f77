//! Answers in one piece, in many pieces, and from hostile servers.

use std::time::Duration;

use proptest::prelude::*;

use super::*;

/// What came of an answer.
#[derive(Debug, PartialEq)]
enum Seen {
    Answer { status: u16, body: String, truncated: bool },
    Waiting,
    Refused(ReasonKind, String),
}

const LIMIT: u64 = 64;

/// Feeds `parts`, then closes where `closes`.
fn read<'a>(parts: impl IntoIterator<Item = &'a [u8]>, closes: bool) -> Seen {
    let mut body = Vec::new();
    let mut reading = Reading::new(LIMIT);
    let mut complete = false;
    for part in parts {
        match reading.feed(part, &mut |data| body.extend_from_slice(data)) {
            Ok(Progress::More) => {}
            Ok(Progress::Complete) => {
                complete = true;
                break;
            }
            Err(reason) => return Seen::Refused(reason.kind, reason.text),
        }
    }
    if !complete {
        if !closes {
            return Seen::Waiting;
        }
        if let Err(reason) = reading.closed() {
            return Seen::Refused(reason.kind, reason.text);
        }
    }
    let head = reading.finish(Duration::ZERO).expect("a head");
    let body = String::from_utf8(body).expect("text");
    Seen::Answer { status: head.status, body, truncated: head.truncated }
}

fn answer(status: u16, body: &str) -> Seen {
    Seen::Answer { status, body: body.into(), truncated: false }
}

#[track_caller]
fn assert_refused(text: &str, closes: bool, kind: ReasonKind, why: &str) {
    match read([text.as_bytes()], closes) {
        Seen::Refused(seen, reason) => {
            assert_eq!(seen, kind, "{reason}");
            assert!(reason.contains(why), "{reason}");
        }
        other => panic!("{text:?} gave {other:?}"),
    }
}

/// Answers that are complete without the connection being closed.
fn complete() -> Vec<(String, Seen)> {
    let head = "HTTP/1.1 200 OK\r\n";
    vec![
        (format!("{head}content-length: 2\r\n\r\nok"), answer(200, "ok")),
        (format!("{head}Content-Length: 0\r\n\r\n"), answer(200, "")),
        (format!("{head}content-length: 2, 2\r\ncontent-length: 2\r\n\r\nok"), answer(200, "ok")),
        (format!("{head}content-length: 2\r\n\r\nok and more"), answer(200, "ok")),
        (
            format!("{head}transfer-encoding: gzip, Chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n"),
            answer(200, "ok"),
        ),
        (
            format!(
                "{head}content-length: 9\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n"
            ),
            answer(200, "ok"),
        ),
        ("HTTP/1.1 204 No Content\r\ncontent-length: 5\r\n\r\n".into(), answer(204, "")),
        ("HTTP/1.1 304 Not Modified\r\n\r\n".into(), answer(304, "")),
        ("HTTP/1.1 101 Switching Protocols\r\n\r\n".into(), answer(101, "")),
        (
            format!("HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n{head}content-length: 0\r\n\r\n"),
            answer(200, ""),
        ),
        ("HTTP/1.0 503 \r\ncontent-length: 4\r\n\r\ndown".into(), answer(503, "down")),
        ("HTTP/1.1 500\ncontent-length: 0\n\n".into(), answer(500, "")),
    ]
}

#[test]
fn an_answer_is_complete_where_its_head_says_so() {
    for (text, seen) in complete() {
        assert_eq!(read([text.as_bytes()], false), seen, "{text:?}");
    }
}

#[test]
fn an_answer_without_a_length_ends_with_the_connection() {
    for head in ["HTTP/1.1 200 OK\r\n\r\n", "HTTP/1.1 200 OK\r\ntransfer-encoding: gzip\r\n\r\n"] {
        let text = format!("{head}ok");
        assert_eq!(read([text.as_bytes()], false), Seen::Waiting);
        assert_eq!(read([text.as_bytes()], true), answer(200, "ok"));
    }
}

#[test]
fn an_answer_that_breaks_off_is_never_taken_for_a_whole_one() {
    for (text, _) in complete() {
        if text.ends_with("more") || text.contains("103") {
            continue;
        }
        for end in 0..text.len() {
            assert_refused(&text[..end], true, ReasonKind::Connection, "closed before");
        }
    }
}

#[test]
fn what_is_not_http_is_refused_at_once() {
    for text in [
        "220 mail.example ESMTP ready\r\n",
        "\0\x01\x02",
        "HTTP/2.0 200 OK\r\n\r\n",
        "HTTP/1.1 099 Low\r\n\r\n",
        "HTTP/1.1 20 OK\r\n\r\n",
        "HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: +1\r\n\r\nx",
        "HTTP/1.1 200 OK\r\ncontent-length: \r\n\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: 99999999999999999999\r\n\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n",
        "HTTP/1.0 200 OK\r\ntransfer-encoding: chunked\r\n\r\n",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nnone\r\n",
    ] {
        assert_refused(text, false, ReasonKind::BadAnswer, "not HTTP");
    }
}

#[test]
fn heads_without_end_are_refused() {
    let many = format!("HTTP/1.1 200 OK\r\n{}", "x-more: and more\r\n".repeat(101));
    assert_refused(&many, false, ReasonKind::BadAnswer, "headers");
    let provisional = "HTTP/1.1 102 Processing\r\n\r\n".repeat(3_000);
    let long = format!("HTTP/1.1 200 OK\r\nx-long: {}", "x".repeat(HEAD_LIMIT));
    for text in [long, provisional] {
        for cut in [1, 1_000, text.len()] {
            match read(text.as_bytes().chunks(cut), false) {
                Seen::Refused(ReasonKind::BadAnswer, reason) => {
                    assert!(reason.contains("headers are too large"), "{reason}");
                }
                other => panic!("in pieces of {cut}: {other:?}"),
            }
        }
    }
}

#[test]
fn no_more_of_a_body_is_handed_on_than_there_is_room_for() {
    let body = "x".repeat(LIMIT as usize + 1);
    let most = &body[1..];
    for text in [
        format!("HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n{body}"),
        format!("HTTP/1.1 200 OK\r\n\r\n{body}"),
        format!("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nfff\r\n{body}"),
    ] {
        for cut in [1, 7, text.len()] {
            let seen = read(text.as_bytes().chunks(cut), false);
            assert_eq!(seen, Seen::Answer { status: 200, body: most.into(), truncated: true });
        }
    }
    let exact = format!("HTTP/1.1 200 OK\r\ncontent-length: {LIMIT}\r\n\r\n{most}");
    assert_eq!(read([exact.as_bytes()], false), answer(200, most));
}

proptest! {
    #[test]
    fn it_does_not_matter_how_an_answer_is_cut_up(which in 0..12_usize, cuts in cuts()) {
        let all = complete();
        let (text, whole) = &all[which % all.len()];
        prop_assert_eq!(&read(pieces(text.as_bytes(), &cuts), false), whole);
    }

    #[test]
    fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300), cuts in cuts()) {
        let text = [&b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"[..], &bytes].concat();
        for part in [&bytes[..], &text[..]] {
            let mut reading = Reading::new(LIMIT);
            for piece in pieces(part, &cuts) {
                if !matches!(reading.feed(piece, &mut |_| {}), Ok(Progress::More)) {
                    break;
                }
            }
            drop(reading.closed());
        }
    }
}

fn cuts() -> impl Strategy<Value = Vec<usize>> {
    proptest::collection::vec(1..40_usize, 1..40)
}

fn pieces<'a>(mut bytes: &'a [u8], cuts: &[usize]) -> Vec<&'a [u8]> {
    let mut pieces = Vec::new();
    for cut in cuts.iter().cycle() {
        if bytes.is_empty() {
            break;
        }
        let (piece, rest) = bytes.split_at((*cut).min(bytes.len()));
        pieces.push(piece);
        bytes = rest;
    }
    pieces
}

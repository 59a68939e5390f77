//! Plain HTTP is spoken by falconer itself where the connection is not kept, and by a library where
//! it is: both must come to the same verdict, whatever the server does.

use std::net::SocketAddr;
use std::time::Duration;

use falconer::effects::probe::{Connection, HttpProbe, HttpProbeSettings};
use falconer::model::{Outcome, ReasonKind};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::servers::{answer, request_path, serve, server};
use super::{AMPLE, assert_failed, http, probe};

/// What a server writes before it closes the connection, and what that makes of a probe.
const ANSWERS: &[(&str, Option<ReasonKind>)] = &[
    ("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok", None),
    ("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n", None),
    ("HTTP/1.1 200 OK\r\n\r\nok", None),
    ("HTTP/1.0 200 OK\r\n\r\nok", None),
    ("HTTP/1.1 200\r\ncontent-length: 2\r\n\r\nok", None),
    ("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", None),
    ("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2;x=y\r\nok\r\n0\r\na: b\r\n\r\n", None),
    ("HTTP/1.1 200 OK\r\ntransfer-encoding: gzip\r\n\r\nok", None),
    ("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n", None),
    ("HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\nHTTP/1.1 200 OK\r\n\r\n", None),
    ("HTTP/1.1 204 No Content\r\n\r\n", Some(ReasonKind::Status)),
    ("HTTP/1.1 503 Down\r\ncontent-length: 4\r\n\r\ndown", Some(ReasonKind::Status)),
    ("HTTP/1.1 301 Moved\r\nlocation: /x\r\n\r\n", Some(ReasonKind::BadAnswer)),
    ("HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nok", BAD),
    ("HTTP/1.1 200 OK\r\ncontent-length: two\r\n\r\nok", BAD),
    ("HTTP/1.1 200 OK\r\nno colon\r\n\r\n", BAD),
    ("HTTP/3.0 200 OK\r\n\r\n", BAD),
    ("SSH-2.0-OpenSSH_9.2\r\n", BAD),
    ("HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nok", CUT),
    ("HTTP/1.1 200 OK\r\ncontent-le", CUT),
    ("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n", CUT),
    ("HTTP/1.1 103 Early Hints\r\n\r\n", CUT),
    ("", CUT),
];
const BAD: Option<ReasonKind> = Some(ReasonKind::BadAnswer);
const CUT: Option<ReasonKind> = Some(ReasonKind::Connection);

#[tokio::test]
async fn both_ways_to_speak_plain_http_come_to_the_same_verdict() {
    for (text, expected) in ANSWERS {
        let server = server(move |mut socket: TcpStream| async move {
            request_path(&mut socket).await;
            drop(socket.write_all(text.as_bytes()).await);
            drop(socket.shutdown().await);
        })
        .await;
        for connection in [Connection::Fresh, Connection::Reuse] {
            let settings =
                HttpProbeSettings { connection, ..HttpProbeSettings::new(server.url("/")) };
            let observation = probe(&HttpProbe::new(settings), AMPLE).await;
            let kind = observation.outcome.reason().map(|reason| reason.kind);
            assert_eq!(kind, *expected, "{connection:?} {text:?}: {:?}", observation.outcome);
        }
    }
}

#[tokio::test]
async fn an_answer_may_come_in_any_number_of_pieces() {
    let server = server(|mut socket: TcpStream| async move {
        request_path(&mut socket).await;
        let answer = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\nwell\r\n0\r\n\r\n";
        drop(socket.set_nodelay(true));
        for byte in answer {
            drop(socket.write_all(&[*byte]).await);
            tokio::task::yield_now().await;
        }
    })
    .await;
    let mut settings = HttpProbeSettings::new(server.url("/"));
    settings.body_contains = Some("well".into());
    assert_eq!(probe(&HttpProbe::new(settings), AMPLE).await.outcome, Outcome::Healthy);
}

#[tokio::test]
async fn a_name_is_looked_up_and_each_of_its_addresses_is_tried() {
    let server = server(|socket| answer(socket, "200 OK", "ok")).await;
    let url = format!("http://localhost:{}/", server.address.port());
    assert_eq!(probe(&http(url), AMPLE).await.outcome, Outcome::Healthy);
    // Reserved never to exist (RFC 6761).
    let observation = probe(&http("http://falconer.invalid/".into()), AMPLE).await;
    assert_failed(&observation, ReasonKind::Connection, "name not found: falconer.invalid");
}

#[tokio::test]
async fn an_ipv6_address_and_credentials_in_the_url_are_understood() {
    let any: SocketAddr = "[::1]:0".parse().expect("an address");
    let Ok(listener) = TcpListener::bind(any).await else { return };
    let server = serve(listener, |mut socket| async move {
        let mut head = vec![0; 1024];
        let count = socket.read(&mut head).await.unwrap_or_default();
        // root:Milvus
        let known = String::from_utf8_lossy(&head[..count])
            .to_lowercase()
            .contains(&"authorization: Basic cm9vdDpNaWx2dXM=".to_lowercase());
        let status = if known { "200 OK" } else { "401 Unauthorized" };
        super::servers::write_answer(&mut socket, status, "").await;
    });
    let port = server.address.port();
    let known = probe(&http(format!("http://root:Milvus@[::1]:{port}/")), AMPLE).await;
    assert_eq!(known.outcome, Outcome::Healthy);
    let unknown = probe(&http(format!("http://[::1]:{port}/")), AMPLE).await;
    assert_failed(&unknown, ReasonKind::Status, "status 401");
}

#[tokio::test]
async fn a_connection_leaves_nothing_behind_after_a_whole_answer() {
    let (told, mut closed) = tokio::sync::mpsc::unbounded_channel();
    let server = server(move |mut socket: TcpStream| {
        let told = told.clone();
        async move {
            request_path(&mut socket).await;
            super::servers::write_answer(&mut socket, "200 OK", "ok").await;
            // A server that keeps the connection nevertheless sees its end at once.
            let end = socket.read(&mut [0; 16]).await;
            let _ = told.send(end.map_err(|error| error.kind()));
        }
    })
    .await;
    assert_eq!(probe(&http(server.url("/")), AMPLE).await.outcome, Outcome::Healthy);
    let end = tokio::time::timeout(Duration::from_secs(10), closed.recv()).await;
    assert_eq!(end.expect("an end").expect("an end"), Err(std::io::ErrorKind::ConnectionReset));
}

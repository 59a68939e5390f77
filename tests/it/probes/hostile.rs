//! Servers that never answer, answer garbage, or never stop.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use falconer::model::ReasonKind;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use super::servers::{Server, request_path, server, silence};
use super::{AMPLE, assert_failed, grpc, http, probe};

/// Short, where a time-out is what is expected.
const SHORT: Duration = Duration::from_millis(300);

/// What the kernel's socket buffers and one read buffer may swallow; the rest stays unread.
const BUFFERS: u64 = 32 * 1024 * 1024;

/// Writes `head`, then `part` again and again, and counts what the client took.
async fn endless(head: &'static str, part: &'static [u8]) -> (Server, Arc<AtomicU64>) {
    let taken = Arc::new(AtomicU64::new(0));
    let counter = Arc::clone(&taken);
    let server = server(move |mut socket: TcpStream| {
        let counter = Arc::clone(&counter);
        async move {
            request_path(&mut socket).await;
            drop(socket.write_all(head.as_bytes()).await);
            while counter.load(Ordering::SeqCst) < 1 << 30 && socket.write_all(part).await.is_ok() {
                counter.fetch_add(part.len() as u64, Ordering::SeqCst);
            }
        }
    })
    .await;
    (server, taken)
}

#[tokio::test]
async fn a_server_that_never_answers_is_a_timeout() {
    let server = server(silence).await;
    let observation = probe(&http(server.url("/")), SHORT).await;
    assert_failed(&observation, ReasonKind::Timeout, "timeout after 300ms");
    let observation = probe(&grpc(server.url("")), SHORT).await;
    assert_failed(&observation, ReasonKind::Timeout, "no answer within 300ms");
}

#[tokio::test]
async fn a_gigabyte_is_not_read() {
    static PART: [u8; 64 * 1024] = [b'x'; 64 * 1024];
    let head = "HTTP/1.1 200 OK\r\ncontent-length: 1073741824\r\n\r\n";
    let (server, taken) = endless(head, &PART).await;
    let observation = probe(&http(server.url("/")), AMPLE).await;
    assert_failed(&observation, ReasonKind::BadAnswer, "larger than 64 KiB");
    assert!(taken.load(Ordering::SeqCst) < BUFFERS, "{taken:?}");
}

#[tokio::test]
async fn endless_headers_are_not_read() {
    let (server, taken) = endless("HTTP/1.1 200 OK\r\n", b"x-more: and more\r\n").await;
    let observation = probe(&http(server.url("/")), AMPLE).await;
    assert_failed(&observation, ReasonKind::BadAnswer, "header");
    assert!(taken.load(Ordering::SeqCst) < BUFFERS, "{taken:?}");
}

#[tokio::test]
async fn one_endless_header_is_not_read() {
    static PART: [u8; 64 * 1024] = [b'x'; 64 * 1024];
    let (server, taken) = endless("HTTP/1.1 200 OK\r\nx-more: ", &PART).await;
    let observation = probe(&http(server.url("/")), AMPLE).await;
    assert_failed(&observation, ReasonKind::BadAnswer, "header");
    assert!(taken.load(Ordering::SeqCst) < BUFFERS, "{taken:?}");
}

#[tokio::test]
async fn garbage_is_no_http_and_no_grpc() {
    let (server, _) = endless("220 mail.example ESMTP ready\r\n", b"\0\x01\x02garbage").await;
    let observation = probe(&http(server.url("/")), AMPLE).await;
    assert_failed(&observation, ReasonKind::BadAnswer, "not HTTP");
    let observation = probe(&grpc(server.url("")), AMPLE).await;
    assert_failed(&observation, ReasonKind::BadAnswer, "not gRPC");
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let target = server(silence).await;
    let location = format!("HTTP/1.1 302 Found\r\nlocation: {}\r\n\r\n", target.url("/else"));
    let location: &'static str = location.leak();
    let redirecting = server(move |mut socket: TcpStream| async move {
        request_path(&mut socket).await;
        drop(socket.write_all(location.as_bytes()).await);
    })
    .await;
    let observation = probe(&http(redirecting.url("/")), AMPLE).await;
    assert_failed(&observation, ReasonKind::BadAnswer, "redirected to http://127.0.0.1:");
    assert_eq!(target.connections(), 0);
}

#[tokio::test]
async fn a_connection_that_is_closed_at_once_is_a_broken_connection() {
    let server = server(|socket| async move { drop(socket) }).await;
    let observation = probe(&http(server.url("/")), AMPLE).await;
    assert_failed(&observation, ReasonKind::Connection, "connection");
    let observation = probe(&grpc(server.url("")), AMPLE).await;
    assert!(observation.outcome.is_failed(), "{:?}", observation.outcome);
}

#[tokio::test]
async fn a_body_that_breaks_off_is_a_broken_connection() {
    let server = server(|mut socket: TcpStream| async move {
        request_path(&mut socket).await;
        drop(socket.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 99\r\n\r\nhalf").await);
    })
    .await;
    let observation = probe(&http(server.url("/")), AMPLE).await;
    assert_failed(&observation, ReasonKind::Connection, "connection");
}

#[tokio::test]
async fn a_body_that_drips_is_a_timeout() {
    let server = server(|mut socket: TcpStream| async move {
        request_path(&mut socket).await;
        drop(socket.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 99\r\n\r\n").await);
        while socket.write_all(b"x").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    })
    .await;
    let observation = probe(&http(server.url("/")), SHORT).await;
    assert_failed(&observation, ReasonKind::Timeout, "timeout after 300ms");
}

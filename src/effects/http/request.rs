//! The bytes of one GET, built once and sent as often as its URL is probed, and where they go.
//! Knows nothing of sockets.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::Url;
use reqwest::header::{
    ACCEPT, AUTHORIZATION, CONNECTION, HOST, HeaderMap, HeaderName, HeaderValue, USER_AGENT,
};

use super::AGENT;
use crate::model::{Reason, ReasonKind};

/// Who is asked: an address, or a name that has to be looked up every time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Host {
    Address(IpAddr),
    Name(String),
}

/// A GET over plain HTTP, ready to be written.
#[derive(Clone)]
pub(super) struct Request {
    pub(super) host: Host,
    pub(super) port: u16,
    /// The whole request. Holds what is secret in it, so it is never shown.
    pub(super) bytes: Box<[u8]>,
}

impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("Request");
        shown.field("host", &self.host).field("port", &self.port).finish_non_exhaustive()
    }
}

impl Request {
    /// A GET of `url` with `headers`, which win over what falconer would say by itself. The
    /// connection is not to be kept. A user in the URL becomes an `authorization` header.
    ///
    /// # Errors
    /// When `url` is not one of plain HTTP.
    pub(super) fn get(url: &str, headers: &HeaderMap) -> Result<Self, Reason> {
        let url = Url::parse(url).map_err(|error| unusable(&error.to_string()))?;
        if url.scheme() != "http" {
            return Err(unusable(&format!("{} is not plain HTTP", url.scheme())));
        }
        let (Some(host), Some(port)) = (url.host_str(), url.port_or_known_default()) else {
            return Err(unusable("it names no host"));
        };
        let bytes = head(&url, host, headers).into_boxed_slice();
        Ok(Self { host: parse_host(host), port, bytes })
    }
}

fn unusable(why: &str) -> Reason {
    Reason::new(ReasonKind::BadAnswer, format!("the URL cannot be used: {why}"))
}

fn parse_host(host: &str) -> Host {
    let bare = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    if let Some(address) = bare.and_then(|text| text.parse::<Ipv6Addr>().ok()) {
        return Host::Address(address.into());
    }
    match host.parse::<Ipv4Addr>() {
        Ok(address) => Host::Address(address.into()),
        Err(_) => Host::Name(host.to_owned()),
    }
}

fn head(url: &Url, host: &str, headers: &HeaderMap) -> Vec<u8> {
    let mut head = Vec::with_capacity(256);
    head.extend_from_slice(b"GET ");
    head.extend_from_slice(url.path().as_bytes());
    if let Some(query) = url.query() {
        head.push(b'?');
        head.extend_from_slice(query.as_bytes());
    }
    head.extend_from_slice(b" HTTP/1.1\r\n");
    let mut own = |name: HeaderName, value: &[u8]| {
        if !headers.contains_key(&name) {
            line(&mut head, &name, value);
        }
    };
    match url.port() {
        Some(port) => own(HOST, format!("{host}:{port}").as_bytes()),
        None => own(HOST, host.as_bytes()),
    }
    own(USER_AGENT, AGENT.as_bytes());
    own(ACCEPT, b"*/*");
    own(CONNECTION, b"close");
    if let Some(credentials) = credentials(url) {
        own(AUTHORIZATION, credentials.as_bytes());
    }
    for (name, value) in headers {
        line(&mut head, name, HeaderValue::as_bytes(value));
    }
    head.extend_from_slice(b"\r\n");
    head
}

fn line(head: &mut Vec<u8>, name: &HeaderName, value: &[u8]) {
    head.extend_from_slice(name.as_str().as_bytes());
    head.extend_from_slice(b": ");
    head.extend_from_slice(value);
    head.extend_from_slice(b"\r\n");
}

/// The value of a basic `authorization` header, where the URL has a user or a password.
fn credentials(url: &Url) -> Option<String> {
    let password = url.password();
    if url.username().is_empty() && password.is_none() {
        return None;
    }
    let mut pair = percent_decoded(url.username());
    pair.push(b':');
    pair.extend(percent_decoded(password.unwrap_or_default()));
    Some(format!("Basic {}", STANDARD.encode(pair)))
}

/// `%40` → `@`; what is no such code stays as it is.
fn percent_decoded(text: &str) -> Vec<u8> {
    let digit = |byte: Option<u8>| byte.and_then(|byte| char::from(byte).to_digit(16));
    let mut decoded = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        let mut ahead = rest.clone();
        match (byte, digit(ahead.next()), digit(ahead.next())) {
            (b'%', Some(high), Some(low)) => {
                decoded.push((high * 16 + low) as u8);
                rest = ahead;
            }
            _ => decoded.push(byte),
        }
    }
    decoded
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(url: &str, headers: &HeaderMap) -> String {
        let request = Request::get(url, headers).expect("a URL");
        String::from_utf8(request.bytes.to_vec()).expect("text")
    }

    #[test]
    fn a_request_says_who_asks_and_that_the_connection_is_not_kept() {
        let expected = format!(
            "GET /health?deep=1 HTTP/1.1\r\nhost: 127.0.0.1:9091\r\nuser-agent: {AGENT}\r\n\
             accept: */*\r\nconnection: close\r\n\r\n"
        );
        let url = "http://127.0.0.1:9091/health?deep=1#top";
        assert_eq!(sent(url, &HeaderMap::new()), expected);
    }

    #[test]
    fn given_headers_win_and_may_repeat() {
        let mut headers = HeaderMap::new();
        headers.append(HOST, HeaderValue::from_static("milvus.example"));
        headers.append("x-tag", HeaderValue::from_static("a"));
        headers.append("x-tag", HeaderValue::from_static("b"));
        let text = sent("http://user:secret@127.0.0.1/", &headers);
        assert_eq!(text.matches("host: ").count(), 1, "{text}");
        assert!(text.contains("host: milvus.example\r\n"), "{text}");
        assert!(text.contains("x-tag: a\r\nx-tag: b\r\n"), "{text}");
    }

    #[test]
    fn a_user_in_the_url_becomes_basic_credentials() {
        for (url, pair) in [
            ("http://root:p%40ss@host/", "root:p@ss"),
            ("http://root@host/", "root:"),
            ("http://:only@host/", ":only"),
            ("http://50%25:100%@host/", "50%:100%"),
        ] {
            let expected = format!("authorization: Basic {}\r\n", STANDARD.encode(pair));
            let text = sent(url, &HeaderMap::new());
            assert!(text.contains(&expected), "{url}: {text}");
            assert!(text.contains("host: host\r\n"), "{text}");
        }
        assert!(!sent("http://host/", &HeaderMap::new()).contains("authorization"));
    }

    #[test]
    fn addresses_are_recognised_and_names_are_left_to_the_resolver() {
        let parse = |url: &str| {
            let request = Request::get(url, &HeaderMap::new()).expect("a URL");
            (request.host, request.port)
        };
        let v6 = Host::Address(Ipv6Addr::LOCALHOST.into());
        assert_eq!(parse("http://[::1]:19530/"), (v6, 19530));
        let v4 = Host::Address(Ipv4Addr::LOCALHOST.into());
        assert_eq!(parse("http://127.0.0.1"), (v4, 80));
        assert_eq!(
            parse("HTTP://etcd.milvus.svc:2379"),
            (Host::Name("etcd.milvus.svc".into()), 2379)
        );
        let text = sent("http://[fd00::1]:9091/healthz", &HeaderMap::new());
        assert!(text.contains("host: [fd00::1]:9091\r\n"), "{text}");
    }

    #[test]
    fn what_is_not_plain_http_is_refused_in_words() {
        for url in ["https://host/", "ftp://host/", "no url", "http://"] {
            let reason = Request::get(url, &HeaderMap::new()).expect_err(url);
            assert_eq!(reason.kind, ReasonKind::BadAnswer);
            assert!(reason.text.starts_with("the URL cannot be used: "), "{reason}");
        }
    }

    #[test]
    fn a_request_does_not_show_its_secrets() {
        let request = Request::get("http://root:s3cret@host/", &HeaderMap::new()).expect("a URL");
        assert!(!format!("{request:?}").contains("s3cret"));
    }
}

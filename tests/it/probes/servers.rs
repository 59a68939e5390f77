//! Servers on loopback ports, scripted to the last byte. They end with the test's runtime.

use std::future::Future;
use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use rustls::pki_types::PrivateKeyDer;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tonic::transport::server::{Router, TcpIncoming};

/// A running server.
pub struct Server {
    pub address: SocketAddr,
    connections: Arc<AtomicUsize>,
}

impl Server {
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }
}

/// Serves every connection with `script`.
pub async fn server<F>(script: impl Fn(TcpStream) -> F + Send + 'static) -> Server
where
    F: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a loopback port");
    serve(listener, script)
}

/// Serves on the same port of several loopback addresses, as the pods of a component do.
pub async fn listeners(count: u8) -> (u16, Vec<TcpListener>) {
    'again: loop {
        let first = TcpListener::bind("127.0.0.1:0").await.expect("a loopback port");
        let port = first.local_addr().expect("an address").port();
        let mut all = vec![first];
        for number in 2..=count {
            let ip = IpAddr::V4(Ipv4Addr::new(127, 0, 0, number));
            match TcpListener::bind((ip, port)).await {
                Ok(listener) => all.push(listener),
                Err(_) => continue 'again,
            }
        }
        return (port, all);
    }
}

pub fn serve<F>(listener: TcpListener, script: impl Fn(TcpStream) -> F + Send + 'static) -> Server
where
    F: Future<Output = ()> + Send + 'static,
{
    let address = listener.local_addr().expect("an address");
    let connections = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&connections);
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            counter.fetch_add(1, Ordering::SeqCst);
            tokio::spawn(script(socket));
        }
    });
    Server { address, connections }
}

/// A port on which nobody listens.
pub async fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a loopback port");
    listener.local_addr().expect("an address").port()
}

/// Reads the head of a request and returns its path; empty where there is none.
pub async fn request_path(socket: &mut TcpStream) -> String {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        match socket.read(&mut byte).await {
            Ok(1) => head.push(byte[0]),
            _ => return String::new(),
        }
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    head.split(' ').nth(1).unwrap_or_default().to_owned()
}

/// Answers one request and closes.
pub async fn answer(mut socket: TcpStream, status: &'static str, body: &'static str) {
    request_path(&mut socket).await;
    write_answer(&mut socket, status, body).await;
}

pub async fn write_answer(socket: &mut TcpStream, status: &str, body: &str) {
    let length = body.len();
    let text = format!("HTTP/1.1 {status}\r\ncontent-length: {length}\r\n\r\n{body}");
    // The client may have gone; that is its right.
    drop(socket.write_all(text.as_bytes()).await);
    drop(socket.flush().await);
}

/// Answers every request on the connection.
pub async fn keep_alive(mut socket: TcpStream) {
    while !request_path(&mut socket).await.is_empty() {
        write_answer(&mut socket, "200 OK", "ok").await;
    }
}

/// Accepts, reads and never answers.
pub async fn silence(mut socket: TcpStream) {
    let mut sink = [0; 1024];
    while socket.read(&mut sink).await.is_ok_and(|count| count > 0) {}
}

/// Starts a gRPC server and returns its URL.
pub async fn grpc_server(router: Router) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a loopback port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(router.serve_with_incoming(TcpIncoming::from(listener)));
    format!("http://{address}")
}

/// A gRPC server that knows no call at all.
pub async fn grpc_server_without_services() -> String {
    let routes = tonic::service::Routes::default();
    grpc_server(tonic::transport::Server::builder().add_routes(routes)).await
}

/// A certificate for `localhost` that signs itself, and its key.
pub struct Certificate {
    pub file: tempfile::NamedTempFile,
    pub pem: String,
    pub key_pem: String,
    certified: rcgen::CertifiedKey<rcgen::KeyPair>,
}

pub fn certificate() -> Certificate {
    let names = vec!["localhost".to_owned()];
    let certified = rcgen::generate_simple_self_signed(names).expect("a certificate");
    let file = tempfile::NamedTempFile::new().expect("a file");
    let pem = certified.cert.pem();
    std::fs::write(file.path(), &pem).expect("a written file");
    Certificate { file, pem, key_pem: certified.signing_key.serialize_pem(), certified }
}

/// An HTTPS server on its own threads, for as long as the test process lives.
pub fn https_server(certificate: &Certificate) -> u16 {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let key = certificate.certified.signing_key.serialize_der();
    let key = PrivateKeyDer::try_from(key).expect("a key");
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(vec![certificate.certified.cert.der().clone()], key)
        .expect("a configuration");
    let config = Arc::new(config);
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a loopback port");
    let port = listener.local_addr().expect("an address").port();
    std::thread::spawn(move || {
        for socket in listener.incoming().flatten() {
            let config = Arc::clone(&config);
            std::thread::spawn(move || serve_tls(config, socket));
        }
    });
    port
}

fn serve_tls(config: Arc<rustls::ServerConfig>, mut socket: std::net::TcpStream) {
    let Ok(mut session) = rustls::ServerConnection::new(config) else { return };
    let mut stream = rustls::Stream::new(&mut session, &mut socket);
    let mut head = [0; 4096];
    if stream.read(&mut head).is_ok_and(|count| count > 0) {
        drop(stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"));
        drop(stream.flush());
    }
}

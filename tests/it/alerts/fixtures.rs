//! Notifications to send and servers to send them to.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use falconer::effects::notify::{EmailSettings, SmtpSecurity};
use falconer::model::{
    AlertMessage, AlertStatus, ComponentId, IncidentId, Notification, Reason, ReasonKind, Severity,
    Timestamp,
};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::ServerConfig;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

pub(super) const START: Timestamp = Timestamp::from_millis(1_767_225_600_000);

pub(super) fn notification() -> Notification {
    let component = ComponentId::new("milvus-ha", "querynode");
    let incident = IncidentId::new(&component, START);
    let sent_at = START + Duration::from_secs(35);
    Notification {
        id: format!("{incident}/firing/{}", sent_at.as_millis()).into(),
        thread: incident.as_str().into(),
        group: BTreeMap::new(),
        is_digest: false,
        lead: AlertMessage {
            incident,
            component,
            severity: Severity::Critical,
            status: AlertStatus::Firing,
            title: "querynode is unhealthy".into(),
            reason: Reason::new(ReasonKind::Timeout, "no answer within 5 s"),
            details: vec!["querynode-abc: no answer within 5 s".into()],
            action: "rollout restart of deployment/milvus-querynode".into(),
            seen: vec![],
            causes: vec![],
            affects: vec![],
            look_closer: vec![],
            is_flapping: false,
            is_news: true,
            acknowledged: None,
            started_at: START,
            ended_at: None,
        },
        others: vec![],
        left_out: 0,
        still_firing: 1,
        reference: None,
        sent_at,
    }
}

/// A mail without login or TLS to this address.
pub(super) fn email(server: SocketAddr) -> EmailSettings {
    EmailSettings {
        host: server.ip().to_string(),
        port: server.port(),
        security: SmtpSecurity::None,
        login: None,
        from: "falconer <alerts@example.com>".into(),
        to: vec!["admin@example.com".into(), "ops@example.com".into()],
        reply_to: String::new(),
        subject_prefix: String::new(),
        stable_subject: false,
        ca_file: None,
        offer_again: vec![],
        timeout: Duration::from_secs(20),
    }
}

/// A server on a free loopback port that treats every connection with `serve`.
pub(super) async fn server<F, Fut>(serve: F) -> SocketAddr
where
    F: Fn(TcpStream) -> Fut + Send + 'static,
    Fut: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(serve(stream));
        }
    });
    address
}

/// An SMTP conversation of few words: after the greeting each line of the client gets the answer
/// that `answer` finds for it; `None` closes the connection.
pub(super) async fn converse<S, A>(stream: S, answer: A)
where
    S: AsyncRead + AsyncWrite + Unpin,
    A: Fn(&str) -> Option<&'static str>,
{
    let mut stream = BufReader::new(stream);
    if stream.write_all(b"220 mail.example.com\r\n").await.is_err() {
        return;
    }
    let mut line = String::new();
    while matches!(stream.read_line(&mut line).await, Ok(1..)) {
        let Some(reply) = answer(line.trim_end()) else { return };
        if stream.write_all(reply.as_bytes()).await.is_err() {
            return;
        }
        line.clear();
    }
}

/// An authority of our own and a certificate for this machine.
pub(super) struct Authority {
    folder: TempDir,
    acceptor: TlsAcceptor,
}

impl Authority {
    /// A certificate for the name `host`.
    pub(super) fn for_host(host: &str) -> Self {
        let mut ca = CertificateParams::new(Vec::new()).unwrap();
        ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let ca_key = KeyPair::generate().unwrap();
        let ca_pem = ca.self_signed(&ca_key).unwrap().pem();
        let issuer = Issuer::new(ca, ca_key);
        let key = KeyPair::generate().unwrap();
        let certificate = CertificateParams::new(vec![host.to_owned()]).unwrap();
        let certificate = certificate.signed_by(&key, &issuer).unwrap();
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("ca.pem"), ca_pem).unwrap();
        std::fs::write(folder.path().join("certificate.pem"), certificate.pem()).unwrap();
        std::fs::write(folder.path().join("key.pem"), key.serialize_pem()).unwrap();
        let chain = vec![CertificateDer::from(certificate.der().to_vec())];
        let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .unwrap();
        Self { folder, acceptor: TlsAcceptor::from(Arc::new(config)) }
    }

    pub(super) fn ca_file(&self) -> PathBuf {
        self.folder.path().join("ca.pem")
    }

    /// The certificate, for another process.
    pub(super) fn certificate_file(&self) -> PathBuf {
        self.folder.path().join("certificate.pem")
    }

    /// Its key.
    pub(super) fn key_file(&self) -> PathBuf {
        self.folder.path().join("key.pem")
    }

    /// TLS from the first byte in front of `behind`.
    pub(super) async fn tls_front(&self, behind: SocketAddr) -> SocketAddr {
        let acceptor = self.acceptor.clone();
        server(move |stream| {
            let acceptor = acceptor.clone();
            async move {
                let Ok(mut front) = acceptor.accept(stream).await else { return };
                let Ok(mut back) = TcpStream::connect(behind).await else { return };
                let _ = tokio::io::copy_bidirectional(&mut front, &mut back).await;
            }
        })
        .await
    }

    /// STARTTLS in front of the mail server `behind`; `injected` follows the go-ahead in plain.
    pub(super) async fn starttls_front(
        &self,
        behind: SocketAddr,
        injected: &'static str,
    ) -> SocketAddr {
        let acceptor = self.acceptor.clone();
        server(move |stream| {
            let acceptor = acceptor.clone();
            async move {
                let _ = starttls(stream, &acceptor, behind, injected).await;
            }
        })
        .await
    }
}

async fn starttls(
    stream: TcpStream,
    acceptor: &TlsAcceptor,
    behind: SocketAddr,
    injected: &str,
) -> std::io::Result<()> {
    let mut stream = BufReader::new(stream);
    let mut line = String::new();
    stream.write_all(b"220 front.example.com\r\n").await?;
    stream.read_line(&mut line).await?;
    assert!(line.starts_with("EHLO "), "{line}");
    stream.write_all(b"250-front.example.com\r\n250 STARTTLS\r\n").await?;
    line.clear();
    stream.read_line(&mut line).await?;
    assert_eq!(line, "STARTTLS\r\n");
    stream.write_all(format!("220 go ahead\r\n{injected}").as_bytes()).await?;
    assert!(stream.buffer().is_empty());
    let mut front = acceptor.accept(stream.into_inner()).await?;
    let mut back = BufReader::new(TcpStream::connect(behind).await?);
    // Under TLS the client speaks first.
    line.clear();
    back.read_line(&mut line).await?;
    tokio::io::copy_bidirectional(&mut front, back.get_mut()).await.map(|_| ())
}

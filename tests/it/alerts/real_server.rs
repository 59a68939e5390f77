//! A mail server that is not ours: aiosmtpd from PyPI, in many tempers, each on a port of its own.
//! `tests/run` gets it; what it does is in `tests/setup/smtp_server.py`.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use falconer::effects::notify::{EmailLogin, EmailSettings, SmtpSecurity};
use falconer::effects::secret::SecretFile;
use serde::Deserialize;
use tempfile::TempDir;

use super::fixtures::{Authority, email};

/// The only password that it takes.
pub(super) const PASSWORD: &str = "right horse";
/// How long something may take that must happen.
const PATIENCE: Duration = Duration::from_secs(20);

/// A mail as Python's email package reads it.
#[derive(Debug, Deserialize)]
pub(super) struct Mail {
    /// The envelope's sender.
    pub from: String,
    /// The envelope's recipients.
    pub to: Vec<String>,
    /// Whether it came over TLS.
    pub tls: bool,
    /// By their names in lower case.
    pub headers: BTreeMap<String, String>,
    /// The addresses in `To`.
    pub addresses: Vec<String>,
    /// The content type of the whole.
    #[serde(rename = "type")]
    pub kind: String,
    /// The parts by their content types, decoded.
    pub parts: BTreeMap<String, String>,
    /// What is wrong with the mail.
    pub defects: Vec<String>,
}

/// The running server. Ends when dropped.
pub(super) struct RealServer {
    process: Child,
    ports: BTreeMap<String, u16>,
    folder: TempDir,
    authority: Authority,
}

impl RealServer {
    pub(super) fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (authority, other) =
            (Authority::for_host("127.0.0.1"), Authority::for_host("127.0.0.1"));
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/setup/smtp_server.py");
        let mut process = Command::new(python())
            .arg(script)
            .arg(folder.path())
            .args([authority.certificate_file(), authority.key_file()])
            .args([other.certificate_file(), other.key_file()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("there is a Python with aiosmtpd: tests/run --only-tools gets it");
        let mut line = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let ports = serde_json::from_str(&line).expect("the server says where it listens");
        std::fs::write(folder.path().join("password"), PASSWORD).unwrap();
        Self { process, ports, folder, authority }
    }

    pub(super) fn address(&self, temper: &str) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], self.ports[temper]))
    }

    /// The file with the password, which is the right one at first.
    pub(super) fn password_file(&self) -> PathBuf {
        self.folder.path().join("password")
    }

    /// The certificate of the authority that it belongs to.
    pub(super) fn ca_file(&self) -> PathBuf {
        self.authority.ca_file()
    }

    /// Mail to the server of this temper, with STARTTLS, login and its authority.
    pub(super) fn email(&self, temper: &str) -> EmailSettings {
        let password = SecretFile::new(self.password_file());
        EmailSettings {
            security: SmtpSecurity::StartTls,
            login: Some(EmailLogin { username: "falconer".into(), password }),
            ca_file: Some(self.ca_file()),
            ..email(self.address(temper))
        }
    }

    /// What the server of this temper has accepted, in its order.
    pub(super) fn mails(&self, temper: &str) -> Vec<Mail> {
        let path = |number| self.folder.path().join(format!("{temper}-{number}.json"));
        let texts = (1..).map_while(|number: usize| std::fs::read_to_string(path(number)).ok());
        texts.map(|text| serde_json::from_str(&text).unwrap()).collect()
    }

    /// Waits until it has accepted so many.
    pub(super) async fn accepted(&self, temper: &str, count: usize) -> Vec<Mail> {
        let waiting = async {
            while self.mails(temper).len() < count {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(PATIENCE, waiting).await.expect("a mail arrives");
        self.mails(temper)
    }

    /// The logins that were tried there, each with how it was protected.
    pub(super) fn logins(&self, temper: &str) -> String {
        let path = self.folder.path().join(format!("{temper}.logins"));
        std::fs::read_to_string(path).unwrap_or_default()
    }
}

impl Drop for RealServer {
    fn drop(&mut self) {
        // It ends by itself when its input does; this makes sure.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn python() -> PathBuf {
    let scratch = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let tools = std::env::var_os("FALCONER_TEST_TOOLS")
        .map_or_else(|| scratch.join("../test-tools"), PathBuf::from);
    tools.join("venv/bin/python3")
}

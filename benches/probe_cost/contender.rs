//! Those whose cost is compared: how each is started over the same targets, and how long it ran on
//! a processor for so many probes.

use std::fmt;
use std::fmt::Write as _;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::Context;

use super::support::falconer::{Falconer, configuration, free_address};
use super::support::lateness::Arrivals;
use super::support::proc::{self, CpuTime};
use super::support::process::{Process, pause, program};
use super::support::targets::Targets;
use super::{INTERVAL, QUIET, READY_LIMIT, TIMEOUT, WARM_UP, bare};

/// Who is measured; a closed set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Contender {
    Falconer,
    Bare,
    BareTuned,
    Haproxy,
}

/// One measurement.
#[derive(Debug, Clone, Copy)]
pub struct Measured {
    /// On a processor.
    cpu: CpuTime,
    /// Requests that the targets have read in that time.
    probes: u64,
    /// Due times at which a request came, as a share of all.
    pub made_share: f64,
}

impl Measured {
    /// Milliseconds of user and system time for each probe.
    pub fn cpu_ms(&self) -> f64 {
        (self.cpu.user + self.cpu.system).as_secs_f64() * 1e3 / self.probes as f64
    }

    /// Milliseconds of user time for each probe.
    pub fn user_ms(&self) -> f64 {
        self.cpu.user.as_secs_f64() * 1e3 / self.probes as f64
    }
}

impl fmt::Display for Measured {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (all, user, probes) = (self.cpu_ms(), self.user_ms(), self.probes);
        write!(f, "{all:.4} ms a probe, of which {user:.4} in user mode; {probes} probes")
    }
}

/// A running contender; ends when dropped.
enum Running {
    Falconer(Falconer),
    Other(Process),
}

impl Running {
    fn pid(&self) -> u32 {
        match self {
            Self::Falconer(falconer) => falconer.pid(),
            Self::Other(process) => process.pid(),
        }
    }
}

impl Contender {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Falconer, Self::Bare, Self::BareTuned, Self::Haproxy];

    /// As it stands in the figures.
    pub fn name(self) -> &'static str {
        match self {
            Self::Falconer => "falconer",
            Self::Bare => "bare",
            Self::BareTuned => "bare_tuned",
            Self::Haproxy => "haproxy",
        }
    }

    /// Runs it for `length` after its warm-up; `None` where it is not installed. With `perf`, a
    /// profile is written to that file with the contender's name behind it.
    ///
    /// # Errors
    /// When it cannot be started or measured.
    pub fn measure(
        self,
        targets: &mut Targets,
        length: Duration,
        perf: Option<&str>,
    ) -> anyhow::Result<Option<Measured>> {
        let Some(running) = self.start(targets)? else { return Ok(None) };
        pause(WARM_UP)?;
        drop(targets.take()?);
        let pid = running.pid();
        pause(INTERVAL)?;
        let profile = perf.map(|file| self.record(pid, file, length)).transpose()?;
        let (from, before) = (targets.now()?, proc::cpu_time_parts(pid)?);
        pause(length)?;
        let (to, after) = (targets.now()?, proc::cpu_time_parts(pid)?);
        pause(INTERVAL)?;
        drop(profile);
        drop(running);
        let mut arrivals = Arrivals::default();
        arrivals.extend(targets.take()?);
        let all = 0..targets.count() as u32;
        let window = from..to;
        let lateness = arrivals.lateness(all.clone(), INTERVAL, &window);
        Ok(Some(Measured {
            cpu: after - before,
            probes: arrivals.count(all, &window),
            made_share: lateness.made as f64 / lateness.due as f64,
        }))
    }

    fn start(self, targets: &Targets) -> anyhow::Result<Option<Running>> {
        Ok(Some(match self {
            Self::Falconer => {
                let text = configuration(targets, INTERVAL, TIMEOUT, QUIET);
                let falconer = Falconer::start(&text)?;
                falconer.wait_until_ready(READY_LIMIT)?;
                Running::Falconer(falconer)
            }
            Self::Bare => Running::Other(bare::start(targets, false, INTERVAL)?),
            Self::BareTuned => Running::Other(bare::start(targets, true, INTERVAL)?),
            Self::Haproxy => return start_haproxy(targets),
        }))
    }

    /// Records for a little less than `length`, so that it ends by itself.
    fn record(self, pid: u32, file: &str, length: Duration) -> anyhow::Result<Process> {
        let mut command = Command::new("perf");
        command.args([
            "record",
            "-q",
            "-F",
            "1999",
            "-g",
            "-o",
            &format!("{file}.{}", self.name()),
        ]);
        command.args(["-p", &pid.to_string(), "--", "sleep", &length.as_secs().to_string()]);
        command.stdout(Stdio::null());
        Process::spawn("perf", command).context("perf is Debian's package linux-perf")
    }
}

fn start_haproxy(targets: &Targets) -> anyhow::Result<Option<Running>> {
    let Some(program) = program("haproxy") else { return Ok(None) };
    let folder = tempfile::Builder::new().prefix("falconer-haproxy-").tempdir()?;
    let path = folder.path().join("haproxy.cfg");
    std::fs::write(&path, haproxy_configuration(targets)?)?;
    let mut command = Command::new(program);
    command.args(["-db", "-q", "-f"]).arg(&path);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut process = Process::spawn("haproxy", command)?;
    pause(INTERVAL)?;
    if let Some(status) = process.ended()? {
        anyhow::bail!("haproxy ended with {status}; its configuration: {}", path.display());
    }
    // It has read its configuration by now.
    Ok(Some(Running::Other(process)))
}

/// Health checks of the same targets with the same request, in one thread as with the others. It
/// must listen somewhere, or it ends.
fn haproxy_configuration(targets: &Targets) -> anyhow::Result<String> {
    let interval = INTERVAL.as_millis();
    let timeout = TIMEOUT.as_millis();
    let host = targets.address(0);
    let version = env!("CARGO_PKG_VERSION");
    let listen = free_address()?;
    let mut text = format!(
        "global\n  nbthread 1\n  maxconn 100\n\
         defaults\n  mode http\n  timeout connect {timeout}ms\n  timeout client {timeout}ms\n  \
         timeout server {timeout}ms\n  timeout check {timeout}ms\n\
         frontend none\n  bind {listen}\n  default_backend targets\n\
         backend targets\n  option httpchk\n  \
         http-check send meth GET uri /healthz ver HTTP/1.1 hdr host {host} \
         hdr user-agent falconer/{version} hdr accept */* hdr connection close\n  \
         http-check expect status 200\n  default-server inter {interval}ms\n"
    );
    for index in 0..targets.count() {
        let _ = writeln!(text, "  server t{index} {} check", targets.address(index));
    }
    Ok(text)
}

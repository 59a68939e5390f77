//! `falconer run`: supervise until told to end.

use std::path::PathBuf;
use std::process::ExitCode;

use actix::System;
use anyhow::Context as _;
use clap::Args;
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::app::{App, Options, descriptors};
use crate::config::{self, Loaded, Settings, settings};
use crate::telemetry::{self, LogFormat, TelemetrySettings};

/// Supervise the clusters until SIGTERM or Ctrl-C, then drain.
///
/// Starts one prober per component, tells people about what fails, restarts and scales within the
/// configured bounds, and serves /metrics, /livez, /readyz and /api/v1/status.
#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub struct RunArgs {
    /// The configuration file [default: actors.toml in the working directory]
    #[arg(short, long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Change nothing: show each restart and each scaling instead of doing it
    #[arg(long)]
    pub dry_run: bool,
}

const AFTER_HELP: &str = "\
Examples:
  falconer run
  falconer run --config /etc/falconer/actors.toml --dry-run

Exit codes:
  0  drained after SIGTERM or Ctrl-C
  1  failed
  2  wrong arguments or wrong configuration; nothing was started
  70 an actor could not be kept alive; start falconer anew";

/// The process ends with this code when an actor cannot be kept alive (`EX_SOFTWARE`).
const EXIT_BEYOND_HELP: u8 = 70;

/// Supervises until a signal, then drains; a second signal ends at once.
///
/// # Errors
/// When the configuration is wrong or the system cannot be started.
pub fn execute(args: RunArgs) -> anyhow::Result<ExitCode> {
    let loaded = config::load(args.config.as_deref())?;
    loaded.require_clusters()?;
    telemetry::init(&telemetry_settings(&loaded.settings))?;
    log_panics();
    let mut warnings: Vec<String> = loaded.warnings.iter().map(ToString::to_string).collect();
    warnings.extend(descriptors::raise_limit(&loaded.settings));
    for warning in &warnings {
        tracing::warn!(%warning, "configuration");
    }
    System::new().block_on(supervise(loaded, warnings, args.dry_run))
}

async fn supervise(
    loaded: Loaded,
    warnings: Vec<String>,
    dry_run: bool,
) -> anyhow::Result<ExitCode> {
    let grace = loaded.settings.supervisor.drain_timeout.get();
    let options = Options { dry_run, config_path: Some(loaded.path), warnings };
    let mut signals = Signals::new()?;
    let mut app = App::start(loaded.settings, options)?;
    tracing::info!(listen = %app.server_addr(), dry_run, "falconer is running");
    let fatal = tokio::select! {
        signal = signals.next() => {
            tracing::info!(signal, "draining");
            None
        }
        fatal = app.fatal() => Some(fatal),
    };
    tokio::select! {
        () = app.shutdown(grace) => tracing::info!("drained"),
        signal = signals.next() => tracing::warn!(signal, "second signal, ending at once"),
    }
    Ok(match fatal {
        None => ExitCode::SUCCESS,
        Some(fatal) => {
            tracing::error!(actor = fatal.actor, reason = fatal.reason, "an actor is beyond help");
            ExitCode::from(EXIT_BEYOND_HELP)
        }
    })
}

/// The signals that ask for an orderly end.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn new() -> anyhow::Result<Self> {
        let listen = |kind| signal(kind).context("cannot listen for signals");
        Ok(Self {
            terminate: listen(SignalKind::terminate())?,
            interrupt: listen(SignalKind::interrupt())?,
        })
    }

    async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        }
    }
}

/// A panic in an actor is one structured line; its parent makes the actor anew.
fn log_panics() {
    std::panic::set_hook(Box::new(|panic| {
        let message = panic.payload_as_str().unwrap_or("panic without a message");
        let location = panic.location().map(ToString::to_string);
        tracing::error!(message = message, location, "panic");
    }));
}

fn telemetry_settings(settings: &Settings) -> TelemetrySettings {
    TelemetrySettings {
        format: match settings.telemetry.log_format {
            settings::LogFormat::Text => LogFormat::Text,
            settings::LogFormat::Json => LogFormat::Json,
        },
        level: settings.telemetry.log_level.clone(),
    }
}

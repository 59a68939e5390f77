//! `falconer run`: supervise until told to end.

use std::path::PathBuf;
use std::process::ExitCode;

use actix::System;
use anyhow::Context as _;
use clap::Args;
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::app::{App, Options, ReloadSource, descriptors};
use crate::config::{self, Loaded, Settings, settings};
use crate::model::ReloadTrigger;
use crate::telemetry::{self, LogFormat, TelemetrySettings};

/// Supervise the clusters until SIGTERM or Ctrl-C, then drain.
///
/// Starts one prober per component, tells people about what fails, restarts and scales within the
/// configured bounds, and serves /metrics, /livez, /readyz and /api/v1/status. SIGHUP, or a change of
/// the file, makes it read its configuration again.
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
  1  failed, or ended at once by a second signal
  2  wrong arguments or wrong configuration; nothing was started
  70 an actor could not be kept alive; start falconer anew";

/// The process ends with this code when it is not given the time to drain.
const EXIT_FAILED: i32 = 1;

/// The process ends with this code when an actor cannot be kept alive (`EX_SOFTWARE`).
const EXIT_BEYOND_HELP: u8 = 70;

/// Supervises until a signal, then drains; a second signal ends at once.
///
/// # Errors
/// When the configuration is wrong or the system cannot be started.
pub fn execute(args: RunArgs) -> anyhow::Result<ExitCode> {
    let path = args.config.unwrap_or_else(|| config::DEFAULT_FILE.into());
    let source = ReloadSource::of(&path);
    let loaded = config::load(Some(&path))?;
    loaded.require_clusters()?;
    telemetry::init(&telemetry_settings(&loaded.settings))?;
    log_panics();
    let mut warnings: Vec<String> = loaded.warnings.iter().map(ToString::to_string).collect();
    warnings.extend(descriptors::raise_limit(&loaded.settings));
    for warning in &warnings {
        tracing::warn!(%warning, "configuration");
    }
    let Loaded { settings, path, warnings: _, origins } = loaded;
    // Where each setting stands in the file is of no interest any more.
    drop(origins);
    let options =
        Options { dry_run: args.dry_run, config_path: Some(path), warnings, reload: Some(source) };
    System::new().block_on(supervise(settings, options))
}

async fn supervise(settings: Settings, options: Options) -> anyhow::Result<ExitCode> {
    let dry_run = options.dry_run;
    let mut signals = Signals::new()?;
    let mut app = App::start(settings, options)?;
    tracing::info!(listen = %app.server_addr(), dry_run, "falconer is running");
    let fatal = loop {
        tokio::select! {
            signal = signals.next() => match signal {
                Asked::ToReload => app.request_reload(ReloadTrigger::Signal),
                Asked::ToEnd(signal) => {
                    tracing::info!(signal, "draining");
                    break None;
                }
            },
            fatal = app.fatal() => break Some(fatal),
        }
    };
    let grace = app.drain_timeout();
    tokio::select! {
        () = app.shutdown(grace) => tracing::info!("drained"),
        signal = signals.end() => {
            tracing::warn!(signal, "second signal, ending at once");
            // Not by returning: that would wait for threads which still deliver or read something.
            std::process::exit(EXIT_FAILED);
        }
    }
    Ok(match fatal {
        None => ExitCode::SUCCESS,
        Some(fatal) => {
            tracing::error!(actor = fatal.actor, reason = fatal.reason, "an actor is beyond help");
            ExitCode::from(EXIT_BEYOND_HELP)
        }
    })
}

/// What a signal asks for.
enum Asked {
    /// The configuration is to be read again.
    ToReload,
    /// An orderly end; the signal's name.
    ToEnd(&'static str),
}

/// The signals that ask for something.
struct Signals {
    hangup: Signal,
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn new() -> anyhow::Result<Self> {
        let listen = |kind| signal(kind).context("cannot listen for signals");
        Ok(Self {
            hangup: listen(SignalKind::hangup())?,
            terminate: listen(SignalKind::terminate())?,
            interrupt: listen(SignalKind::interrupt())?,
        })
    }

    async fn next(&mut self) -> Asked {
        tokio::select! {
            _ = self.hangup.recv() => Asked::ToReload,
            signal = Self::ended(&mut self.terminate, &mut self.interrupt) => Asked::ToEnd(signal),
        }
    }

    async fn end(&mut self) -> &'static str {
        Self::ended(&mut self.terminate, &mut self.interrupt).await
    }

    async fn ended(terminate: &mut Signal, interrupt: &mut Signal) -> &'static str {
        tokio::select! {
            _ = terminate.recv() => "SIGTERM",
            _ = interrupt.recv() => "SIGINT",
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

//! `falconer check`: is the configuration valid? Owns its output; the rules are in `config`.

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::Args;

use super::EXIT_USAGE;
use crate::app::descriptors::shortage;
use crate::config::settings::Platform;
use crate::config::{self, Loaded};
use crate::effects::descriptors;

/// Say whether the configuration is valid, and what is wrong where.
///
/// Reads the file, lays the environment over it, and reports every error with file, line, column
/// and key: TOML syntax, unknown keys, wrong types, impossible values, missing secret files, a
/// kubeconfig that leads nowhere. Keys that are valid but do nothing are warnings, and so are variables
/// whose names are almost those of keys. Nothing is started and nothing is contacted.
#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub struct CheckArgs {
    /// The configuration file [default: actors.toml in the working directory]
    #[arg(short, long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Print every effective key with its origin; secrets as ***
    #[arg(short, long)]
    pub print: bool,
}

const AFTER_HELP: &str = "\
Examples:
  falconer check
  falconer check --config /etc/falconer/actors.toml --print
  FALCONER__PROBERS__INTERVAL=10s falconer check --print

Exit codes:
  0  valid, perhaps with warnings on standard error
  2  not valid; the errors are on standard error, one a line";

/// Checks and says so.
///
/// # Errors
/// Only when the output cannot be written.
pub fn execute(args: CheckArgs) -> anyhow::Result<ExitCode> {
    let loaded = match config::load(args.config.as_deref()) {
        Ok(loaded) => loaded,
        Err(errors) => {
            writeln!(io::stderr(), "{errors}").context("cannot write to standard error")?;
            return Ok(ExitCode::from(EXIT_USAGE));
        }
    };
    let limit = descriptors::limit().ok();
    let shortage = limit.and_then(|limit| shortage(&loaded.settings, limit));
    let warnings = loaded.warnings.iter().map(ToString::to_string).chain(shortage);
    for warning in warnings {
        writeln!(io::stderr(), "warning: {warning}").context("cannot write to standard error")?;
    }
    let text = if args.print {
        loaded.print().map_err(anyhow::Error::msg)?
    } else {
        confirmation(&loaded)
    };
    match io::stdout().write_all(text.as_bytes()) {
        // The reader (`head`, a pager) has seen enough.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(ExitCode::SUCCESS),
        other => other.context("cannot write to standard output").map(|()| ExitCode::SUCCESS),
    }
}

/// A line for the file, one for each cluster, one for who is told.
fn confirmation(loaded: &Loaded) -> String {
    let settings = &loaded.settings;
    let clusters = settings.clusters.iter().map(|(name, cluster)| {
        let place = match cluster.platform {
            Platform::Kubernetes => format!("kubernetes, namespace {}", cluster.namespace),
            Platform::Process => counted(cluster.processes.len(), "process"),
        };
        let dependencies = settings.dependencies(name);
        let needs = if dependencies.is_empty() { "" } else { ", depends on " };
        let dependencies = dependencies.join(", ");
        format!("  cluster {name}: {place}, milvus at {}{needs}{dependencies}\n", cluster.milvus)
    });
    format!(
        "{}: valid; {}, {} configured\n{}  alerts go to {}\n",
        loaded.path.display(),
        counted(settings.clusters.len(), "cluster"),
        counted(settings.probers.components.len(), "prober"),
        clusters.collect::<String>(),
        settings.alerter.receivers().join(", "),
    )
}

fn counted(count: usize, noun: &str) -> String {
    match count {
        1 => format!("1 {noun}"),
        _ if noun.ends_with('s') => format!("{count} {noun}es"),
        _ => format!("{count} {noun}s"),
    }
}

//! `falconer demo`: the whole system against a simulated cluster.

mod configuration;
mod deeds;
mod injection;
mod observer;
mod player;
mod reference;
mod report;
mod scaling;
mod scenario;
mod scratch;
mod screen;
mod stage;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::Args;

use scaling::ScalingScenario;
use scenario::Scenario;

/// Show the whole system at work against a simulated Milvus cluster.
///
/// Starts a Kubernetes API, a Milvus and their pods on loopback sockets, injects faults, and
/// measures how long falconer takes to detect, tell, act and recover. Needs no Milvus, no
/// Kubernetes and no network.
#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub struct DemoArgs {
    /// The scenario to play [default: the whole tour]; an unknown name lists them all
    #[arg(long, value_name = "NAME")]
    pub scenario: Option<String>,
    /// Write the measured times to this file
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// Go on until Ctrl-C after the scenario, and print the addresses and a kubeconfig
    #[arg(long)]
    pub keep: bool,
}

const AFTER_HELP: &str = "\
Examples:
  falconer demo
  falconer demo --json report.json
  falconer demo --scenario etcd-outage      beside the rule to restart at each failed check
  falconer demo --keep            then, in another terminal, kubectl against it

Logs are shown where FALCONER_LOG or RUST_LOG is set.

Exit codes:
  0  every expected event was observed at the far side
  1  something was missing; the summary says what
  2  wrong arguments";

/// Plays.
///
/// # Errors
/// When the simulation cannot be started.
pub fn execute(args: DemoArgs) -> anyhow::Result<ExitCode> {
    let name = args.scenario.as_deref().unwrap_or(scenario::DEFAULT);
    if let Some(scenario) = ScalingScenario::find(name) {
        return play_scaling(scenario, &args);
    }
    let Some(scenario) = Scenario::find(name) else {
        explain_unknown(name);
        return Ok(ExitCode::from(super::EXIT_USAGE));
    };
    show_logs_if_asked_for()?;
    let report = actix::System::new().block_on(stage::play(scenario, args.keep, |report| {
        let Some(path) = &args.json else { return Ok(()) };
        let text = serde_json::to_string_pretty(report)? + "\n";
        std::fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
    }))?;
    Ok(if report.passed { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

#[allow(clippy::print_stdout, reason = "the report of a command goes to its standard output")]
fn play_scaling(scenario: ScalingScenario, args: &DemoArgs) -> anyhow::Result<ExitCode> {
    show_logs_if_asked_for()?;
    println!("scenario {}: {}", scenario.name(), scenario.summary());
    let report = actix::System::new().block_on(scenario.play())?;
    println!("\n{}", report.summary());
    if let Some(path) = &args.json {
        let text = serde_json::to_string_pretty(&report)? + "\n";
        std::fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(if report.passed { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

#[allow(clippy::print_stderr, reason = "errors of a command go to its standard error")]
fn explain_unknown(name: &str) {
    eprintln!("falconer: there is no scenario {name:?}; there are:");
    for scenario in scenario::all() {
        eprintln!("  {:16} {}", scenario.name, scenario.summary);
    }
    for scenario in ScalingScenario::ALL {
        eprintln!("  {:16} {}", scenario.name(), scenario.summary());
    }
}

/// The screen belongs to the demo unless somebody asks for the logs.
fn show_logs_if_asked_for() -> anyhow::Result<()> {
    if ["FALCONER_LOG", "RUST_LOG"].iter().any(|name| std::env::var_os(name).is_some()) {
        crate::telemetry::init(&crate::telemetry::TelemetrySettings::default())?;
    }
    Ok(())
}

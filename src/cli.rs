//! The command line: what can be asked of falconer, its help and its exit codes. Owns parsing and
//! dispatch; each subcommand's work is in its own file.

pub mod alert;
pub mod check;
pub mod demo;
pub mod explain;
mod instance;
pub mod probe;
pub mod resume;
pub mod run;
mod running;
pub mod silence;
pub mod whatif;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::config::ConfigErrors;

/// The exit code for a wrong configuration and wrong arguments.
pub const EXIT_USAGE: u8 = 2;

/// Watches Milvus vector databases, tells people what is wrong, heals what it safely can, and
/// sizes the rest.
///
/// falconer reads what to watch from actors.toml: one table per Milvus cluster, in Kubernetes or
/// as processes of one machine. Each component has its own prober; what fails often enough is told
/// to people, restarted within a budget, and verified; replicas follow the load.
///
/// To see it at work without a Milvus: falconer demo
#[derive(Debug, Parser)]
#[command(name = "falconer", version, after_help = AFTER_HELP, propagate_version = false)]
#[command(subcommand_required = true, arg_required_else_help = true)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

const AFTER_HELP: &str = "\
Examples:
  falconer demo                          the whole system against a simulated cluster, one minute
  falconer check --config actors.toml    is the configuration valid?
  falconer probe                         probe everything once and print a table
  falconer run --dry-run                 supervise, but only show what would be changed
  falconer explain querynode             why something was done about it, or was not
  falconer whatif scaling --input FILE   how many replicas would there be?

Environment:
  FALCONER__TABLE__KEY=value overrides any key of the file, for example
  FALCONER__ALERTER__EMAIL__PASSWORD_FILE=/run/secrets/smtp

Exit codes:
  0  success: valid, all healthy, every expected event observed, drained
  1  not healthy (probe), not as expected (demo), or failed
  2  wrong arguments or wrong configuration; nothing was started";

/// The subcommands.
#[allow(missing_docs, reason = "a comment here would replace the longer help of the arguments")]
#[derive(Debug, Subcommand)]
pub enum Command {
    Run(run::RunArgs),
    Check(check::CheckArgs),
    Probe(probe::ProbeArgs),
    Explain(explain::ExplainArgs),
    Alert(alert::AlertArgs),
    Silence(silence::SilenceArgs),
    Resume(resume::ResumeArgs),
    Whatif(whatif::WhatifArgs),
    Demo(demo::DemoArgs),
}

/// Parses the arguments of this process and does what they ask.
///
/// Prints help and argument errors itself (exit code 2 for the latter).
pub fn run() -> ExitCode {
    let cli = Cli::parse();
    let outcome = match cli.command {
        Command::Run(args) => run::execute(args),
        Command::Check(args) => check::execute(args),
        Command::Probe(args) => probe::execute(args),
        Command::Explain(args) => explain::execute(args),
        Command::Alert(args) => alert::execute(args),
        Command::Silence(args) => silence::execute(args),
        Command::Resume(args) => resume::execute(args),
        Command::Whatif(args) => whatif::execute(args),
        Command::Demo(args) => demo::execute(args),
    };
    match outcome {
        Ok(code) => code,
        Err(error) => report(&error),
    }
}

/// Prints the error and chooses the exit code: a wrong configuration is 2, all else 1.
fn report(error: &anyhow::Error) -> ExitCode {
    if let Some(errors) = error.downcast_ref::<ConfigErrors>() {
        eprintln!("{errors}");
        return ExitCode::from(EXIT_USAGE);
    }
    eprintln!("falconer: {error:#}");
    ExitCode::FAILURE
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_command_documents_its_exit_codes() {
        let mut command = Cli::command();
        assert!(command.render_long_help().to_string().contains("Exit codes:"));
        let has_help = |subcommand: &&mut clap::Command| subcommand.get_name() != "help";
        for subcommand in command.get_subcommands_mut().filter(has_help) {
            let help = subcommand.render_long_help().to_string();
            assert!(help.contains("Exit codes:"), "{}", subcommand.get_name());
            assert!(help.contains("Examples:"), "{}", subcommand.get_name());
            let (short, long) = (subcommand.get_about(), subcommand.get_long_about());
            assert!(short.is_some() && long.is_some(), "{}", subcommand.get_name());
        }
    }
}

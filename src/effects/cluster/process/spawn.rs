//! Starts a command in a process group of its own with its output in the log file. Waits for
//! nothing.

use std::process::{ExitStatus, Stdio};

use nix::sys::signal::Signal;
use tokio::process::{Child, Command};

use super::shared::Shared;

/// The environment variable by which a process is recognised as the owned one, with the absolute
/// path of its pid file as the value.
pub(super) const MARKER: &str = "FALCONER_PID_FILE";

/// Starts `command`; the new process leads its own group, so that one signal reaches everything it
/// starts and a Ctrl-C at falconer's terminal does not.
///
/// # Errors
/// Why it could not be started, for people.
pub(super) fn spawn(
    shared: &Shared,
    command: &[String],
    marker: Option<&str>,
) -> Result<Child, String> {
    let Some((program, arguments)) = command.split_first() else {
        return Err("the command is empty".to_owned());
    };
    shared.find_program(program)?;
    let settings = &shared.settings;
    let log = shared
        .log
        .open()
        .and_then(|log| Ok((log.try_clone()?, log)))
        .map_err(|error| format!("{}: {error}", settings.log_file.display()))?;
    let mut child = Command::new(program);
    child
        .args(arguments)
        .envs(&settings.env)
        .stdin(Stdio::null())
        .stdout(Stdio::from(log.0))
        .stderr(Stdio::from(log.1))
        .process_group(0)
        .kill_on_drop(false);
    if let Some(marker) = marker {
        child.env(MARKER, marker);
    }
    if let Some(dir) = &settings.working_dir {
        child.current_dir(dir);
    }
    child.spawn().map_err(|error| format!("{program}: {error}"))
}

/// The process group of a child that was started by [`spawn`]; `None` once it has been waited for.
pub(super) fn group_of(child: &Child) -> Option<i32> {
    child.id().and_then(|pid| i32::try_from(pid).ok())
}

/// How a process ended, in words, with the last line of its output.
pub(super) fn describe_exit(status: Option<ExitStatus>, last_line: Option<String>) -> String {
    use std::os::unix::process::ExitStatusExt as _;
    let how = match status {
        None => "ended (it was not started by this falconer, so its status is unknown)".to_owned(),
        Some(status) => match (status.code(), status.signal()) {
            (Some(code), _) => format!("exited with status {code}"),
            (None, Some(number)) => match Signal::try_from(number) {
                Ok(signal) => format!("ended by {}", signal.as_str()),
                Err(_) => format!("ended by signal {number}"),
            },
            (None, None) => status.to_string(),
        },
    };
    match last_line {
        Some(line) => format!("{how} (last output: {line})"),
        None => how,
    }
}

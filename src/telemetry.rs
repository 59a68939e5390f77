//! Sets up the logs of the process: format, level, destination (standard error). Owns nothing after
//! that.

use std::env;
use std::io::{self, IsTerminal as _};

use serde::{Deserialize, Serialize};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::ParseError;

/// Environment variables that override the level, the first one that is set wins.
const LEVEL_VARIABLES: [&str; 2] = ["FALCONER_LOG", "RUST_LOG"];

/// How a log line looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// One line for people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// Libraries that repeat what a server said, at full length.
const NOISY: [&str; 2] = ["kube_client", "kube_runtime"];

/// What is logged, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TelemetrySettings {
    /// How a line looks.
    pub format: LogFormat,
    /// A level (`info`) or directives (`info,falconer::actors=debug`), where neither `FALCONER_LOG`
    /// nor `RUST_LOG` is set.
    pub level: String,
}

impl Default for TelemetrySettings {
    fn default() -> Self {
        Self { format: LogFormat::default(), level: "info".to_owned() }
    }
}

/// Why logging could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// The level is not understood.
    #[error("cannot understand the log level {level:?} of {origin}: {source}")]
    Level {
        /// The value.
        level: String,
        /// Where it comes from.
        origin: &'static str,
        /// Why.
        source: ParseError,
    },
    /// Something set it up before.
    #[error("logging is set up already")]
    AlreadySet,
}

/// Sends the logs of this process to standard error from now on.
///
/// # Errors
/// When the level is not understood, or logging was set up before.
pub fn init(settings: &TelemetrySettings) -> Result<(), TelemetryError> {
    let filter = filter(settings, |name| env::var(name).ok())?;
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr)
        .with_ansi(io::stderr().is_terminal());
    let result = match settings.format {
        LogFormat::Text => builder.try_init(),
        LogFormat::Json => builder.json().flatten_event(true).try_init(),
    };
    result.map_err(|_| TelemetryError::AlreadySet)
}

fn filter(
    settings: &TelemetrySettings,
    variable: impl Fn(&str) -> Option<String>,
) -> Result<EnvFilter, TelemetryError> {
    let from_environment = LEVEL_VARIABLES
        .into_iter()
        .find_map(|name| Some((variable(name).filter(|value| !value.trim().is_empty())?, name)));
    let (level, origin) =
        from_environment.unwrap_or_else(|| (quiet(&settings.level), "[telemetry] log_level"));
    EnvFilter::builder().parse(&level).map_err(|source| TelemetryError::Level {
        level,
        origin,
        source,
    })
}

/// The level without the words of the Kubernetes client, which writes whole answers into its log;
/// what goes wrong there is told by the adapter. Directives of the user's own come first.
fn quiet(level: &str) -> String {
    let unnamed = NOISY.iter().filter(|name| !level.contains(*name));
    unnamed.fold(level.to_owned(), |level, name| format!("{level},{name}=off"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filter_with(level: &str, variables: &[(&str, &str)]) -> Result<String, TelemetryError> {
        let settings = TelemetrySettings { level: level.into(), ..TelemetrySettings::default() };
        let find = |name: &str| {
            let found = variables.iter().find(|(key, _)| *key == name);
            found.map(|(_, value)| (*value).to_owned())
        };
        filter(&settings, find).map(|filter| filter.to_string())
    }

    #[test]
    fn the_environment_overrides_the_level_and_our_own_variable_comes_first() {
        let quiet = filter_with("warn", &[]).unwrap();
        assert!(quiet.contains("warn") && quiet.contains("kube_client=off"), "{quiet}");
        assert_eq!(filter_with("warn", &[("RUST_LOG", "error")]).unwrap(), "error");
        let both = [("RUST_LOG", "error"), ("FALCONER_LOG", "debug")];
        assert_eq!(filter_with("warn", &both).unwrap(), "debug");
        assert_eq!(filter_with("warn", &[("FALCONER_LOG", " ")]).unwrap(), quiet);
    }

    #[test]
    fn a_level_that_is_not_understood_says_where_it_comes_from() {
        let error = filter_with("info", &[("RUST_LOG", "falconer=loud")]).unwrap_err().to_string();
        assert!(error.contains("falconer=loud") && error.contains("RUST_LOG"), "{error}");
    }

    #[test]
    fn setting_up_twice_is_an_error_and_no_panic() {
        let first = init(&TelemetrySettings::default());
        let second = init(&TelemetrySettings::default());
        assert!(first.is_ok(), "{first:?}");
        assert!(matches!(second, Err(TelemetryError::AlreadySet)), "{second:?}");
    }
}

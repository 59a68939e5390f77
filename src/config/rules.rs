//! Which values make sense. Owns the rules that types cannot express, and the helpers they share;
//! every rule reports and goes on, so that all errors are found at once.

mod alerter;
mod clusters;
mod files;
mod heartbeat;
mod names;
mod probers;
mod reactions;
mod receivers;
mod recoverer;
mod respawn;
mod routes;
mod scaler;
mod warnings;
mod windows;

use std::net::IpAddr;
use std::time::Duration;

use super::origins::{Origins, Part};
use super::path::KeyPath;
use super::problem::Problem;
use super::settings::Settings;
use super::values::HumanDuration;

pub(crate) use files::unreadable_files;
pub(crate) use warnings::warnings;

/// Names of what Milvus depends on as a rule; naming one without a prober is only a warning.
pub(crate) const WELL_KNOWN_DEPENDENCIES: [&str; 8] =
    ["etcd", "minio", "pulsar", "kafka", "rocksmq", "woodpecker", "s3", "natsmq"];

/// The longest deadline that makes sense for anything over the network.
const LONGEST_TIMEOUT: Duration = Duration::from_mins(10);
/// The longest time between two looks at anything.
const LONGEST_INTERVAL: Duration = Duration::from_hours(24);

/// Everything in `settings` that makes no sense, apart from what follows only from values that
/// were `left_out` because they could not be read.
pub(crate) fn violations(
    settings: &Settings,
    origins: &Origins,
    left_out: &[KeyPath],
) -> Vec<Problem> {
    let mut judge = Judge { settings, origins, left_out, problems: Vec::new() };
    clusters::judge(&mut judge);
    probers::judge(&mut judge);
    alerter::judge(&mut judge);
    heartbeat::judge(&mut judge);
    reactions::judge(&mut judge);
    windows::judge(&mut judge);
    judge.problems
}

/// Collects what is wrong.
struct Judge<'a> {
    settings: &'a Settings,
    origins: &'a Origins,
    left_out: &'a [KeyPath],
    problems: Vec<Problem>,
}

impl Judge<'_> {
    /// The value at `path` is wrong: `"key" in [table] <what>`.
    fn value(&mut self, path: &KeyPath, what: impl AsRef<str>) {
        let path = self.origins.written(path);
        if self.is_left_out(&path) {
            return;
        }
        let message = format!("{} {}", path.describe(), what.as_ref());
        let location = self.origins.locate(&path, Part::Value);
        self.problems.push(Problem { location, message });
    }

    /// The table at `path` is wrong as a whole: `[table] <what>`.
    fn table(&mut self, path: &KeyPath, what: impl AsRef<str>) {
        let message = format!("[{path}] {}", what.as_ref());
        let location = self.origins.locate(path, Part::Key);
        self.problems.push(Problem { location, message });
    }

    /// The table at `path` has none of `keys`, one of which it needs: `[table] <what>`. Says
    /// nothing where one was written but could not be read.
    fn lacks(&mut self, path: &KeyPath, keys: &[&str], what: impl AsRef<str>) {
        if !keys.iter().any(|key| self.is_left_out(&path.key(key))) {
            self.table(path, what);
        }
    }

    /// Whether the value at `path`, or something in it or around it, could not be read.
    fn is_left_out(&self, path: &KeyPath) -> bool {
        let mut left_out = self.left_out.iter();
        left_out.any(|left_out| left_out.is_within(path) || path.is_within(left_out))
    }

    /// A duration must lie between two others, both included.
    fn duration(&mut self, path: &KeyPath, value: HumanDuration, min: Duration, max: Duration) {
        if (min..=max).contains(&value.get()) {
            return;
        }
        let (min, max) = (HumanDuration::from(min), HumanDuration::from(max));
        self.value(path, format!("must be from {min} to {max}, not {value}"));
    }

    /// A number must lie between two others, both included.
    fn number<N>(&mut self, path: &KeyPath, n: N, min: N, max: N)
    where
        N: PartialOrd + std::fmt::Display,
    {
        if n < min || n > max {
            self.value(path, format!("must be from {min} to {max}, not {n}"));
        }
    }

    /// A URL must be one, with a host, of one of `schemes`, without credentials.
    fn url(&mut self, path: &KeyPath, text: &str, schemes: &[&str]) {
        if let Err(why) = check_url(text, schemes) {
            self.value(path, why);
        }
    }

    /// A list must not name the same thing twice.
    fn unique<T: PartialEq>(&mut self, path: &KeyPath, items: &[T], show: impl Fn(&T) -> String) {
        for (index, item) in items.iter().enumerate() {
            if items[..index].contains(item) {
                self.value(&path.index(index), format!("names {} a second time", show(item)));
            }
        }
    }

    /// A list of names must not hold an empty name, nor one twice.
    fn name_list(&mut self, path: &KeyPath, items: &[String]) {
        for (index, item) in items.iter().enumerate() {
            if item.trim().is_empty() {
                self.value(&path.index(index), "must not be empty");
            }
        }
        self.unique(path, items, |item| format!("{item:?}"));
    }
}

/// Why `text` is not such a URL. The text itself is not repeated: it may hold a secret.
fn check_url(text: &str, schemes: &[&str]) -> Result<(), String> {
    let url = reqwest::Url::parse(text).map_err(|error| format!("is not a URL: {error}"))?;
    if !schemes.contains(&url.scheme()) {
        let schemes: Vec<String> = schemes.iter().map(|scheme| format!("{scheme}://")).collect();
        return Err(format!("must begin with {}", schemes.join(" or ")));
    }
    if url.host_str().is_none_or(str::is_empty) {
        return Err("must name a host".into());
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("must not hold a user or a password; those belong in their own keys".into());
    }
    Ok(())
}

/// Why `text` is not `host:port`.
fn check_address(text: &str) -> Result<(), String> {
    let wanted = "must be host:port, such as \"etcd.milvus:2379\"";
    let (host, port) = text.rsplit_once(':').ok_or(wanted)?;
    let bracketed = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    let host_is_fine = match bracketed {
        Some(inner) => inner.parse::<std::net::Ipv6Addr>().is_ok(),
        None => !host.is_empty() && !host.contains([':', '/', '@', ' ', '[', ']']),
    };
    let port_is_fine = port.parse::<u16>().is_ok_and(|port| port > 0);
    if host_is_fine && port_is_fine { Ok(()) } else { Err(wanted.into()) }
}

/// Whether `host` can only mean this machine.
fn is_loopback(host: &str) -> bool {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    host.eq_ignore_ascii_case("localhost")
        || bare.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_a_host_and_a_port() {
        for fine in ["etcd:2379", "10.0.0.1:1", "[::1]:65535", "a.b.svc:80"] {
            assert_eq!(check_address(fine), Ok(()), "{fine}");
        }
        for wrong in ["etcd", ":1", "etcd:0", "etcd:65536", "::1:80", "http://a:1", "[x]:1"] {
            assert!(check_address(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_url_has_a_known_scheme_a_host_and_no_credentials() {
        assert_eq!(check_url("http://127.0.0.1:9091/healthz", &["http", "https"]), Ok(()));
        for wrong in ["", "milvus:19530", "ftp://a/", "http://", "http://u:p@a/", "http://u@a/"] {
            assert!(check_url(wrong, &["http", "https"]).is_err(), "{wrong}");
        }
        let error = check_url("http://u:hunter2@a/", &["http"]).unwrap_err();
        assert!(!error.contains("hunter2"));
    }

    #[test]
    fn only_this_machine_is_loopback() {
        for host in ["localhost", "127.0.0.1", "127.9.9.9", "::1", "[::1]", "LOCALHOST"] {
            assert!(is_loopback(host), "{host}");
        }
        for host in ["0.0.0.0", "localhost.example.com", "10.0.0.1", "127.0.0.1.nip.io", ""] {
            assert!(!is_loopback(host), "{host}");
        }
    }
}

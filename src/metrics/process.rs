//! Figures of falconer's own process, read from /proc when somebody scrapes.

use std::fs;

use opentelemetry::KeyValue;
use opentelemetry::metrics::Meter;

use crate::model::Timestamp;

/// Clock ticks a second in /proc/self/stat; Linux reports 100 to programs on every architecture.
const TICKS_PER_SECOND: f64 = 100.0;

/// Makes the process's figures known to `meter`. What cannot be read is left out.
pub(super) fn register(meter: &Meter, started_at: Timestamp) {
    let gauge = |name: &'static str, help: &'static str, read: fn() -> Option<f64>| {
        let _registered = meter
            .f64_observable_gauge(name)
            .with_description(help)
            .with_callback(move |observer| {
                if let Some(value) = read() {
                    observer.observe(value, &[]);
                }
            })
            .build();
    };
    gauge("process_resident_memory_bytes", "Resident memory size in bytes", resident_memory);
    gauge("process_open_fds", "Number of open file descriptors", open_files);
    let _cpu = meter
        .f64_observable_counter("process_cpu_seconds_total")
        .with_description("Total user and system CPU time spent in seconds")
        .with_callback(|observer| {
            if let Some(seconds) = cpu_seconds() {
                observer.observe(seconds, &[]);
            }
        })
        .build();
    let _build = meter
        .u64_observable_gauge("falconer_build_info")
        .with_description("Always 1; its label says which version runs")
        .with_callback(|observer| {
            observer.observe(1, &[KeyValue::new("version", env!("CARGO_PKG_VERSION"))]);
        })
        .build();
    let start_seconds = started_at.as_millis() as f64 / 1_000.0;
    let _start = meter
        .f64_observable_gauge("falconer_start_time_seconds")
        .with_description("When falconer started, in seconds since the Unix epoch")
        .with_callback(move |observer| observer.observe(start_seconds, &[]))
        .build();
}

fn resident_memory() -> Option<f64> {
    resident_bytes_of(&fs::read_to_string("/proc/self/status").ok()?)
}

fn resident_bytes_of(status: &str) -> Option<f64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kibibytes: f64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes * 1_024.0)
}

fn open_files() -> Option<f64> {
    // The directory handle that counts is itself one of them.
    Some(fs::read_dir("/proc/self/fd").ok()?.count().saturating_sub(1) as f64)
}

fn cpu_seconds() -> Option<f64> {
    cpu_seconds_of(&fs::read_to_string("/proc/self/stat").ok()?)
}

fn cpu_seconds_of(stat: &str) -> Option<f64> {
    // The second field is the program's name in brackets and may hold spaces and brackets itself.
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace().skip(11);
    let user: f64 = fields.next()?.parse().ok()?;
    let system: f64 = fields.next()?.parse().ok()?;
    Some((user + system) / TICKS_PER_SECOND)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpu_time_is_found_behind_an_odd_program_name() {
        let stat = "7 (a) b (c) S 1 7 7 0 -1 4194304 1 2 3 4 250 50 0 0 20 0 1 0 100 1 1";
        assert_eq!(cpu_seconds_of(stat), Some(3.0));
        assert_eq!(cpu_seconds_of("garbage"), None);
    }

    #[test]
    fn memory_is_in_bytes() {
        assert_eq!(resident_bytes_of("Name:\tx\nVmRSS:\t   12 kB\n"), Some(12_288.0));
        assert!(resident_memory().is_some_and(|bytes| bytes > 0.0));
        assert!(open_files().is_some_and(|files| files > 0.0));
    }
}

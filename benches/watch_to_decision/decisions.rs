//! falconer's decisions, from its log: which component went from which state to which, and when.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Seek, SeekFrom};
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, bail};
use serde_json::Value;
use tokio::time::{Instant, sleep};

use super::support::falconer::Falconer;

/// One line about a component's state.
struct Decision {
    at: u64,
    component: String,
    to: String,
}

/// What has been read so far.
pub struct Decisions {
    path: PathBuf,
    read_up_to: u64,
    all: Vec<Decision>,
}

impl Decisions {
    /// Of this falconer.
    pub fn of(falconer: &Falconer) -> Self {
        Self { path: falconer.log_path(), read_up_to: 0, all: Vec::new() }
    }

    /// Reads what the log has more than before.
    pub fn read(&mut self) -> anyhow::Result<()> {
        let mut file = std::fs::File::open(&self.path)?;
        file.seek(SeekFrom::Start(self.read_up_to))?;
        let mut reader = BufReader::new(file);
        let mut line = String::new();
        while reader.read_line(&mut line)? > 0 && line.ends_with('\n') {
            self.read_up_to += line.len() as u64;
            self.all.extend(decision(&line));
            line.clear();
        }
        Ok(())
    }

    /// When `component` was first found not well after `since`.
    pub fn first_complaint(&self, component: &str, since: u64) -> Option<u64> {
        let of = |d: &&Decision| d.component == component && d.at >= since && d.to != "healthy";
        self.all.iter().find(of).map(|decision| decision.at)
    }

    /// Waits until the newest word on every component is that it is healthy.
    pub async fn wait_until_healthy(
        &mut self,
        components: &[String],
        limit: Duration,
    ) -> anyhow::Result<()> {
        let deadline = Instant::now() + limit;
        loop {
            self.read()?;
            let newest: BTreeMap<&str, &Decision> =
                self.all.iter().map(|d| (d.component.as_str(), d)).collect();
            let is_well =
                |name: &&String| newest.get(name.as_str()).is_some_and(|d| d.to == "healthy");
            let sick: Vec<&String> = components.iter().filter(|name| !is_well(name)).collect();
            if sick.is_empty() {
                return Ok(());
            }
            if Instant::now() > deadline {
                let log = std::fs::read_to_string(&self.path).unwrap_or_default();
                let tail = log.lines().rev().take(20).collect::<Vec<_>>().join("\n");
                bail!("not healthy after {limit:?}: {sick:?}\n{tail}");
            }
            sleep(Duration::from_millis(20)).await;
        }
    }
}

fn decision(line: &str) -> Option<Decision> {
    let entry: Value = serde_json::from_str(line).ok()?;
    if entry["message"] != "component state changed" {
        return None;
    }
    let component = entry["component"].as_str()?.rsplit('/').next()?.to_owned();
    let at = entry["timestamp"].as_str().context("a timestamp").ok()?;
    let at = at.parse::<jiff::Timestamp>().ok()?.as_microsecond();
    Some(Decision { at: u64::try_from(at).ok()?, component, to: entry["to"].as_str()?.to_owned() })
}

//! What happened in a run: the newest lines for people, and a hash of everything, by which two runs
//! of one seed are compared.

use std::collections::VecDeque;
use std::fmt::Display;
use std::time::Duration;

use falconer::model::Timestamp;

/// How many lines a failure shows, unless `FALCONER_SCENARIO_TAIL` says otherwise.
const TAIL: usize = 40;

/// The trace of one run.
pub struct Trace {
    started: Timestamp,
    tail: VecDeque<String>,
    length: usize,
    hash: u64,
}

impl Trace {
    /// An empty trace of a run that starts at `started`.
    pub fn new(started: Timestamp) -> Self {
        let length = std::env::var("FALCONER_SCENARIO_TAIL").ok();
        let length = length.and_then(|text| text.parse().ok()).unwrap_or(TAIL);
        Self { started, tail: VecDeque::new(), length, hash: 0xcbf2_9ce4_8422_2325 }
    }

    /// Adds a line.
    pub fn line(&mut self, now: Timestamp, text: impl Display) {
        let line = format!("{} {text}", clock_time(now.since(self.started)));
        for byte in line.bytes() {
            self.hash = (self.hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
        if self.tail.len() >= self.length {
            self.tail.pop_front();
        }
        self.tail.push_back(line);
    }

    /// Takes something into the hash that is not worth a line.
    pub fn mix(&mut self, value: u64) {
        self.hash = (self.hash ^ value).wrapping_mul(0x0100_0000_01b3);
    }

    /// The newest lines.
    pub fn tail(&self) -> Vec<String> {
        self.tail.iter().cloned().collect()
    }

    /// What all that happened comes to.
    pub fn hash(&self) -> u64 {
        self.hash
    }

    /// The virtual time since the start.
    pub fn elapsed(&self, now: Timestamp) -> Duration {
        now.since(self.started)
    }
}

/// `+01:02:03.004`.
pub fn clock_time(elapsed: Duration) -> String {
    let seconds = elapsed.as_secs();
    let (hours, minutes) = (seconds / 3_600, seconds / 60 % 60);
    format!("+{hours:02}:{minutes:02}:{:02}.{:03}", seconds % 60, elapsed.subsec_millis())
}

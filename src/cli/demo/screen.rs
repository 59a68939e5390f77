//! What the demo shows: a live table under a growing timeline on a terminal, plain lines elsewhere.

use std::io::{IsTerminal, Write, stdout};

use comfy_table::{ContentArrangement, Table, presets};

use super::configuration::CLUSTER;
use crate::actors::status::StatusBoard;
use crate::model::{HealthState, Timestamp};
use crate::sim::Simulation;

const HIDE_CURSOR: &str = "\x1b[?25l";
const SHOW_CURSOR: &str = "\x1b[?25h";
/// Clears from the cursor to the end of the screen.
const CLEAR_BELOW: &str = "\x1b[J";
/// The longest text in the table's last column.
const REASON_WIDTH: usize = 48;

/// The terminal, or whatever standard output is.
pub(super) struct Screen {
    live: bool,
    started: Timestamp,
    drawn_lines: usize,
}

impl Screen {
    /// Times on the timeline count from `started`.
    pub(super) fn new(started: Timestamp) -> Self {
        let screen = Self { live: stdout().is_terminal(), started, drawn_lines: 0 };
        if screen.live {
            put(HIDE_CURSOR);
        }
        screen
    }

    /// A line of the timeline.
    pub(super) fn say(&mut self, at: Timestamp, text: &str) {
        self.erase();
        let elapsed = at.since(self.started).as_secs_f64();
        put(&format!("{elapsed:7.2} s  {text}\n"));
    }

    /// Text without a time, after the live table is gone.
    pub(super) fn print(&mut self, text: &str) {
        self.erase();
        put(&format!("{text}\n"));
    }

    /// Draws the table anew; does nothing without a terminal.
    pub(super) fn draw(&mut self, sim: &Simulation, board: &StatusBoard) {
        if !self.live {
            return;
        }
        let table = format!("\n{}\n", status_table(sim, board));
        self.erase();
        self.drawn_lines = table.lines().count();
        put(&table);
    }

    fn erase(&mut self) {
        if self.drawn_lines > 0 {
            put(&format!("\x1b[{}A\r{CLEAR_BELOW}", self.drawn_lines));
            self.drawn_lines = 0;
        }
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        self.erase();
        if self.live {
            put(SHOW_CURSOR);
        }
    }
}

/// A reader that has gone away must not end the demo.
fn put(text: &str) {
    let mut out = stdout().lock();
    let _ = out.write_all(text.as_bytes());
    let _ = out.flush();
}

fn status_table(sim: &Simulation, board: &StatusBoard) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_content_arrangement(ContentArrangement::Disabled);
    // Coloured like the cells below it, because the codes count as width.
    let state = format!("\x1b[39m{:9}\x1b[0m", "STATE");
    table.set_header(["COMPONENT", &state, "PODS", "LATENCY", "REASON"]);
    board.read(|board| {
        let components = board.clusters.get(CLUSTER).map(|cluster| &cluster.components);
        for (name, component) in components.into_iter().flatten() {
            let pods = sim.pods(name);
            let ready = pods.iter().filter(|pod| pod.ready).count();
            let pods =
                if pods.is_empty() { String::new() } else { format!("{ready}/{}", pods.len()) };
            let latency = component.latency_ms.map_or_else(String::new, |ms| format!("{ms:.0} ms"));
            let reason = component.health.reason.as_ref().map_or("", |reason| &reason.text);
            let mut reason: String = reason.chars().take(REASON_WIDTH).collect();
            if component.health.state == HealthState::Healthy {
                reason.clear();
            }
            let state = coloured(component.health.state);
            table.add_row([name.to_string(), state, pods, latency, reason]);
        }
    });
    table.to_string()
}

fn coloured(state: HealthState) -> String {
    let colour = match state {
        HealthState::Unknown => 90,
        HealthState::Healthy => 32,
        HealthState::Degraded => 33,
        HealthState::Unhealthy => 31,
    };
    format!("\x1b[{colour}m{:9}\x1b[0m", state.as_str())
}

//! Do targets that accept and never answer delay the probes of the others?

mod support;

use std::time::Duration;

use serde_json::json;
use support::falconer::{self, Falconer};
use support::lateness::Arrivals;
use support::report;
use support::targets::{Mode, Targets, serve_if_asked};

const INTERVAL: Duration = Duration::from_secs(1);
const TIMEOUT: Duration = Duration::from_secs(5);

fn main() -> anyhow::Result<()> {
    serve_if_asked();
    let length = report::seconds("FALCONER_ISOLATION_SECONDS", 60);
    let mut targets = Targets::start(1000)?;
    let falconer = Falconer::start(&falconer::configuration(&targets, INTERVAL, TIMEOUT, ""))?;
    falconer.wait_until_ready(Duration::from_secs(30))?;
    let t0 = targets.now()?;
    std::thread::sleep(length);
    let t1 = targets.set(700..1000, Mode::Hang)?;
    std::thread::sleep(length);
    let t2 = targets.now()?;
    std::thread::sleep(INTERVAL);
    let mut seen = Arrivals::default();
    seen.extend(targets.take()?);
    report::print(
        "isolation",
        json!({
            "before": seen.lateness(0..700, INTERVAL, &(t0..t1)).summary(),
            "during": seen.lateness(0..700, INTERVAL, &(t1..t2)).summary(),
        }),
    );
    println!("{}", falconer.terminate()?);
    Ok(())
}

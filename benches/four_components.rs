//! Four components of which three accept and never answer: how often is the fourth probed?
//!
//! Side by side in one run, for a minute: falconer's probers (5 s time-out, 1 s interval), and the
//! sequential loop of the script that falconer replaces, with the same client, time-out and pause.
//! The figures are the gaps between requests as the healthy target sees them.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use actix::prelude::*;
use falconer::actors::link::Link;
use falconer::actors::pacer::Pacer;
use falconer::actors::prober::{Prober, ProberParts, ProberSettings};
use falconer::actors::supervisor::{ProbeCompleted, ReportOutbox};
use falconer::clock::Clock;
use falconer::effects::Probe;
use falconer::effects::probe::{HttpProbe, HttpProbeSettings};
use falconer::metrics::Metrics;
use falconer::model::{ComponentId, ProberKind};

const RUN: Duration = Duration::from_secs(60);
const INTERVAL: Duration = Duration::from_secs(1);
const TIMEOUT: Duration = Duration::from_secs(5);

type Arrivals = Arc<Mutex<Vec<Instant>>>;

#[allow(clippy::disallowed_methods, reason = "the far side has a clock of its own")]
fn healthy_target() -> (SocketAddr, Arrivals) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("an address");
    let arrivals = Arrivals::default();
    let seen = Arc::clone(&arrivals);
    std::thread::spawn(move || {
        for mut connection in listener.incoming().flatten() {
            seen.lock().expect("no panics").push(Instant::now());
            let _ = connection.read(&mut [0; 1024]);
            let _ = connection.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nOK");
        }
    });
    (address, arrivals)
}

fn stalled_target() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("an address");
    std::thread::spawn(move || {
        let mut held = Vec::new();
        for connection in listener.incoming().flatten() {
            held.push(connection);
        }
    });
    address
}

fn probe(address: SocketAddr) -> HttpProbe {
    HttpProbe::new(HttpProbeSettings::new(format!("http://{address}/healthz")))
}

/// Takes reports and forgets them.
struct Sink;

impl Actor for Sink {
    type Context = Context<Self>;
}

impl Handler<ProbeCompleted> for Sink {
    type Result = ();

    fn handle(&mut self, _: ProbeCompleted, _: &mut Self::Context) {}
}

async fn falconer(stalled: &[SocketAddr], healthy: SocketAddr) {
    let link = Link::new();
    link.publish(&Sink.start());
    let (pacer, clock) = (Pacer::default(), Clock::system());
    let targets = stalled.iter().chain([&healthy]);
    for (number, target) in targets.enumerate() {
        let parts = ProberParts {
            id: ComponentId::new("bench", format!("component-{number}")),
            kind: ProberKind::Http,
            settings: Arc::new(ProberSettings {
                interval: INTERVAL,
                timeout: TIMEOUT,
                ..ProberSettings::default()
            }),
            probe: Arc::new(probe(*target)),
            reports: ReportOutbox::new(link.clone(), Metrics::default()),
            pacer: pacer.clone(),
            clock,
            metrics: Metrics::default(),
        };
        Prober::new(parts).start();
    }
    tokio::time::sleep(RUN).await;
}

async fn sequential(stalled: &[SocketAddr], healthy: SocketAddr) {
    let probes: Vec<HttpProbe> = stalled.iter().chain([&healthy]).map(|a| probe(*a)).collect();
    let forever = async {
        loop {
            for probe in &probes {
                probe.probe(TIMEOUT).await;
            }
            tokio::time::sleep(INTERVAL).await;
        }
    };
    let _ = tokio::time::timeout(RUN, forever).await;
}

/// Count, median and largest gap in seconds.
fn figures(arrivals: &Arrivals) -> (usize, f64, f64) {
    let arrivals = arrivals.lock().expect("no panics");
    let mut gaps: Vec<f64> =
        arrivals.windows(2).map(|pair| (pair[1] - pair[0]).as_secs_f64()).collect();
    gaps.sort_by(f64::total_cmp);
    let middle = gaps.get(gaps.len() / 2).copied().unwrap_or(f64::NAN);
    (arrivals.len(), middle, gaps.last().copied().unwrap_or(f64::NAN))
}

fn main() {
    let stalled: Vec<SocketAddr> = (0..3).map(|_| stalled_target()).collect();
    let (ours, ours_seen) = healthy_target();
    let (theirs, theirs_seen) = healthy_target();
    System::new().block_on(async {
        tokio::join!(falconer(&stalled, ours), sequential(&stalled, theirs));
    });
    let (probes, median, max) = figures(&ours_seen);
    let (reference_probes, reference_median, reference_max) = figures(&theirs_seen);
    println!(
        "{{\"bench\":\"four_components\",\"seconds\":{},\"interval_s\":1,\"timeout_s\":5,\
         \"stalled\":3,\"probes\":{probes},\"gap_median_s\":{median:.3},\"gap_max_s\":{max:.3},\
         \"sequential_probes\":{reference_probes},\"sequential_gap_median_s\":{reference_median:.3},\
         \"sequential_gap_max_s\":{reference_max:.3},\"ratio_median\":{:.2}}}",
        RUN.as_secs(),
        reference_median / median,
    );
}

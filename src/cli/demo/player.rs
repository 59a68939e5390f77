//! Plays a scenario: starts the simulated world and falconer, makes things go wrong, and measures
//! until everything expected was seen or the time is over.

use std::time::Duration;

use anyhow::Context as _;
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::{Instant, sleep};

use super::configuration::{CLUSTER, actors_toml, simulation};
use super::observer::{Beginning, Observer};
use super::report::{EventReport, Report};
use super::scenario::{Expectation, Scenario, Step, Trouble, Verdict};
use super::scratch::Scratch;
use super::screen::Screen;
use crate::app::{App, Options, descriptors};
use crate::config;
use crate::sim::{Fault, SimError, Simulation};

/// No scenario takes longer than this, whatever happens.
const TIME_LIMIT: Duration = Duration::from_secs(58);
/// How long everything may take to become healthy at first.
const BASELINE_LIMIT: Duration = Duration::from_secs(15);
/// How often evidence is looked for.
const LOOK_INTERVAL: Duration = Duration::from_millis(25);
/// How often the table is drawn.
const DRAW_INTERVAL: Duration = Duration::from_millis(250);
/// How long falconer may take to end.
const GRACE: Duration = Duration::from_secs(2);

/// Plays `scenario` and hands the report to `deliver` as soon as there is one; with `keep` only
/// then waits for Ctrl-C. Must be called inside an actix system.
///
/// # Errors
/// When something cannot be started, or the report cannot be delivered.
pub(super) async fn play(
    scenario: &'static Scenario,
    keep: bool,
    deliver: impl FnOnce(&Report) -> anyhow::Result<()>,
) -> anyhow::Result<Report> {
    let sim = Simulation::start(simulation())?;
    let scratch = Scratch::new().context("cannot make a directory for temporary files")?;
    let kubeconfig = scratch.write("kubeconfig", &sim.kubeconfig());
    let kubeconfig = kubeconfig.context("cannot write the kubeconfig")?;
    let text = actors_toml(&sim, &kubeconfig);
    let path = scratch.write("actors.toml", &text).context("cannot write actors.toml")?;
    let loaded = config::parse("actors.toml", &text, &config::environment::Variables::new())?;
    let mut screen = Screen::new(sim.clock().now());
    screen.say(sim.clock().now(), &format!("scenario {}: {}", scenario.name, scenario.summary));
    let options = Options { config_path: Some(path), ..Options::default() };
    // A demo is small enough for any limit.
    let _ = descriptors::raise_limit(&loaded.settings);
    let falconer = App::start(loaded.settings, options)?;

    let board = falconer.status();
    let observer = Observer { sim: &sim, board: &board };
    let mut player = Player { observer, screen, ends: Instant::now() + TIME_LIMIT };
    let started = player.observer.now();
    let outcome = tokio::select! {
        events = player.all(scenario) => Some(events),
        ended = asked_to_end() => ended.map(|()| None)?,
    };
    let keep = keep && outcome.is_some();
    let events = outcome.unwrap_or_else(|| scenario.steps.iter().map(interrupted).collect());
    let report = Report {
        scenario: scenario.name,
        passed: events.iter().all(|event| event.missing.is_empty()),
        wall_ms: player.observer.now().since(started).as_millis() as u64,
        events,
    };
    player.screen.print(&format!("\n{}", report.summary()));
    let delivered = deliver(&report);
    if keep {
        let addresses = addresses(&sim, &falconer, scratch.path());
        player.screen.print(&addresses);
        // Without a way to hear of it there is no sense in waiting for it.
        let _ = asked_to_end().await;
    }
    drop(player);
    falconer.shutdown(GRACE).await;
    delivered.map(|()| report)
}

/// Ends with Ctrl-C or SIGTERM.
async fn asked_to_end() -> std::io::Result<()> {
    let mut terminated = signal(SignalKind::terminate())?;
    tokio::select! {
        pressed = tokio::signal::ctrl_c() => pressed,
        _ = terminated.recv() => Ok(()),
    }
}

fn interrupted(step: &Step) -> EventReport {
    let missing = vec!["interrupted".to_owned()];
    EventReport { name: step.name, missing, ..EventReport::default() }
}

fn addresses(sim: &Simulation, app: &App, scratch: &std::path::Path) -> String {
    let server = app.server_addr();
    let kubeconfig = scratch.join("kubeconfig");
    format!(
        "\nThe demo goes on until Ctrl-C.\n\
         \x20 Kubernetes API    {}\n\
         \x20 Milvus (gRPC)     {}\n\
         \x20 dependency        {}\n\
         \x20 mail sink         {}\n\
         \x20 webhook sink      {}\n\
         \x20 falconer metrics  http://{server}/metrics\n\
         \x20 falconer status   http://{server}/api/v1/status\n\
         \x20 configuration     {}\n\
         \x20 kubeconfig        {}\n\n\
         Try:\n  kubectl --kubeconfig {} get pods,deployments,events\n",
        sim.api_url(),
        sim.milvus_url(),
        sim.dependency_url(),
        sim.smtp().address(),
        sim.webhook().url("/alerts"),
        scratch.join("actors.toml").display(),
        kubeconfig.display(),
        kubeconfig.display(),
    )
}

/// Plays the steps.
struct Player<'a> {
    observer: Observer<'a>,
    screen: Screen,
    ends: Instant,
}

impl Player<'_> {
    async fn all(&mut self, scenario: &Scenario) -> Vec<EventReport> {
        let mut events = Vec::new();
        let mut limit = BASELINE_LIMIT;
        for step in scenario.steps {
            let calm = self.wait_until_all_is_well(limit).await;
            let event = if calm {
                let note = format!("all is well; now {} ({})", step.name, step.component);
                self.screen.say(self.observer.now(), &note);
                self.step(step).await
            } else {
                let complaints = self.observer.complaints().join("; ");
                let missing = vec![format!("not healthy beforehand: {complaints}")];
                EventReport { name: step.name, missing, ..EventReport::default() }
            };
            limit = step.limit;
            events.push(event);
        }
        events
    }

    async fn step(&mut self, step: &Step) -> EventReport {
        let mut event = EventReport { name: step.name, ..EventReport::default() };
        let beginning = self.observer.begin(step.component);
        if let Err(error) = inject(self.observer.sim, step, &beginning) {
            event.missing.push(error.to_string());
            return event;
        }
        let mut open: Vec<Expectation> = step.expects.to_vec();
        let ends = self.ends.min(Instant::now() + step.limit);
        let mut next_draw = Instant::now();
        while !open.is_empty() && Instant::now() < ends {
            self.look(step, &beginning, &mut open, &mut event);
            if Instant::now() >= next_draw {
                self.screen.draw(self.observer.sim, self.observer.board);
                next_draw = Instant::now() + DRAW_INTERVAL;
            }
            sleep(LOOK_INTERVAL).await;
        }
        let missed = !open.is_empty();
        for expectation in open {
            event.miss(expectation.milestone(), expectation.words(step.component));
        }
        if missed {
            for words in self.observer.own_words(step.component) {
                self.screen.say(self.observer.now(), &format!("  falconer says: {words}"));
            }
        }
        self.judge(step, &beginning, &mut event);
        event
    }

    /// Notes what has been met and leaves the rest open. What is to end well cannot do so before
    /// it was bad: recovery is only looked for once everything before it was seen.
    fn look(
        &mut self,
        step: &Step,
        beginning: &Beginning,
        open: &mut Vec<Expectation>,
        event: &mut EventReport,
    ) {
        use super::scenario::Milestone::Recover;
        let waiting = open.iter().any(|expectation| expectation.milestone() != Recover);
        let mut still_open = Vec::new();
        for expectation in open.drain(..) {
            let may = expectation.milestone() != Recover || !waiting;
            let met = may.then(|| self.observer.met(expectation, step, beginning)).flatten();
            let Some(at) = met else {
                still_open.push(expectation);
                continue;
            };
            let after = at.since(beginning.at);
            event.reach(expectation.milestone(), after.as_millis() as u64);
            let words = expectation.words(step.component);
            self.screen.say(at, &format!("  +{:.2} s  {words}", after.as_secs_f64()));
        }
        *open = still_open;
    }

    fn judge(&mut self, step: &Step, beginning: &Beginning, event: &mut EventReport) {
        let now = self.observer.now();
        for verdict in step.verdicts {
            event.missing.extend(self.observer.judge(*verdict, step, beginning.at));
            if *verdict == Verdict::SiblingsOnTime {
                let roles = self.observer.sim.settings().components.iter();
                let longest = roles
                    .map(|component| component.role.as_str())
                    .filter(|role| *role != step.component)
                    .map(|role| self.observer.longest_gap(role, beginning.at))
                    .max()
                    .unwrap_or(0);
                let own = self.observer.longest_gap(step.component, beginning.at);
                let note = format!(
                    "  {} was not probed for {own} ms, its siblings never longer than {longest} ms",
                    step.component
                );
                self.screen.say(now, &note);
            }
        }
    }

    async fn wait_until_all_is_well(&mut self, limit: Duration) -> bool {
        let ends = self.ends.min(Instant::now() + limit);
        while !self.observer.all_is_well() {
            if Instant::now() >= ends {
                return false;
            }
            self.screen.draw(self.observer.sim, self.observer.board);
            sleep(LOOK_INTERVAL).await;
        }
        true
    }
}

fn inject(sim: &Simulation, step: &Step, beginning: &Beginning) -> Result<(), SimError> {
    let component = step.component.to_owned();
    let fault = match step.trouble {
        Trouble::OnePodHangs => {
            let pods = sim.pods(&component);
            let pod = pods.into_iter().find(|pod| beginning.pods.contains(&pod.uid));
            let pod = pod.ok_or(SimError::NoTarget(component))?;
            Fault::HangPod { pod: pod.name }
        }
        Trouble::AllPodsAnswer500 => Fault::Component500 { component },
        Trouble::Stalls(lasts) => Fault::StallComponent { component, lasts },
        Trouble::Load(cpu_milli) => Fault::SetLoad { component, cpu_milli },
        Trouble::NormalLoad => {
            sim.heal();
            return Ok(());
        }
    };
    tracing::info!(cluster = CLUSTER, step = step.name, "injecting fault");
    sim.inject(fault)
}

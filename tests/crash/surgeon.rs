//! Breaks things, waits until people were told, lets falconer work on it for a while, heals them, and
//! waits until people were told of that.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use falconer::sim::{Fault, Simulation};
use tokio::time::Instant;

use crate::PATIENCE;
use crate::verdict::{Message, mails, webhooks};

/// One thing that was broken and healed.
#[derive(Debug, Clone)]
pub struct Operation {
    /// What was broken.
    pub fault: String,
    /// Of which component.
    pub component: &'static str,
    /// How long it took until all receivers were told; `None` where they were not in time.
    pub told: Option<Duration>,
    /// How long it took from its healing until all receivers were told; likewise.
    pub ended: Option<Duration>,
}

impl std::fmt::Display for Operation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { fault, component, told, ended } = self;
        write!(f, "{component}: {fault}: told after {told:?}, ended after {ended:?}")
    }
}

pub struct Surgeon {
    sim: Arc<Simulation>,
    dice: fastrand::Rng,
    is_over: Arc<AtomicBool>,
}

impl Surgeon {
    pub fn new(sim: Arc<Simulation>, dice: fastrand::Rng, is_over: Arc<AtomicBool>) -> Self {
        Self { sim, dice, is_over }
    }

    /// Goes on until it is over; what is broken then is healed and seen to its end.
    pub async fn operate(mut self) -> Vec<Operation> {
        let mut operations = Vec::new();
        while !self.is_over.load(Ordering::SeqCst) {
            let one = self.one().await;
            println!("{one}");
            operations.push(one);
            let pause = self.dice.u64(..1_500);
            tokio::time::sleep(Duration::from_millis(pause)).await;
        }
        operations
    }

    async fn one(&mut self) -> Operation {
        let (component, fault) = self.choose();
        let name = format!("{fault:?}");
        let firing =
            |message: &Message| message.component == component && message.status == "firing";
        let before = Counts::of(&self.sim, firing);
        self.sim.inject(fault).expect("a fault");
        let told = self.until(|sim| Counts::of(sim, firing).exceed(&before)).await;
        let treatment = Duration::from_millis(self.dice.u64(..12_000));
        tokio::time::sleep(treatment).await;
        self.sim.heal();
        let ended =
            self.until(|sim| open(&webhooks(sim)).is_empty() && open(&mails(sim)).is_empty());
        let ended = ended.await;
        Operation { fault: name, component, told, ended }
    }

    /// Each component has a fault of its own: the ladder remembers for long what did not help.
    fn choose(&mut self) -> (&'static str, Fault) {
        let pick = |dice: &mut fastrand::Rng, of: [&'static str; 2]| of[dice.usize(..2)];
        match self.dice.u8(..10) {
            // A new revision helps.
            0..=3 => {
                let component = pick(&mut self.dice, ["proxy", "streamingnode"]);
                (component, Fault::Component500 { component: component.to_owned() })
            }
            // Another pod helps.
            4..=7 => {
                let component = pick(&mut self.dice, ["querynode", "datanode"]);
                let pods = self.sim.pods(component);
                let Some(pod) = pods.iter().find(|pod| pod.ready) else { return self.choose() };
                (component, Fault::HangPod { pod: pod.name.clone() })
            }
            // Nothing helps, or not for long.
            8 => {
                let (component, after) = ("indexnode".to_owned(), Duration::from_millis(1_500));
                let storm = Fault::RestartStorm { component: component.clone(), after };
                let crashes = Fault::CrashLoopForever { component };
                ("indexnode", if self.dice.bool() { storm } else { crashes })
            }
            _ => ("etcd", Fault::DependencyDown),
        }
    }

    /// How long it took until this was so; `None` where that took too long.
    async fn until(&self, is_so: impl Fn(&Simulation) -> bool) -> Option<Duration> {
        let begun = Instant::now();
        while begun.elapsed() < PATIENCE {
            if is_so(&self.sim) {
                return Some(begun.elapsed());
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        None
    }
}

/// How many messages each receiver got.
struct Counts([usize; 2]);

impl Counts {
    fn of(sim: &Simulation, wanted: impl Fn(&Message) -> bool) -> Self {
        let count = |messages: Vec<Message>| {
            let ours = messages.into_iter().filter(&wanted);
            ours.map(|message| message.incident).collect::<BTreeSet<_>>().len()
        };
        Self([count(webhooks(sim)), count(mails(sim))])
    }

    fn exceed(&self, before: &Self) -> bool {
        self.0.iter().zip(before.0).all(|(after, before)| *after > before)
    }
}

/// The incidents of which a receiver was told that they go on, and not that they are over.
pub fn open(messages: &[Message]) -> BTreeSet<String> {
    let mut open = BTreeSet::new();
    for message in messages {
        if message.status == "firing" {
            open.insert(message.incident.clone());
        } else {
            open.remove(&message.incident);
        }
    }
    open
}

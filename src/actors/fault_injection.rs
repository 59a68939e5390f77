//! Panics on purpose, for tests: each kind of actor can be made to panic in a handler, in a timer
//! and in a spawned future. Compiled only for unit tests and with the feature `fault-injection`;
//! not for production.

use std::cell::RefCell;
use std::time::Duration;

use actix::prelude::*;

use super::alerter::Alerter;
use super::beacon::Beacon;
use super::discovery::Discovery;
use super::prober::Prober;
use super::recorder::Recorder;
use super::recoverer::Recoverer;
use super::root::Root;
use super::scaler::Scaler;
use super::supervisor::Supervisor;

/// Makes its receiver panic.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Message)]
#[rtype(result = "()")]
pub enum Crash {
    /// In the handler of this message.
    Handler,
    /// In a timer, a moment later.
    Timer,
    /// In a spawned future, a moment later.
    Future,
}

impl Crash {
    fn strike<A: Actor<Context = Context<A>>>(self, actor: &A, ctx: &mut Context<A>) {
        match self {
            Self::Handler => panic!("injected in a handler"),
            Self::Timer => {
                ctx.run_later(Duration::ZERO, |_, _| panic!("injected in a timer"));
            }
            Self::Future => {
                let future = async { panic!("injected in a future") };
                ctx.spawn(future.into_actor(actor));
            }
        }
    }
}

macro_rules! can_crash {
    ($($actor:ty),*) => {$(
        impl Handler<Crash> for $actor {
            type Result = ();

            fn handle(&mut self, crash: Crash, ctx: &mut Self::Context) {
                crash.strike(self, ctx);
            }
        }
    )*};
}

can_crash!(Root, Supervisor, Prober, Discovery, Alerter, Beacon, Recorder, Recoverer, Scaler);

/// An actor that is to panic.
#[derive(Debug, Clone)]
struct Fault {
    /// e.g. `alerter`, `supervisor/milvus-ha`, `prober/proxy`.
    actor: String,
    place: Crash,
    /// From the start of an incarnation.
    after: Duration,
    /// So many incarnations are still to be struck.
    left: u32,
}

impl Fault {
    /// `ACTOR:PLACE:MILLISECONDS:TIMES`.
    fn parse(text: &str) -> Option<Self> {
        let parts: Vec<&str> = text.trim().split(':').collect();
        let [actor, place, after, times] = parts[..] else { return None };
        let place = match place {
            "handler" => Crash::Handler,
            "timer" => Crash::Timer,
            "future" => Crash::Future,
            _ => return None,
        };
        let after = Duration::from_millis(after.parse().ok()?);
        Some(Self { actor: actor.to_owned(), place, after, left: times.parse().ok()? })
    }
}

thread_local! {
    /// All actors live on one thread.
    static FAULTS: RefCell<Vec<Fault>> = RefCell::new(from_environment());
    #[cfg(test)]
    static STARTS: RefCell<Vec<(String, tokio::time::Instant)>> = RefCell::default();
}

/// In the real process: `FALCONER_FAULTS`, separated by commas.
fn from_environment() -> Vec<Fault> {
    if cfg!(not(feature = "fault-injection")) {
        return Vec::new();
    }
    let written = std::env::var("FALCONER_FAULTS").unwrap_or_default();
    written.split(',').filter_map(Fault::parse).collect()
}

/// Arms what is planned for `actor`, of which an incarnation at `address` starts.
pub fn arm<A: Actor<Context = Context<A>> + Handler<Crash>>(actor: &str, address: &Addr<A>) {
    #[cfg(test)]
    STARTS.with_borrow_mut(|starts| starts.push((actor.to_owned(), tokio::time::Instant::now())));
    FAULTS.with_borrow_mut(|faults| {
        for fault in faults.iter_mut().filter(|fault| fault.actor == actor && fault.left > 0) {
            fault.left -= 1;
            let (address, place, after) = (address.clone(), fault.place, fault.after);
            actix::spawn(async move {
                tokio::time::sleep(after).await;
                address.do_send(place);
            });
        }
    });
}

/// Plans faults for the actors of this thread, and forgets earlier starts.
#[cfg(test)]
pub fn plan(faults: &str) {
    FAULTS.set(faults.split(',').filter(|text| !text.is_empty()).map(parsed).collect());
    STARTS.take();
}

#[cfg(test)]
fn parsed(fault: &str) -> Fault {
    Fault::parse(fault).expect("a fault")
}

/// When the incarnations of `actor` were started since the faults were planned.
#[cfg(test)]
pub fn starts(actor: &str) -> Vec<tokio::time::Instant> {
    STARTS.with_borrow(|starts| {
        starts.iter().filter(|(name, _)| name == actor).map(|(_, at)| *at).collect()
    })
}

//! Panics on purpose, for tests: each kind of actor can be made to panic in a handler, in a timer
//! and in a spawned future. Compiled only for unit tests and with the feature `fault-injection`;
//! not for production.

use actix::prelude::*;

use super::alerter::Alerter;
use super::discovery::Discovery;
use super::prober::Prober;
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
    /// Every place.
    pub const ALL: [Self; 3] = [Self::Handler, Self::Timer, Self::Future];

    fn strike<A: Actor<Context = Context<A>>>(self, actor: &A, ctx: &mut Context<A>) {
        match self {
            Self::Handler => panic!("injected in a handler"),
            Self::Timer => {
                ctx.run_later(std::time::Duration::ZERO, |_, _| panic!("injected in a timer"));
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

can_crash!(Root, Supervisor, Prober, Discovery, Alerter, Recoverer, Scaler);

#[cfg(feature = "fault-injection")]
pub use armed::arm;

/// From the environment variable `FALCONER_FAULTS` of the real process.
#[cfg(feature = "fault-injection")]
mod armed {
    use std::collections::BTreeMap;
    use std::sync::{LazyLock, Mutex, PoisonError};
    use std::time::Duration;

    use super::{Actor, Addr, Context, Crash, Handler};

    /// How often each fault has struck, by its text.
    static STRUCK: LazyLock<Mutex<BTreeMap<String, u32>>> = LazyLock::new(Mutex::default);

    /// Arms the faults for the actor `name` that is about to start, e.g. `prober/proxy`.
    /// `FALCONER_FAULTS` is a list of `NAME:PLACE:MILLISECONDS:TIMES`, separated by commas: from the
    /// start of each incarnation of the actor it takes so long until it panics, so many times.
    pub fn arm<A: Actor<Context = Context<A>> + Handler<Crash>>(name: &str, address: &Addr<A>) {
        let faults = std::env::var("FALCONER_FAULTS").unwrap_or_default();
        for fault in faults.split(',') {
            let parts: Vec<&str> = fault.trim().split(':').collect();
            let [target, place, after, times] = parts[..] else { continue };
            let (Ok(after), Ok(times)) = (after.parse(), times.parse::<u32>()) else { continue };
            let place = match place {
                "handler" => Crash::Handler,
                "timer" => Crash::Timer,
                "future" => Crash::Future,
                _ => continue,
            };
            let mut struck = STRUCK.lock().unwrap_or_else(PoisonError::into_inner);
            let struck = struck.entry(fault.to_owned()).or_default();
            if target == name && *struck < times {
                *struck += 1;
                let address = address.clone();
                actix::spawn(async move {
                    tokio::time::sleep(Duration::from_millis(after)).await;
                    address.do_send(place);
                });
            }
        }
    }
}

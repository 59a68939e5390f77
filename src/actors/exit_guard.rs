//! Starts an actor so that its end is always noticed: a return, a panic anywhere in it, or an
//! abort by its parent. actix alone loses panics silently.
//!
//! The guard owns the actor's whole context. After a panic it terminates the context before
//! dropping it, so that `stopping` and `stopped` never run on broken state.

use std::any::Any;
use std::fmt;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context as TaskContext, Poll};

use actix::dev::ContextFut;
use actix::dev::channel::channel;
use actix::prelude::*;
use tokio::task::AbortHandle;

/// Why an actor ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ExitReason {
    /// It stopped by itself.
    Stopped,
    /// It panicked, with this message.
    Panicked(String),
    /// It gave up because of one of its own children, in these words.
    Escalated(String),
    /// Its parent ended it, or its thread went away.
    Aborted,
}

impl fmt::Display for ExitReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stopped => f.write_str("stopped unexpectedly"),
            Self::Panicked(message) => write!(f, "panicked: {message}"),
            Self::Escalated(words) => f.write_str(words),
            Self::Aborted => f.write_str("aborted"),
        }
    }
}

/// Why an actor is about to stop itself, for its parent to hear. Shared by its incarnations.
#[derive(Debug, Clone, Default)]
pub struct LastWords {
    words: Arc<Mutex<Option<String>>>,
}

impl LastWords {
    /// To be said before the actor stops itself.
    pub fn say(&self, words: String) {
        *self.words.lock().unwrap_or_else(PoisonError::into_inner) = Some(words);
    }

    /// Puts the words, if any were said, in the place of [`ExitReason::Stopped`].
    pub fn heard_by(&self, notice: ExitNotice) -> ExitNotice {
        let words = Arc::clone(&self.words);
        Box::new(move |reason| {
            let said = words.lock().unwrap_or_else(PoisonError::into_inner).take();
            notice(match (reason, said) {
                (ExitReason::Stopped, Some(words)) => ExitReason::Escalated(words),
                (reason, _) => reason,
            });
        })
    }
}

/// Told exactly once, after the actor's mailbox has closed.
pub type ExitNotice = Box<dyn FnOnce(ExitReason)>;

/// A running actor, as its parent holds it.
pub struct Running<A: Actor> {
    /// Where it is reached.
    pub address: Addr<A>,
    /// Ends it at once, without running its `stopping`.
    pub abort: AbortHandle,
}

/// Starts the actor that `make` builds on the current thread's arbiter, with a mailbox for
/// `capacity` messages. A panic inside `make` is reported as the actor's own.
pub fn start<A>(
    capacity: usize,
    make: impl FnOnce(&mut Context<A>) -> A + 'static,
    notice: ExitNotice,
) -> Running<A>
where
    A: Actor<Context = Context<A>>,
{
    let (sender, receiver) = channel(capacity.max(1));
    let address = Addr::new(sender);
    let guard = Guard { stage: Stage::New(receiver, Box::new(make)), notice: Some(notice) };
    let abort = tokio::task::spawn_local(guard).abort_handle();
    Running { address, abort }
}

type Make<A> = Box<dyn FnOnce(&mut Context<A>) -> A>;

#[allow(clippy::large_enum_variant, reason = "one more allocation per actor would not help it")]
enum Stage<A: Actor<Context = Context<A>>> {
    New(actix::dev::channel::AddressReceiver<A>, Make<A>),
    Alive(ContextFut<A, Context<A>>),
    Over,
}

struct Guard<A: Actor<Context = Context<A>>> {
    stage: Stage<A>,
    notice: Option<ExitNotice>,
}

// Nothing in the guard is ever pinned structurally: the context future is Unpin by actix's design.
impl<A: Actor<Context = Context<A>>> Unpin for Guard<A> {}

impl<A: Actor<Context = Context<A>>> Guard<A> {
    fn finish(&mut self, reason: ExitReason) {
        self.close();
        if let Some(notice) = self.notice.take() {
            notice(reason);
        }
    }

    /// Drops the actor without letting actix poll it once more.
    fn close(&mut self) {
        if let Stage::Alive(context) = &mut self.stage {
            context.ctx().terminate();
        }
        // A panic in an actor's own Drop must not take the process down.
        let stage = std::mem::replace(&mut self.stage, Stage::Over);
        let _ = catch_unwind(AssertUnwindSafe(|| drop(stage)));
    }

    /// Makes the actor at the first poll; later ones find it alive.
    fn begin(&mut self) {
        if !matches!(self.stage, Stage::New(..)) {
            return;
        }
        if let Stage::New(receiver, make) = std::mem::replace(&mut self.stage, Stage::Over) {
            let mut context = Context::with_receiver(receiver);
            let actor = make(&mut context);
            self.stage = Stage::Alive(context.into_future(actor));
        }
    }
}

impl<A: Actor<Context = Context<A>>> Future for Guard<A> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, task: &mut TaskContext<'_>) -> Poll<()> {
        let this = self.get_mut();
        let step = catch_unwind(AssertUnwindSafe(|| {
            this.begin();
            match &mut this.stage {
                Stage::Alive(context) => Pin::new(context).poll(task),
                Stage::New(..) | Stage::Over => Poll::Ready(()),
            }
        }));
        match step {
            Ok(Poll::Pending) => return Poll::Pending,
            Ok(Poll::Ready(())) => this.finish(ExitReason::Stopped),
            Err(payload) => this.finish(ExitReason::Panicked(panic_message(payload.as_ref()))),
        }
        Poll::Ready(())
    }
}

impl<A: Actor<Context = Context<A>>> Drop for Guard<A> {
    fn drop(&mut self) {
        self.finish(ExitReason::Aborted);
    }
}

/// The words of a caught panic.
pub fn panic_message(payload: &(dyn Any + Send)) -> String {
    payload
        .downcast_ref::<&str>()
        .map(ToString::to_string)
        .or_else(|| payload.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "panic without a message".to_owned())
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::rc::Rc;
    use std::time::Duration;

    use super::*;
    use crate::actors::testing::in_virtual_time;

    #[derive(Clone, Copy)]
    enum Where {
        Handler,
        Started,
        Timer,
        Future,
    }

    #[derive(Message)]
    #[rtype(result = "()")]
    struct Poke;

    struct Fragile {
        breaks_in: Option<Where>,
        neighbour_pokes: Rc<RefCell<u32>>,
    }

    impl Actor for Fragile {
        type Context = Context<Self>;

        fn started(&mut self, ctx: &mut Self::Context) {
            match self.breaks_in {
                Some(Where::Started) => panic!("broke in started"),
                Some(Where::Timer) => {
                    ctx.run_later(Duration::from_secs(1), |_, _| panic!("broke in timer"));
                }
                Some(Where::Future) => {
                    let future = async { panic!("broke in future") };
                    ctx.spawn(future.into_actor(self));
                }
                Some(Where::Handler) | None => {}
            }
        }
    }

    impl Handler<Poke> for Fragile {
        type Result = ();

        fn handle(&mut self, _: Poke, _: &mut Self::Context) {
            assert!(!matches!(self.breaks_in, Some(Where::Handler)), "broke in handler");
            *self.neighbour_pokes.borrow_mut() += 1;
        }
    }

    fn exit_of(breaks_in: Option<Where>, then: impl FnOnce(&Running<Fragile>)) -> Vec<ExitReason> {
        let exits = Rc::new(RefCell::new(Vec::new()));
        let seen = Rc::clone(&exits);
        let pokes = Rc::new(RefCell::new(0));
        in_virtual_time(async move {
            let fragile = Fragile { breaks_in, neighbour_pokes: Rc::clone(&pokes) };
            let notice: ExitNotice = Box::new(move |reason| seen.borrow_mut().push(reason));
            let running = start(4, move |_| fragile, notice);
            let counted = Rc::clone(&pokes);
            let neighbour = Fragile { breaks_in: None, neighbour_pokes: counted }.start();
            running.address.do_send(Poke);
            then(&running);
            tokio::time::sleep(Duration::from_secs(5)).await;
            neighbour.send(Poke).await.expect("the neighbour lives on");
            assert!(*pokes.borrow() >= 1);
        });
        Rc::try_unwrap(exits).expect("nobody holds it").into_inner()
    }

    #[test]
    fn a_panic_anywhere_is_told_once_with_its_message_and_spares_the_neighbour() {
        for (place, message) in [
            (Where::Handler, "broke in handler"),
            (Where::Started, "broke in started"),
            (Where::Timer, "broke in timer"),
            (Where::Future, "broke in future"),
        ] {
            let exits = exit_of(Some(place), |_| {});
            assert_eq!(exits, [ExitReason::Panicked(message.to_owned())]);
        }
    }

    #[test]
    fn an_abort_is_told_as_such() {
        assert_eq!(exit_of(None, |running| running.abort.abort()), [ExitReason::Aborted]);
    }
}

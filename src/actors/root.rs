//! The guardian: parent of every actor that has no other. When one of its children is beyond help,
//! the process ends with a code of its own, so that whoever runs it starts it anew.

use actix::prelude::*;
use tokio::sync::mpsc;
use tokio::task::AbortHandle;

use super::children::{
    BeyondHelp, ChildExited, Children, ChildrenParts, ExitDecision, RespawnDue, respawn_later,
};
use super::exit_guard::{ExitNotice, ExitReason};
use super::status::StatusBoard;
use crate::clock::Clock;
use crate::metrics::Metrics;
use crate::policy::backoff::RespawnSettings;

/// One child of the root.
pub struct RootChild {
    /// Its name in logs, unique, e.g. `supervisor/milvus-ha`.
    pub key: String,
    /// What kind of actor it is; a metric label.
    pub kind: &'static str,
    /// How it is made anew.
    pub respawn: RespawnSettings,
    /// Makes an incarnation and publishes its address.
    pub factory: RootFactory,
}

/// A [`Factory`](super::children::Factory) that can be sent to the root.
pub type RootFactory = Box<dyn FnMut(ExitNotice) -> AbortHandle + Send>;

/// One more child.
#[derive(Message)]
#[rtype(result = "()")]
pub struct AddChild(pub RootChild);

/// The child under this key is not wanted any more: ends it for good.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct RemoveChild(pub String);

/// From now on the child is made anew like this; the living incarnation is not touched.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct SetRespawn {
    /// Which child.
    pub key: String,
    /// How.
    pub respawn: RespawnSettings,
}

/// Why the whole process must end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fatal {
    /// The child that is beyond help.
    pub actor: String,
    /// Its last end, in words.
    pub reason: String,
}

/// What a root needs beside its children.
#[derive(Clone)]
pub struct RootParts {
    /// Where it is said that an actor is beyond help.
    pub fatal: mpsc::UnboundedSender<Fatal>,
    /// Where it is shown which actors have ended.
    pub board: StatusBoard,
    /// Time.
    pub clock: Clock,
    /// Instruments.
    pub metrics: Metrics,
}

/// The actor.
pub struct Root {
    pending: Vec<RootChild>,
    children: Children,
    fatal: mpsc::UnboundedSender<Fatal>,
}

impl Root {
    /// A root that starts `children` and says on `fatal` when one cannot be kept alive.
    pub fn new(children: Vec<RootChild>, address: Addr<Self>, parts: RootParts) -> Self {
        #[cfg(any(test, feature = "fault-injection"))]
        super::fault_injection::arm("root", &address);
        let RootParts { fatal, board, clock, metrics } = parts;
        let parts = ChildrenParts {
            parent: address.recipient(),
            path: String::new(),
            board,
            clock,
            metrics,
        };
        Self { pending: children, children: Children::new(parts), fatal }
    }

    fn on_child_exited(&mut self, exit: &ChildExited, ctx: &mut Context<Self>) {
        match self.children.on_exit(exit, fastrand::f64()) {
            ExitDecision::Ignore => {}
            ExitDecision::RespawnAfter(delay, due) => {
                respawn_later(ctx.address().recipient(), delay, due);
            }
            // The others go on, so that people can still be told before the process ends.
            ExitDecision::Escalate(BeyondHelp { actor, reason }) => {
                // Nobody listens any more: the process is ending already.
                let _ = self.fatal.send(Fatal { actor, reason });
            }
        }
    }

    fn add(&mut self, child: RootChild) {
        self.children.add(child.key.into(), child.kind, child.respawn, child.factory);
    }
}

/// For the exit guard of the root itself, which has no parent: its end is the end of the process.
pub fn root_ended(fatal: mpsc::UnboundedSender<Fatal>) -> ExitNotice {
    Box::new(move |reason| {
        if reason != ExitReason::Aborted {
            // Nobody listens any more: the process is ending already.
            let _ = fatal.send(Fatal { actor: "root".to_owned(), reason: reason.to_string() });
        }
    })
}

impl Actor for Root {
    type Context = Context<Self>;

    fn started(&mut self, _: &mut Self::Context) {
        for child in std::mem::take(&mut self.pending) {
            self.add(child);
        }
    }
}

impl Handler<AddChild> for Root {
    type Result = ();

    fn handle(&mut self, message: AddChild, _: &mut Self::Context) {
        self.add(message.0);
    }
}

impl Handler<RemoveChild> for Root {
    type Result = ();

    fn handle(&mut self, message: RemoveChild, _: &mut Self::Context) {
        self.children.remove(&message.0);
    }
}

impl Handler<SetRespawn> for Root {
    type Result = ();

    fn handle(&mut self, message: SetRespawn, _: &mut Self::Context) {
        self.children.set_respawn(&message.key, message.respawn);
    }
}

impl Handler<ChildExited> for Root {
    type Result = ();

    fn handle(&mut self, message: ChildExited, ctx: &mut Self::Context) {
        self.on_child_exited(&message, ctx);
    }
}

impl Handler<RespawnDue> for Root {
    type Result = ();

    fn handle(&mut self, message: RespawnDue, _: &mut Self::Context) {
        self.children.respawn(&message);
    }
}

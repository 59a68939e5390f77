//! The guardian: parent of every actor that has no other. When one of its children is beyond help,
//! the process ends with a code of its own, so that whoever runs it starts it anew.

use actix::prelude::*;
use tokio::sync::mpsc;
use tokio::task::AbortHandle;

use super::children::{ChildExited, Children, ExitDecision, RespawnDue, respawn_later};
use super::exit_guard::ExitNotice;
use crate::clock::Clock;
use crate::metrics::Metrics;
use crate::policy::backoff::BackoffSettings;

/// One child of the root.
pub struct RootChild {
    /// Its name in logs, unique, e.g. `supervisor/milvus-ha`.
    pub key: String,
    /// What kind of actor it is; a metric label.
    pub kind: &'static str,
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

/// Why the whole process must end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fatal {
    /// The child that is beyond help.
    pub actor: String,
    /// Its last end, in words.
    pub reason: String,
}

/// The actor.
pub struct Root {
    pending: Vec<RootChild>,
    children: Children,
    backoff: BackoffSettings,
    fatal: mpsc::UnboundedSender<Fatal>,
    clock: Clock,
    metrics: Metrics,
}

impl Root {
    /// A root that starts `children` and says on `fatal` when one cannot be kept alive.
    pub fn new(
        children: Vec<RootChild>,
        address: Addr<Self>,
        fatal: mpsc::UnboundedSender<Fatal>,
        clock: Clock,
        metrics: Metrics,
    ) -> Self {
        Self {
            pending: children,
            children: Children::new(address.recipient()),
            backoff: BackoffSettings::default(),
            fatal,
            clock,
            metrics,
        }
    }

    fn on_child_exited(&mut self, exit: ChildExited, ctx: &mut Context<Self>) {
        let (now, random) = (self.clock.now(), fastrand::f64());
        match self.children.on_exit(&exit, now, random, &self.metrics) {
            ExitDecision::Ignore => {}
            ExitDecision::RespawnAfter(delay) => {
                respawn_later(ctx.address().recipient(), exit.key, delay);
            }
            ExitDecision::Escalate => {
                let reason = format!("{:?}", exit.reason);
                // Nobody listens any more: the process is ending already.
                let _ = self.fatal.send(Fatal { actor: exit.key, reason });
            }
        }
    }
}

impl Root {
    fn add(&mut self, child: RootChild) {
        let now = self.clock.now();
        self.children.add(child.key, child.kind, self.backoff, child.factory, now);
    }
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

impl Handler<ChildExited> for Root {
    type Result = ();

    fn handle(&mut self, message: ChildExited, ctx: &mut Self::Context) {
        self.on_child_exited(message, ctx);
    }
}

impl Handler<RespawnDue> for Root {
    type Result = ();

    fn handle(&mut self, message: RespawnDue, _: &mut Self::Context) {
        self.children.respawn(&message.key, self.clock.now());
    }
}

//! What is known of a sick component at this moment, for whoever is about to do something about it:
//! what was reported some seconds ago may not hold any more.

use std::sync::Arc;

use actix::prelude::*;

use super::Supervisor;
use crate::actors::recoverer::Recover;

/// Asks what a report on the component would say now. Answers `None` where there would be none: it is
/// well, it answers again, or it is not watched any more.
#[derive(Debug, Clone, PartialEq, Eq, Message)]
#[rtype(result = "Option<Recover>")]
pub struct GetSickness(pub Arc<str>);

impl Supervisor {
    fn sickness(&mut self, component: &Arc<str>) -> Option<Recover> {
        // What did not fit into the mailbox is newer than what did.
        self.take_overflow();
        let now = self.parts.clock.now();
        let mut memory = self.memory();
        if memory.is_stopped() {
            return None;
        }
        let ask = memory.get(component)?.ask(&self.id(component))?;
        Some(self.recover(ask, &mut memory, now))
    }
}

impl Handler<GetSickness> for Supervisor {
    type Result = MessageResult<GetSickness>;

    fn handle(&mut self, message: GetSickness, _: &mut Self::Context) -> Self::Result {
        MessageResult(self.sickness(&message.0))
    }
}

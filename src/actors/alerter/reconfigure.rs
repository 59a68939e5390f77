//! Other settings and other receivers for a living alerter. The book stays: what was told is not
//! told again. A delivery in flight goes on to its end as it began.

use std::collections::BTreeMap;
use std::sync::Arc;

use actix::prelude::*;

use super::{Alerter, AlerterSettings};
use crate::effects::Notifier;
use crate::metrics::CircuitParty;
use crate::policy::notification::{LossReason, Rerouted};

/// From now on these settings and receivers hold. A receiver that is the same object as before
/// keeps its back-off.
#[derive(Clone, Message)]
#[rtype(result = "()")]
pub struct Reconfigure {
    /// The settings.
    pub settings: AlerterSettings,
    /// All receivers.
    pub receivers: Vec<Arc<dyn Notifier>>,
}

impl Reconfigure {
    /// The settings with the receivers' names filled in, and the receivers by name.
    pub(super) fn into_parts(self) -> (AlerterSettings, BTreeMap<Arc<str>, Arc<dyn Notifier>>) {
        let receivers: BTreeMap<Arc<str>, Arc<dyn Notifier>> =
            self.receivers.into_iter().map(|one| (Arc::from(one.name()), one)).collect();
        let names = receivers.keys().cloned().collect();
        (AlerterSettings { receivers: names, ..self.settings }, receivers)
    }
}

impl Alerter {
    fn reconfigure(&mut self, with: Reconfigure, ctx: &mut Context<Self>) {
        let (settings, receivers) = with.into_parts();
        let is_other = |name: &Arc<str>| match (self.receivers.get(name), receivers.get(name)) {
            (Some(before), Some(after)) => !Arc::ptr_eq(before, after),
            (Some(_) | None, _) => false,
        };
        let changed: Vec<Arc<str>> =
            receivers.keys().filter(|name| is_other(name)).cloned().collect();
        self.settings = settings;
        self.receivers = receivers;
        self.follow_settings(&changed);
        self.advance(ctx);
    }

    /// Makes the open alerts follow the settings; `changed` are receivers that work otherwise now.
    pub(super) fn follow_settings(&mut self, changed: &[Arc<str>]) {
        let now = self.clock.now();
        let Rerouted { dropped, circuits_closed } =
            self.book().reroute(&self.settings, changed, now);
        for _ in 0..circuits_closed {
            self.metrics.circuit_closed(CircuitParty::Receiver);
        }
        for dropped in dropped {
            let (incident, receiver) = (dropped.incident, dropped.receiver);
            tracing::warn!(%incident, %receiver, "message dropped, its receiver is not configured any more");
            self.lose(&receiver, &incident, LossReason::Removed);
        }
    }
}

impl Handler<Reconfigure> for Alerter {
    type Result = ();

    fn handle(&mut self, message: Reconfigure, ctx: &mut Self::Context) {
        self.reconfigure(message, ctx);
    }
}

//! The circuit breaker of a cluster: beyond its budget nothing more is done until a person has
//! looked. Tells of it once and clearly, and hears the person; which budget opens it is policy.

use std::sync::Arc;

use actix::prelude::*;

use super::{News, Recoverer, RecoveryPhase};
use crate::model::journal::BreakerChange;
use crate::model::{JournalEntry, JournalRecord};
use crate::policy::recovery::{RecoveryRequest, RefusalReason};

/// What was told of a component whose cluster's breaker is open; the guard's own name.
const BREAKER_OPEN: &str = "breaker_open";
/// How the reason of a refusal begins, which is said of the breaker only once.
const NOTHING_IS_DONE: &str = "nothing is done: ";

/// A person has looked at a cluster: recovery goes on. Answers with the clusters whose breaker was
/// open.
#[derive(Debug, Clone, PartialEq, Eq, Message)]
#[rtype(result = "Vec<Arc<str>>")]
pub struct Resume {
    /// Which; `None` for every one.
    pub cluster: Option<Arc<str>>,
    /// Who said so, in people's words.
    pub by: String,
}

impl Recoverer {
    /// Opens the breaker of the request's cluster.
    pub(super) fn trip(&mut self, request: &RecoveryRequest, reason: &RefusalReason) {
        let (now, cluster) = (self.around.clock.now(), Arc::clone(&request.component.cluster));
        let why = reason.to_string();
        let why = why.strip_prefix(NOTHING_IS_DONE).unwrap_or(&why).to_owned();
        self.ledger().trip(&cluster, why.clone(), now);
        self.around.metrics.breaker(&cluster, true);
        tracing::warn!(%cluster, why, "recovery of a cluster is stopped");
        let words = format!(
            "recovery of {cluster} is stopped: {why}. Nothing more is done there until a person has \
             looked and says `falconer resume {cluster}`"
        );
        self.note_breaker(&cluster, BreakerChange::Tripped, words);
        self.refuse(request, &RefusalReason::BreakerOpen { cluster, since: now, why });
    }

    fn on_resume(&mut self, message: &Resume) -> Vec<Arc<str>> {
        let open: Vec<Arc<str>> = {
            let mut ledger = self.ledger();
            let asked_for =
                |cluster: &Arc<str>| message.cluster.as_ref().is_none_or(|named| named == cluster);
            let breakers = ledger.breakers().map(|(cluster, _)| Arc::clone(cluster));
            let open: Vec<_> = breakers.filter(asked_for).collect();
            open.into_iter().filter(|cluster| ledger.reset_breaker(cluster)).collect()
        };
        for cluster in &open {
            self.around.metrics.breaker(cluster, false);
            tracing::warn!(%cluster, by = message.by, "recovery of a cluster goes on");
            let words = format!("recovery of {cluster} goes on: resumed by {}", message.by);
            self.note_breaker(cluster, BreakerChange::Reset, words.clone());
            self.tell_resumed(cluster, &words);
        }
        self.publish();
        open
    }

    /// Where people were told that it is stopped they are told that it goes on.
    fn tell_resumed(&mut self, cluster: &Arc<str>, words: &str) {
        let concerned: Vec<_> = self
            .told
            .iter()
            .filter(|(id, told)| id.cluster == *cluster && told.kind == BREAKER_OPEN)
            .map(|(id, told)| (id.clone(), told.incident.clone()))
            .collect();
        for (component, incident) in concerned {
            self.tell(News {
                incident,
                component,
                phase: RecoveryPhase::Refused,
                kind: "resumed",
                summary: words.to_owned(),
                outcome: None,
                step: None,
            });
        }
    }

    fn note_breaker(&self, cluster: &Arc<str>, change: BreakerChange, words: String) {
        let record = JournalRecord::Breaker { change, words: words.into() };
        let entry = JournalEntry::of_cluster(self.around.clock.now(), cluster, record);
        self.around.journal.record(entry);
    }

    /// Shows for each cluster whether its breaker is open; `gone` are watched no more.
    pub(super) fn show_breakers(&self, gone: &[Arc<str>]) {
        let ledger = self.ledger();
        for cluster in self.around.clusters.keys() {
            self.around.metrics.breaker(cluster, ledger.breaker(cluster).is_some());
        }
        for cluster in gone {
            self.around.metrics.breaker(cluster, false);
        }
    }
}

impl Handler<Resume> for Recoverer {
    type Result = MessageResult<Resume>;

    fn handle(&mut self, message: Resume, _: &mut Self::Context) -> Self::Result {
        MessageResult(self.on_resume(&message))
    }
}

//! What a cluster's supervisor knows of a component at the moment in which something is about to be
//! done to it. Gathering evidence and writing things down takes seconds; what is decided by what was
//! known before them may be wrong by then.

use std::sync::Arc;
use std::time::Duration;

use super::{Recover, Recoverer, RecoveryProgressed};
use crate::actors::link::Link;
use crate::actors::post::Post;
use crate::actors::supervisor::GetSickness;
use crate::model::ComponentId;

/// How long the answer may take. It takes no time at all while the actors' thread makes progress.
pub(super) const ANSWER_WITHIN: Duration = Duration::from_secs(2);

/// The ways to a cluster's supervisor. Cheap to clone.
#[derive(Clone, Default)]
pub struct SupervisorWays {
    /// What came of a recovery.
    pub progress: Post<RecoveryProgressed>,
    /// What is known of a component now.
    pub sickness: Link<GetSickness>,
}

/// What a supervisor says.
#[derive(Debug)]
pub(super) enum Sickness {
    /// It is sick; what is known now.
    Sick(Box<Recover>),
    /// It is well, or nothing is to be done about it any more.
    Over,
    /// There was no answer.
    Unknown,
}

/// A question to a supervisor. Cheap to clone.
#[derive(Clone)]
pub(super) struct Inquiry {
    component: Arc<str>,
    link: Option<Link<GetSickness>>,
}

impl Inquiry {
    /// The answer, within [`ANSWER_WITHIN`].
    pub(super) async fn answer(&self) -> Sickness {
        let Some(link) = &self.link else { return Sickness::Unknown };
        let asked = link.ask(GetSickness(Arc::clone(&self.component)));
        match tokio::time::timeout(ANSWER_WITHIN, asked).await {
            Ok(Some(Some(report))) => Sickness::Sick(Box::new(report)),
            Ok(Some(None)) => Sickness::Over,
            Ok(None) | Err(_) => Sickness::Unknown,
        }
    }
}

impl Recoverer {
    /// The question what is known of `component` now.
    pub(super) fn inquiry(&self, component: &ComponentId) -> Inquiry {
        let ways = self.supervisors.get(&component.cluster);
        let link = ways.map(|ways| ways.sickness.clone());
        Inquiry { component: Arc::clone(&component.component), link }
    }
}

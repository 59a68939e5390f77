//! What an alerter is made of, whatever its settings are.

use std::sync::{Arc, Mutex};

use super::AlerterInbox;
use crate::actors::keeper::StateKeeper;
use crate::actors::status::StatusBoard;
use crate::clock::Clock;
use crate::effects::Journal;
use crate::metrics::Metrics;
use crate::policy::notification::AlertBook;
use crate::policy::silence::SilenceBook;

/// What an alerter is made of.
#[derive(Clone)]
pub struct AlerterParts {
    /// Where commands wait: what the former incarnation left; a new one for the first.
    pub inbox: AlerterInbox,
    /// What was told to whom: what the former incarnation left; a new one for the first.
    pub book: Arc<Mutex<AlertBook>>,
    /// The silences that people made; the same ones for all incarnations, and for the actors that act.
    pub silences: Arc<Mutex<SilenceBook>>,
    /// Observable state.
    pub board: StatusBoard,
    /// Where alerts and deliveries are written down.
    pub journal: Arc<dyn Journal>,
    /// Where the book is kept.
    pub keeper: StateKeeper,
    /// Time.
    pub clock: Clock,
    /// Instruments.
    pub metrics: Metrics,
}

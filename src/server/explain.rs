//! `GET /api/v1/explain`: which components there are, and why something was or was not done about one
//! of them. Puts together what the actors show and what the journal says; decides nothing.

use std::sync::Arc;

use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Json, Response};
use serde::de::DeserializeOwned;
use serde::de::value::{Error as Unknown, StrDeserializer};
use serde::{Deserialize, Serialize};

use super::{ServerSources, notices, refuse};
use crate::actors::status::ActorsStatus;
use crate::model::explanation::{
    DecisionShown, Explanation, Extent, GuardShown, IncidentShown, StateShown, explain, queries,
};
use crate::model::journal::DecisionVerdict;
use crate::model::{ComponentId, HealthState, JournalEntry, JournalQuery, Timestamp};

/// So many decisions are given where nobody says how many.
const USUAL: usize = 10;
/// More components are not listed.
const MOST_LISTED: usize = 20_000;

type Sources = State<Arc<ServerSources>>;

/// One component of the list.
#[derive(Debug, Serialize)]
struct Listed {
    cluster: Arc<str>,
    component: Arc<str>,
    state: HealthState,
}

#[derive(Debug, Serialize)]
struct List {
    components: Vec<Listed>,
}

/// Every component that is watched.
pub(super) async fn list(State(sources): Sources) -> impl IntoResponse {
    let clusters = sources.status.shown_clusters().into_iter();
    let components = clusters.flat_map(|(cluster, board)| {
        board.cells().into_iter().map(move |(component, cell)| {
            let state = cell.health().state;
            Listed { cluster: Arc::clone(&cluster), component, state }
        })
    });
    Json(List { components: components.take(MOST_LISTED).collect() })
}

/// How much is wanted.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Asked {
    #[serde(default)]
    last: Option<usize>,
    #[serde(default)]
    evidence: bool,
}

/// Why something was or was not done about one component.
pub(super) async fn component(
    State(sources): Sources,
    Path((cluster, component)): Path<(String, String)>,
    Query(asked): Query<Asked>,
) -> Response {
    let id = ComponentId::new(cluster, component);
    let extent = Extent { last: asked.last.unwrap_or(USUAL), evidence: asked.evidence }.bounded();
    let (entries, trouble) = match sources.recent(&queries(&id, extent)).await {
        Ok(entries) => (entries, None),
        Err(why) => (Vec::new(), Some(format!("The journal cannot be read: {why}"))),
    };
    let Some(mut explanation) = sources.explain(&id, &entries, extent) else {
        let words = format!("no component {id} is watched, nor does the journal know it");
        return refuse(StatusCode::NOT_FOUND, words);
    };
    explanation.notices.extend(trouble);
    Json(explanation).into_response()
}

impl ServerSources {
    /// What the journal has; nothing where there is none.
    pub(super) async fn recent(
        &self,
        queries: &[JournalQuery],
    ) -> Result<Vec<JournalEntry>, String> {
        match &self.history {
            Some(history) => history.recent(queries).await,
            None => Ok(Vec::new()),
        }
    }

    /// `None` where nothing at all is known of the component.
    fn explain(
        &self,
        id: &ComponentId,
        entries: &[JournalEntry],
        extent: Extent,
    ) -> Option<Explanation> {
        let now: Timestamp = self.clock.now();
        let of_journal = explain(id, entries, extent, now);
        let watched = self.status.shown(&id.cluster).and_then(|board| board.cell(&id.component));
        let is_known = watched.is_some()
            || of_journal.state.is_some()
            || !of_journal.decisions.is_empty()
            || !of_journal.actions.is_empty();
        let actors = self.status.actors();
        let health = watched.map(|cell| cell.health());
        let state = health.map(|health| StateShown {
            state: health.state,
            since: health.since,
            reason: health.reason.map(|reason| reason.text),
        });
        let mut open = actors.alerter.alerts.iter();
        let open = open.find(|open| open.alert.component == *id && open.resolution.is_none());
        let incident = open.map(|open| IncidentShown {
            incident: open.alert.incident.as_str().to_owned(),
            title: open.alert.title.clone(),
            since: open.alert.started_at,
        });
        let newest = newest(&actors, id, incident.as_ref());
        is_known.then(|| Explanation {
            // What falconer knows now is newer than what it wrote down.
            state: state.or(of_journal.state),
            incident,
            notices: notices::about(id, &actors),
            newest,
            ..of_journal
        })
    }
}

/// What every guard said of the newest report; nothing of an incident that is over.
fn newest(
    actors: &ActorsStatus,
    id: &ComponentId,
    open: Option<&IncidentShown>,
) -> Option<DecisionShown> {
    let record = actors.recoverer.assessments.get(&id.to_string())?;
    if open.is_none_or(|open| open.incident != record.incident.as_str()) {
        return None;
    }
    let guards = record.verdicts.iter().filter_map(|one| {
        let verdict = word(one.verdict)?;
        Some(GuardShown { guard: one.guard.to_owned(), verdict, words: one.words.clone() })
    });
    let verdict: DecisionVerdict = word(record.decision)?;
    Some(DecisionShown {
        at: record.at,
        incident: Some(record.incident.as_str().to_owned()),
        verdict,
        step: (verdict == DecisionVerdict::Act).then(|| record.kind.to_owned()),
        summary: record.summary.clone(),
        guards: guards.collect(),
    })
}

/// One of a closed set by its name.
fn word<T: DeserializeOwned>(name: &str) -> Option<T> {
    T::deserialize(StrDeserializer::<Unknown>::new(name)).ok()
}

//! `GET /api/v1/alerts` and `POST /api/v1/alerts/{incident}/acknowledge`: what people are told of, and
//! that somebody looks after it, for whoever has the admin token.

use std::cmp::Reverse;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Json, Response};
use serde::Deserialize;

use super::administration::authorised;
use super::{ServerSources, body, refuse};
use crate::actors::status::StatusBoard;
use crate::model::{
    AlertState, AlertsShown, ChangeRefusal, IncidentId, Leadership, PendingShown, RefusalKind,
};

/// Who wants something and does not say who.
pub(super) const SOMEBODY: &str = "the API";

type Sources = State<Arc<ServerSources>>;

/// Every open alert, the worst first.
pub(super) async fn list(State(sources): Sources) -> impl IntoResponse {
    let actors = sources.status.actors();
    let mut alerts = actors.alerter.shown();
    alerts.sort_by_key(|alert| (Reverse(alert.severity), alert.started_at));
    let note = follows(&actors.leadership.leadership).map(|leader| {
        format!("people are told by {leader}, who knows what they were told: ask there")
    });
    Json(AlertsShown { alerts, pending: pending(&sources.status), note })
}

/// What fails and has no alert yet, the longest first.
fn pending(board: &StatusBoard) -> Vec<PendingShown> {
    let mut found = Vec::new();
    for (cluster, shown) in board.shown_clusters() {
        for (component, cell) in shown.cells() {
            let (alert, health) = cell.judged();
            if let AlertState::Pending { since, failures, failure_threshold } = alert {
                let reason = health.reason.map_or_else(String::new, |reason| reason.to_string());
                let cluster = Arc::clone(&cluster);
                let pending =
                    PendingShown { cluster, component, reason, since, failures, failure_threshold };
                found.push(pending);
            }
        }
    }
    found.sort_by_key(|pending| pending.since);
    found
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Wish {
    by: Option<String>,
    comment: String,
}

/// Somebody looks after an alert.
pub(super) async fn acknowledge(
    State(sources): Sources,
    Path(incident): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Response {
    let administration = match authorised(&sources, &headers).await {
        Ok(administration) => Arc::clone(administration),
        Err(refusal) => return *refusal,
    };
    let wish: Wish = match body::object(body, "{\"by\": \"ada\", \"comment\": \"on it\"}").await {
        Ok(wish) => wish.unwrap_or_default(),
        Err((code, words)) => return refuse(code, words),
    };
    let by = wish.by.as_deref().filter(|by| !by.trim().is_empty()).unwrap_or(SOMEBODY);
    let incident = IncidentId::from_text(incident);
    match administration.acknowledge(&incident, by, &wish.comment).await {
        Ok(shown) => Json(shown).into_response(),
        Err(refusal) => refused(&refusal),
    }
}

/// The answer for a change that is not made.
pub(super) fn refused(refusal: &ChangeRefusal) -> Response {
    let code = match refusal.kind {
        RefusalKind::Invalid => StatusCode::BAD_REQUEST,
        RefusalKind::Unknown => StatusCode::NOT_FOUND,
        RefusalKind::Conflict | RefusalKind::NotLeader => StatusCode::CONFLICT,
        RefusalKind::NotNow | RefusalKind::NotSaved => StatusCode::SERVICE_UNAVAILABLE,
    };
    refuse(code, &refusal.words)
}

/// Who leads, where that is another one.
pub(super) fn follows(leadership: &Leadership) -> Option<&str> {
    match leadership {
        Leadership::Follower { leader, .. } => {
            Some(leader.as_deref().unwrap_or("another falconer"))
        }
        Leadership::Standalone | Leadership::Leader { .. } | Leadership::Unknown { .. } => None,
    }
}

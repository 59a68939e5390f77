//! `GET` and `POST /api/v1/silences` and `DELETE /api/v1/silences/{id}`: what people want to hear
//! nothing of for a time. Changes are for whoever has the admin token.

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Json, Response};
use serde::Deserialize;

use super::administration::authorised;
use super::alerts::{SOMEBODY, follows, refused};
use super::{ServerSources, body, refuse};
use crate::model::{
    Held, Matchers, NewSilence, Silence, SilencePhase, SilenceShown, SilencesShown, Timestamp,
};

/// What a body looks like.
const EXAMPLE: &str =
    "{\"matchers\": {\"component\": \"querynode\"}, \"for\": \"2h\", \"comment\": \"new disks\"}";

type Sources = State<Arc<ServerSources>>;

/// What to list.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Listed {
    /// Whether those that are over are wanted too.
    expired: bool,
}

/// The silences that are known.
pub(super) async fn list(State(sources): Sources, Query(wanted): Query<Listed>) -> Response {
    let actors = sources.status.actors();
    if let Some(leader) = follows(&actors.leadership.leadership) {
        let words =
            format!("this falconer does not act, {leader} does, and knows the silences: ask there");
        return refuse(StatusCode::CONFLICT, words);
    }
    let now = sources.clock.now();
    let all = actors.alerter.silences.iter().map(|silence| shown(silence.clone(), now));
    let listed = all.filter(|one| wanted.expired || one.phase != SilencePhase::Expired);
    Json(SilencesShown { silences: listed.collect() }).into_response()
}

fn shown(silence: Silence, now: Timestamp) -> SilenceShown {
    let phase = silence.phase(now);
    SilenceShown { silence, phase }
}

/// What somebody wants.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Wish {
    matchers: Matchers,
    holds: BTreeSet<Held>,
    /// Now, where nothing is said.
    starts_at: Option<Timestamp>,
    /// This or `for`.
    ends_at: Option<Timestamp>,
    #[serde(rename = "for")]
    lasts: Option<String>,
    created_by: Option<String>,
    comment: String,
}

impl Wish {
    fn resolve(self, now: Timestamp) -> Result<NewSilence, String> {
        let Self { matchers, holds, starts_at, ends_at, lasts, created_by, comment } = self;
        let starts_at = starts_at.unwrap_or(now);
        let ends_at = match (ends_at, lasts) {
            (Some(ends_at), None) => ends_at,
            (None, Some(lasts)) => {
                let lasts = humantime::parse_duration(lasts.trim())
                    .map_err(|error| format!("\"for\" is no duration such as \"2h\": {error}"))?;
                starts_at + lasts
            }
            (Some(_), Some(_)) => {
                return Err("\"ends_at\" and \"for\" do not go together".to_owned());
            }
            (None, None) => {
                return Err(
                    "a silence must say how long it lasts: \"for\" or \"ends_at\"".to_owned()
                );
            }
        };
        let created_by = created_by.filter(|by| !by.trim().is_empty());
        let created_by = created_by.unwrap_or_else(|| SOMEBODY.to_owned());
        Ok(NewSilence { matchers, holds, starts_at, ends_at, created_by, comment })
    }
}

/// Makes one.
pub(super) async fn add(State(sources): Sources, headers: HeaderMap, body: Body) -> Response {
    let administration = match authorised(&sources, &headers).await {
        Ok(administration) => Arc::clone(administration),
        Err(refusal) => return *refusal,
    };
    let wish: Wish = match body::object(body, EXAMPLE).await {
        Ok(wish) => wish.unwrap_or_default(),
        Err((code, words)) => return refuse(code, words),
    };
    let wanted = match wish.resolve(sources.clock.now()) {
        Ok(wanted) => wanted,
        Err(words) => return refuse(StatusCode::BAD_REQUEST, words),
    };
    match administration.silence(wanted).await {
        Ok(silence) => {
            let shown = Json(shown(silence, sources.clock.now()));
            (StatusCode::CREATED, shown).into_response()
        }
        Err(refusal) => refused(&refusal),
    }
}

/// Who wants it.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct By {
    by: Option<String>,
}

/// Ends one before its time.
pub(super) async fn expire(
    State(sources): Sources,
    Path(id): Path<String>,
    Query(By { by }): Query<By>,
    headers: HeaderMap,
) -> Response {
    let administration = match authorised(&sources, &headers).await {
        Ok(administration) => Arc::clone(administration),
        Err(refusal) => return *refusal,
    };
    let by = by.as_deref().filter(|by| !by.trim().is_empty()).unwrap_or(SOMEBODY);
    match administration.expire(&id, by).await {
        Ok(silence) => Json(shown(silence, sources.clock.now())).into_response(),
        Err(refusal) => refused(&refusal),
    }
}

//! `GET /api/v1/recovery/breakers` and `POST /api/v1/recovery/resume`: where recovery was stopped after
//! too many actions, what was done there, and letting it go on, for whoever has the admin token.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Json, Response};
use serde::{Deserialize, Serialize};

use super::administration::authorised;
use super::{ResumeError, ServerSources, body, refuse};
use crate::model::explanation::{ActionShown, BreakerShown, actions_of};
use crate::model::{JournalEntry, JournalKind, JournalQuery, Leadership, Timestamp};

/// So many actions before a breaker opened are shown.
const MOST_ACTIONS: usize = 20;
/// Who is named is not longer, in characters.
const BY_LIMIT: usize = 100;

type Sources = State<Arc<ServerSources>>;

#[derive(Serialize)]
struct Breakers {
    breakers: Vec<BreakerShown>,
    /// Why the actions that led there are not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    trouble: Option<String>,
}

/// Every open circuit breaker, with what was done before it opened.
pub(super) async fn breakers(State(sources): Sources) -> impl IntoResponse {
    let open = sources.status.actors().recoverer.breakers.clone();
    let of_actions = JournalQuery {
        component: None,
        kinds: vec![JournalKind::Action],
        limit: JournalQuery::MOST,
    };
    let wanted = if open.is_empty() { Vec::new() } else { vec![of_actions] };
    let (entries, trouble) = match sources.recent(&wanted).await {
        Ok(entries) => (entries, None),
        Err(why) => (Vec::new(), Some(why)),
    };
    let shown = open.iter().map(|(cluster, tripped)| BreakerShown {
        cluster: cluster.to_string(),
        since: tripped.at,
        why: tripped.why.clone(),
        actions: until(&entries, cluster, tripped.at),
    });
    Json(Breakers { breakers: shown.collect(), trouble })
}

/// What had begun by then, with all that became of it since.
fn until(entries: &[JournalEntry], cluster: &str, at: Timestamp) -> Vec<ActionShown> {
    let mut actions = actions_of(cluster, entries, usize::MAX);
    actions.retain(|action| action.begun_at() <= at);
    actions.truncate(MOST_ACTIONS);
    actions
}

/// What somebody wants.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Wish {
    /// The cluster; none = every one.
    cluster: Option<String>,
    /// Who wants it.
    by: Option<String>,
}

#[derive(Serialize)]
struct Resumed {
    resumed: Vec<Arc<str>>,
}

/// Lets recovery go on.
pub(super) async fn resume(State(sources): Sources, headers: HeaderMap, body: Body) -> Response {
    let administration = match authorised(&sources, &headers).await {
        Ok(administration) => Arc::clone(administration),
        Err(refusal) => return *refusal,
    };
    let wish: Wish = match body::object(body, "{\"cluster\": \"milvus-ha\"}").await {
        Ok(wish) => wish.unwrap_or_default(),
        Err((code, words)) => return refuse(code, words),
    };
    if let Err(refusal) = is_possible(&sources, wish.cluster.as_deref()) {
        return *refusal;
    }
    let by: String = wish.by.as_deref().unwrap_or("the API").chars().take(BY_LIMIT).collect();
    let by: String = by.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    match administration.resume(wish.cluster.as_deref(), &by).await {
        // Somebody else was quicker.
        Ok(resumed) if resumed.is_empty() => nothing_to_resume(wish.cluster.as_deref()),
        Ok(resumed) => Json(Resumed { resumed }).into_response(),
        Err(error) => {
            let code = match error {
                ResumeError::Away => StatusCode::SERVICE_UNAVAILABLE,
                ResumeError::Late => StatusCode::GATEWAY_TIMEOUT,
            };
            refuse(code, error)
        }
    }
}

/// Whether there is something to resume, and this is the falconer to do it.
fn is_possible(sources: &ServerSources, cluster: Option<&str>) -> Result<(), Box<Response>> {
    let actors = sources.status.actors();
    let refused = |code, words| Err(Box::new(refuse(code, words)));
    if let Leadership::Follower { leader, .. } = &actors.leadership.leadership {
        let leader = leader.as_deref().unwrap_or("another falconer");
        let words = format!("this falconer does not act, {leader} does: resume there");
        return refused(StatusCode::CONFLICT, words);
    }
    let open = &actors.recoverer.breakers;
    match cluster {
        None if open.is_empty() => Err(Box::new(nothing_to_resume(None))),
        None => Ok(()),
        Some(cluster) if open.contains_key(cluster) => Ok(()),
        Some(cluster) => {
            let known = sources.about.get().clusters;
            if known.iter().any(|name| **name == *cluster) {
                return Err(Box::new(nothing_to_resume(Some(cluster))));
            }
            let words = format!("no cluster {cluster}; there is {}", known.join(", "));
            refused(StatusCode::NOT_FOUND, words)
        }
    }
}

fn nothing_to_resume(cluster: Option<&str>) -> Response {
    let words = match cluster {
        Some(cluster) => format!("nothing to resume: recovery of {cluster} is not stopped"),
        None => "nothing to resume: recovery is not stopped anywhere".to_owned(),
    };
    refuse(StatusCode::CONFLICT, words)
}

//! What changes something, for whoever has the admin token: `POST /api/v1/reload`, and who may. Reads no
//! token file and no configuration itself: it is handed somebody who does.

use std::fmt;
use std::hint::black_box;
use std::sync::Arc;

use async_trait::async_trait;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Json, Response};

use super::{ServerSources, refuse};
use crate::model::{
    AlertShown, ChangeRefusal, IncidentId, NewSilence, ReloadOutcome, ReloadRecord, Silence,
};

/// What to write where nothing may be changed.
const READ_ONLY: &str = "falconer is read-only here: set [server] admin_token_file";

/// What may be changed over HTTP.
#[async_trait]
pub trait Administration: Send + Sync + fmt::Debug {
    /// The token that a client must know, as it is now; `None` where none is configured.
    ///
    /// # Errors
    /// With one line, when it is configured and cannot be had.
    async fn token(&self) -> Result<Option<String>, String>;

    /// Reads the configuration again and waits for the outcome.
    ///
    /// # Errors
    /// When there is none to be had now.
    async fn reload(&self) -> Result<ReloadRecord, ReloadError>;

    /// Closes the circuit breaker of `cluster`, or every one where none is named; `by` says who
    /// wanted it. Gives the clusters whose breaker was open.
    ///
    /// # Errors
    /// When nobody does it now.
    async fn resume(&self, cluster: Option<&str>, by: &str) -> Result<Vec<Arc<str>>, ResumeError>;

    /// Makes a silence, and waits until it is saved.
    ///
    /// # Errors
    /// Why not.
    async fn silence(&self, wanted: NewSilence) -> Result<Silence, ChangeRefusal>;

    /// Ends the silence `id`, as `by` wants it.
    ///
    /// # Errors
    /// Why not.
    async fn expire(&self, id: &str, by: &str) -> Result<Silence, ChangeRefusal>;

    /// From now on `by` looks after the alert of `incident`.
    ///
    /// # Errors
    /// Why not.
    async fn acknowledge(
        &self,
        incident: &IncidentId,
        by: &str,
        comment: &str,
    ) -> Result<AlertShown, ChangeRefusal>;
}

/// Why a breaker is not, or perhaps not, closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ResumeError {
    /// The actor that does it is being made anew, or falconer starts or ends.
    #[error("nobody carries out restarts at the moment; try again in a few seconds")]
    Away,
    /// No answer in time.
    #[error("no answer in time; /api/v1/recovery/breakers says whether it was done")]
    Late,
}

/// Why the outcome of a reload is not known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ReloadError {
    /// Too many wait for it.
    #[error("too many reloads are asked for, try again later")]
    Busy,
    /// It takes too long; it goes on.
    #[error("the reload takes long, its outcome will be in /api/v1/status")]
    Late,
    /// falconer is ending.
    #[error("falconer is ending")]
    Ending,
}

/// Answers with what the reload touched, or with what is wrong with the file (422).
pub(super) async fn reload(
    State(sources): State<Arc<ServerSources>>,
    headers: HeaderMap,
) -> Response {
    let administration = match authorised(&sources, &headers).await {
        Ok(administration) => administration,
        Err(refusal) => return *refusal,
    };
    match administration.reload().await {
        Ok(record) => {
            let code = match record.outcome {
                ReloadOutcome::Applied | ReloadOutcome::Unchanged => StatusCode::OK,
                ReloadOutcome::Rejected => StatusCode::UNPROCESSABLE_ENTITY,
            };
            (code, Json(record)).into_response()
        }
        Err(error) => {
            let code = match error {
                ReloadError::Busy | ReloadError::Ending => StatusCode::SERVICE_UNAVAILABLE,
                ReloadError::Late => StatusCode::GATEWAY_TIMEOUT,
            };
            refuse(code, error)
        }
    }
}

/// Whoever may change something, if this client knows the admin token.
///
/// # Errors
/// With the answer for who does not.
pub(super) async fn authorised<'a>(
    sources: &'a ServerSources,
    headers: &HeaderMap,
) -> Result<&'a Arc<dyn Administration>, Box<Response>> {
    let read_only = || Box::new(refuse(StatusCode::FORBIDDEN, READ_ONLY));
    let administration = sources.administration.as_ref().ok_or_else(read_only)?;
    match administration.token().await {
        Ok(None) => Err(read_only()),
        Ok(Some(token)) if is_allowed(headers, &token) => Ok(administration),
        Ok(Some(_)) => {
            tracing::warn!("request refused, wrong or no admin token");
            let challenge = [(header::WWW_AUTHENTICATE, "Bearer")];
            let words = "this needs the header Authorization: Bearer and the admin token";
            let refusal = (challenge, refuse(StatusCode::UNAUTHORIZED, words));
            Err(Box::new(refusal.into_response()))
        }
        Err(error) => {
            tracing::error!(error, "request refused, the admin token cannot be read");
            let words = "the admin token cannot be read, see falconer's log";
            Err(Box::new(refuse(StatusCode::SERVICE_UNAVAILABLE, words)))
        }
    }
}

fn is_allowed(headers: &HeaderMap, token: &str) -> bool {
    let given = headers.get(header::AUTHORIZATION).map(HeaderValue::as_bytes);
    let given = given.and_then(|value| value.split_at_checked("Bearer ".len()));
    given.is_some_and(|(scheme, given)| {
        scheme.eq_ignore_ascii_case(b"Bearer ") && is_equal(given.trim_ascii(), token.as_bytes())
    })
}

/// Takes as long wherever the first difference is, so that nobody can guess byte by byte.
fn is_equal(given: &[u8], token: &[u8]) -> bool {
    let differing = given.iter().zip(token).fold(0, |all, (left, right)| all | (left ^ right));
    given.len() == token.len() && black_box(differing) == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_whole_token_after_the_scheme_is_taken() {
        let allowed = |value: &str| {
            let headers = [(header::AUTHORIZATION, value.parse().unwrap())].into_iter().collect();
            is_allowed(&headers, "s3cret")
        };
        assert!(allowed("Bearer s3cret") && allowed("bearer  s3cret "));
        for wrong in ["", "Bearer", "Bearer ", "s3cret", "Basic s3cret", "Bearer s3cre"] {
            assert!(!allowed(wrong), "{wrong:?}");
        }
        assert!(!allowed("Bearer s3crets") && !allowed("Bearer S3cret"));
        assert!(!is_allowed(&HeaderMap::new(), "s3cret"));
    }
}

//! Judges what Milvus answered. Pure. The first rule that applies decides:
//!
//! 1. the credentials are refused, by any call: failed;
//! 2. the collections cannot be listed: failed;
//! 3. a canary query fails: failed; refused by a quota, or the collection is gone, released or
//!    still loading: degraded, since no restart would mend that;
//! 4. the server calls itself unhealthy: failed; degraded where canary queries prove that it
//!    serves, as for half a minute after an unclean restart;
//! 5. its health check fails or is late while the rest works, as for half a minute after a start:
//!    degraded;
//! 6. a quota is in force: degraded.
//!
//! A call that the server does not know (an old version, milvus-lite) decides nothing, unless it
//! knows none of them.

use std::time::Duration;

use super::{Answers, Canary};
use crate::effects::failure::short_duration;
use crate::effects::grpc::GrpcFailure;
use crate::effects::milvus::client::{CallError, ErrorKind, HealthAnswer};
use crate::model::{Outcome, ReasonKind};

/// The verdict over all answers of a probe that had `budget`.
pub fn judge(answers: &Answers, budget: Duration) -> Outcome {
    not_milvus(answers)
        .or_else(|| refused_credentials(answers, budget))
        .or_else(|| listing(answers, budget))
        .or_else(|| failed_canary(&answers.canaries, budget))
        .or_else(|| reported_unhealthy(answers))
        .or_else(|| late_health(answers, budget))
        .or_else(|| limited_canary(&answers.canaries, budget))
        .or_else(|| quota(answers))
        .unwrap_or(Outcome::Healthy)
}

fn not_milvus(answers: &Answers) -> Option<Outcome> {
    let errors = [
        answers.version.as_ref().err(),
        answers.health.as_ref().err(),
        answers.collections.as_ref().err(),
    ];
    errors.iter().all(|error| error.is_some_and(is_unimplemented)).then(|| {
        let text = "a gRPC server that knows no call of Milvus";
        Outcome::failed(ReasonKind::BadAnswer, text)
    })
}

fn refused_credentials(answers: &Answers, budget: Duration) -> Option<Outcome> {
    let queries = answers.canaries.iter().map(|canary| ("query", canary.result.as_ref().err()));
    let calls = [
        ("ShowCollections", answers.collections.as_ref().err()),
        ("CheckHealth", answers.health.as_ref().err()),
        ("GetVersion", answers.version.as_ref().err()),
        ("ShowCollections", answers.canary_listing.as_ref()),
    ];
    calls.into_iter().chain(queries).find_map(|(rpc, error)| {
        let reason = error?.reason(rpc, budget);
        (reason.kind == ReasonKind::Unauthorized).then_some(Outcome::Failed { reason })
    })
}

fn listing(answers: &Answers, budget: Duration) -> Option<Outcome> {
    let errors = [answers.collections.as_ref().err(), answers.canary_listing.as_ref()];
    let error = errors.into_iter().flatten().find(|error| !is_unimplemented(error))?;
    Some(Outcome::Failed { reason: error.reason("ShowCollections", budget) })
}

fn is_unimplemented(error: &CallError) -> bool {
    matches!(error, CallError::Call(GrpcFailure::Unimplemented))
}

/// Whether a restart could not change what the query met.
fn is_beyond_restarts(error: &CallError) -> bool {
    match error {
        CallError::Milvus(kind, _) => match kind {
            ErrorKind::Limited | ErrorKind::NoSuchCollection | ErrorKind::NotLoaded => true,
            ErrorKind::Denied | ErrorKind::Other => false,
        },
        CallError::Call(_) | CallError::Empty(_) => false,
    }
}

fn failed_canary(canaries: &[Canary], budget: Duration) -> Option<Outcome> {
    let failed: Vec<_> = canaries
        .iter()
        .filter(|canary| canary.result.as_ref().is_err_and(|error| !is_beyond_restarts(error)))
        .collect();
    let first = failed.first()?;
    let error = first.result.as_ref().err()?;
    let text = canary_text(first, error, budget);
    let others = match failed.len() {
        1 => String::new(),
        count => format!(" (and {} more of {} collections)", count - 1, canaries.len()),
    };
    Some(Outcome::failed(ReasonKind::CanaryFailed, format!("{text}{others}")))
}

fn canary_text(canary: &Canary, error: &CallError, budget: Duration) -> String {
    error.reason(&format!("query of {}", canary.collection), budget).text
}

fn reported_unhealthy(answers: &Answers) -> Option<Outcome> {
    let HealthAnswer { is_healthy: false, reasons, .. } = answers.health.as_ref().ok()? else {
        return None;
    };
    let reasons = if reasons.is_empty() { "no reason given".into() } else { reasons.join("; ") };
    let text = format!("CheckHealth: not healthy: {reasons}");
    if answers.canaries.iter().any(|canary| canary.result.is_ok()) {
        let text = format!("queries work, but {text}");
        return Some(Outcome::degraded(ReasonKind::ReportedUnhealthy, text));
    }
    Some(Outcome::failed(ReasonKind::ReportedUnhealthy, text))
}

fn late_health(answers: &Answers, budget: Duration) -> Option<Outcome> {
    let error = answers.health.as_ref().err().filter(|error| !is_unimplemented(error))?;
    let rest = if answers.canaries.is_empty() { "ShowCollections works" } else { "queries work" };
    let text = if *error == CallError::Call(GrpcFailure::Timeout) {
        format!("CheckHealth did not answer within {}; {rest}", short_duration(budget))
    } else {
        format!("{}; {rest}", error.reason("CheckHealth", budget))
    };
    Some(Outcome::degraded(ReasonKind::Limited, text))
}

fn limited_canary(canaries: &[Canary], budget: Duration) -> Option<Outcome> {
    canaries.iter().find_map(|canary| {
        let error = canary.result.as_ref().err()?;
        let kind = match error {
            CallError::Milvus(ErrorKind::Limited, _) => ReasonKind::Limited,
            _ => ReasonKind::CanaryFailed,
        };
        Some(Outcome::degraded(kind, canary_text(canary, error, budget)))
    })
}

fn quota(answers: &Answers) -> Option<Outcome> {
    let states = &answers.health.as_ref().ok()?.quota_states;
    let text = format!("quota: {}", states.join(", "));
    (!states.is_empty()).then(|| Outcome::degraded(ReasonKind::Limited, text))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Reason;

    const BUDGET: Duration = Duration::from_secs(5);

    fn fine() -> Answers {
        Answers {
            version: Ok("v2.3.5".into()),
            health: Ok(HealthAnswer { is_healthy: true, ..HealthAnswer::default() }),
            collections: Ok(vec!["a".into()]),
            canaries: vec![canary(Ok(1))],
            canary_listing: None,
        }
    }

    fn canary(result: Result<u64, CallError>) -> Canary {
        Canary { collection: "a".into(), result, latency: Duration::ZERO }
    }

    fn milvus(kind: ErrorKind) -> CallError {
        CallError::Milvus(kind, "code 9: why".into())
    }

    const TIMEOUT: CallError = CallError::Call(GrpcFailure::Timeout);
    const UNIMPLEMENTED: CallError = CallError::Call(GrpcFailure::Unimplemented);

    #[track_caller]
    fn assert_verdict(answers: &Answers, outcome: &str, kind: ReasonKind, text: &str) {
        let verdict = judge(answers, BUDGET);
        let reason = verdict.reason().expect("a reason");
        assert_eq!((verdict.as_str(), reason.kind, reason.text.as_str()), (outcome, kind, text));
    }

    #[test]
    fn every_answer_as_hoped_for_is_healthy() {
        assert_eq!(judge(&fine(), BUDGET), Outcome::Healthy);
        assert_eq!(judge(&Answers { canaries: Vec::new(), ..fine() }, BUDGET), Outcome::Healthy);
    }

    #[test]
    fn refused_credentials_are_named_before_anything_else() {
        let denied = CallError::Call(GrpcFailure::Unauthorized("UNAUTHENTICATED: no".into()));
        let answers = Answers {
            health: Err(denied.clone()),
            collections: Err(denied),
            canaries: vec![canary(Err(TIMEOUT))],
            ..fine()
        };
        let text = "ShowCollections: UNAUTHENTICATED: no";
        assert_verdict(&answers, "failed", ReasonKind::Unauthorized, text);
        let answers = Answers { canaries: vec![canary(Err(milvus(ErrorKind::Denied)))], ..fine() };
        let text = "query: code 9: why";
        assert_verdict(&answers, "failed", ReasonKind::Unauthorized, text);
    }

    #[test]
    fn collections_that_cannot_be_listed_fail() {
        let text = "ShowCollections: no answer within 5s";
        let answers = Answers { collections: Err(TIMEOUT), health: Err(TIMEOUT), ..fine() };
        assert_verdict(&answers, "failed", ReasonKind::Timeout, text);
        let answers = Answers { canary_listing: Some(TIMEOUT), ..fine() };
        assert_verdict(&answers, "failed", ReasonKind::Timeout, text);
        let refused = Reason::new(ReasonKind::Refused, "connection refused");
        let lost = CallError::Call(GrpcFailure::Transport(refused));
        let answers = Answers { collections: Err(lost), ..fine() };
        let text = "ShowCollections: connection refused";
        assert_verdict(&answers, "failed", ReasonKind::Refused, text);
    }

    #[test]
    fn a_failed_canary_fails_and_outranks_the_servers_own_view() {
        let unwell = Ok(HealthAnswer { is_healthy: true, ..HealthAnswer::default() });
        let failed = canary(Err(milvus(ErrorKind::Other)));
        let answers =
            Answers { health: unwell, canaries: vec![failed.clone(), canary(Ok(1))], ..fine() };
        let text = "query of a: code 9: why";
        assert_verdict(&answers, "failed", ReasonKind::CanaryFailed, text);
        let answers = Answers { canaries: vec![failed.clone(), failed, canary(Ok(1))], ..fine() };
        let text = "query of a: code 9: why (and 1 more of 3 collections)";
        assert_verdict(&answers, "failed", ReasonKind::CanaryFailed, text);
        let answers =
            Answers { canaries: vec![canary(Err(CallError::Empty("nothing")))], ..fine() };
        assert_verdict(&answers, "failed", ReasonKind::CanaryFailed, "query of a: nothing");
    }

    #[test]
    fn a_query_that_no_restart_could_mend_is_only_degraded() {
        for (kind, reason) in [
            (ErrorKind::Limited, ReasonKind::Limited),
            (ErrorKind::NoSuchCollection, ReasonKind::CanaryFailed),
            (ErrorKind::NotLoaded, ReasonKind::CanaryFailed),
        ] {
            let answers = Answers { canaries: vec![canary(Err(milvus(kind)))], ..fine() };
            assert_verdict(&answers, "degraded", reason, "query of a: code 9: why");
        }
    }

    #[test]
    fn a_server_that_calls_itself_unhealthy_fails_with_its_reasons() {
        let reasons = vec!["check health fail for rootcoord".to_owned(), "b".to_owned()];
        let health = Ok(HealthAnswer { is_healthy: false, reasons, quota_states: Vec::new() });
        let text = "CheckHealth: not healthy: check health fail for rootcoord; b";
        let answers = Answers { health, canaries: Vec::new(), ..fine() };
        assert_verdict(&answers, "failed", ReasonKind::ReportedUnhealthy, text);
        let text = format!("queries work, but {text}");
        let answers = Answers { canaries: vec![canary(Ok(1))], ..answers };
        assert_verdict(&answers, "degraded", ReasonKind::ReportedUnhealthy, &text);
    }

    #[test]
    fn a_late_health_check_while_the_rest_works_is_only_degraded() {
        let answers = Answers { health: Err(TIMEOUT), ..fine() };
        let text = "CheckHealth did not answer within 5s; queries work";
        assert_verdict(&answers, "degraded", ReasonKind::Limited, text);
        let answers = Answers { canaries: Vec::new(), ..answers };
        let text = "CheckHealth did not answer within 5s; ShowCollections works";
        assert_verdict(&answers, "degraded", ReasonKind::Limited, text);
        let answers = Answers { health: Err(milvus(ErrorKind::Other)), ..fine() };
        let text = "CheckHealth: code 9: why; queries work";
        assert_verdict(&answers, "degraded", ReasonKind::Limited, text);
    }

    #[test]
    fn a_quota_in_force_is_degraded() {
        let quota_states = vec!["DenyToWrite".to_owned(), "QuotaState(77)".to_owned()];
        let health = Ok(HealthAnswer { is_healthy: true, reasons: Vec::new(), quota_states });
        let text = "quota: DenyToWrite, QuotaState(77)";
        assert_verdict(&Answers { health, ..fine() }, "degraded", ReasonKind::Limited, text);
    }

    #[test]
    fn calls_that_the_server_does_not_know_decide_nothing() {
        let answers = Answers {
            health: Err(UNIMPLEMENTED),
            collections: Err(UNIMPLEMENTED),
            canary_listing: Some(UNIMPLEMENTED),
            ..fine()
        };
        assert_eq!(judge(&answers, BUDGET), Outcome::Healthy);
        let answers = Answers { version: Err(UNIMPLEMENTED), ..answers };
        let text = "a gRPC server that knows no call of Milvus";
        assert_verdict(&answers, "failed", ReasonKind::BadAnswer, text);
    }
}

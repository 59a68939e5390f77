//! What can go wrong in the talk with the Kubernetes API, in words that tell what to do. Owns the
//! translation of the client's errors into reasons and cluster errors.

use std::error::Error;

use kube::client::AuthError;
use kube::core::Status;
use kube::runtime::watcher;

use crate::effects::ClusterError;
use crate::model::{Reason, ReasonKind};

use super::guard::GuardError;

/// One failure, sorted by what follows from it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Problem {
    /// The API answered with an error.
    Api {
        /// The HTTP status.
        code: u16,
        /// The API's words.
        message: String,
    },
    /// A disruption budget does not let a pod go now.
    Budget {
        /// The budget's words.
        message: String,
    },
    /// The API did not answer in time.
    Silent {
        /// The deadline that was missed, as text.
        message: String,
    },
    /// There are no usable credentials.
    Credentials {
        /// Why.
        message: String,
    },
    /// There is no usable configuration.
    Configuration {
        /// Why.
        message: String,
    },
    /// Unreachable, cut, or not understood.
    Broken {
        /// What happened.
        message: String,
    },
}

impl Problem {
    /// Whether the resource version has expired: everything must be listed anew.
    pub fn is_expired(&self) -> bool {
        matches!(self, Self::Api { code: 410, .. })
    }

    /// Whether the API (a custom resource's, say) does not exist.
    pub fn is_absent(&self) -> bool {
        matches!(self, Self::Api { code: 404, .. })
    }

    /// Whether the client must be made anew: its credentials may have been replaced on disk, or
    /// its connections may be dead.
    pub fn wants_new_client(&self) -> bool {
        match self {
            Self::Api { code, .. } => *code == 401,
            Self::Silent { .. } | Self::Credentials { .. } => true,
            Self::Budget { .. } | Self::Configuration { .. } | Self::Broken { .. } => false,
        }
    }

    /// The reason to show.
    pub fn reason(&self) -> Reason {
        let (kind, text) = match self {
            Self::Api { code: 401, message } => (
                ReasonKind::Unauthorized,
                format!(
                    "the Kubernetes API does not accept the credentials (401 Unauthorized: \
                     {message}); renew the token or the kubeconfig, it is read again by itself"
                ),
            ),
            Self::Api { code: 403, message } => (
                ReasonKind::Unauthorized,
                format!(
                    "the Kubernetes API forbids it (403): {message}; grant what \
                     deploy/base/access lists"
                ),
            ),
            Self::Api { code: 429, message } => (
                ReasonKind::PlatformUnavailable,
                format!("the Kubernetes API throttles falconer (429): {message}"),
            ),
            Self::Api { code, message } => (
                ReasonKind::PlatformUnavailable,
                format!("the Kubernetes API answers with an error ({code}): {message}"),
            ),
            Self::Budget { message } => {
                (ReasonKind::PlatformUnavailable, format!("a disruption budget refuses: {message}"))
            }
            Self::Silent { message } => (
                ReasonKind::PlatformUnavailable,
                format!("the Kubernetes API does not answer: {message}"),
            ),
            Self::Credentials { message } => (
                ReasonKind::Unauthorized,
                format!("no usable credentials for the Kubernetes API: {message}"),
            ),
            Self::Configuration { message } => (
                ReasonKind::PlatformUnavailable,
                format!(
                    "no way to the Kubernetes API is configured: {message}; set kubeconfig and \
                     context of the cluster in actors.toml, or KUBECONFIG, or run falconer in the \
                     cluster with a service account"
                ),
            ),
            Self::Broken { message } => (
                ReasonKind::PlatformUnavailable,
                format!("the Kubernetes API cannot be talked to: {message}"),
            ),
        };
        Reason::new(kind, text)
    }

    /// The API's words, cut to one harmless line.
    pub fn line(message: &str) -> String {
        Reason::new(ReasonKind::PlatformUnavailable, message).text
    }

    /// The error of an operation that failed in this way.
    pub fn cluster_error(
        self,
        operation: &'static str,
        object: String,
        seconds: u64,
    ) -> ClusterError {
        let line = Self::line;
        match &self {
            Self::Silent { .. } => ClusterError::Timeout { operation, object, seconds },
            Self::Api { code: 404, .. } => ClusterError::NotFound { operation, object },
            Self::Api { code: 403, message } => {
                ClusterError::Forbidden { operation, object, message: line(message) }
            }
            Self::Api { code: 409, message } | Self::Budget { message } => {
                ClusterError::Conflict { operation, object, message: line(message) }
            }
            Self::Api { .. }
            | Self::Credentials { .. }
            | Self::Configuration { .. }
            | Self::Broken { .. } => {
                ClusterError::Failed { operation, object, message: self.reason().text }
            }
        }
    }

    fn of_status(status: &Status) -> Self {
        let mut causes = status.details.iter().flat_map(|details| &details.causes);
        if status.code == 429
            && let Some(cause) = causes.find(|cause| cause.reason == "DisruptionBudget")
        {
            return Self::Budget { message: cause.message.clone() };
        }
        let message = if status.message.is_empty() { &status.reason } else { &status.message };
        Self::Api { code: status.code, message: message.clone() }
    }
}

impl From<&kube::Error> for Problem {
    fn from(error: &kube::Error) -> Self {
        if let kube::Error::Api(status) = error {
            return Self::of_status(status);
        }
        let message = innermost(error);
        if let Some(GuardError::Deadline(_)) = find::<GuardError>(error) {
            return Self::Silent { message };
        }
        let is_auth = matches!(error, kube::Error::Auth(_));
        if is_auth || find::<AuthError>(error).is_some() {
            return Self::Credentials { message: credential_words(error) };
        }
        Self::Broken { message }
    }
}

impl From<&watcher::Error> for Problem {
    fn from(error: &watcher::Error) -> Self {
        match error {
            watcher::Error::InitialListFailed(error)
            | watcher::Error::WatchStartFailed(error)
            | watcher::Error::WatchFailed(error) => Self::from(error),
            watcher::Error::WatchError(status) => Self::of_status(status),
            watcher::Error::NoResourceVersion => {
                Self::Broken { message: "a list came without a resource version".to_owned() }
            }
        }
    }
}

fn chain<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    // Bounded, since a foreign error could name itself as its own source.
    std::iter::successors(Some(error), |error: &&'a (dyn Error + 'static)| (*error).source())
        .take(16)
}

fn find<'a, E: Error + 'static>(error: &'a (dyn Error + 'static)) -> Option<&'a E> {
    chain(error).find_map(|error| error.downcast_ref::<E>())
}

/// What is wrong with the credentials. What a credential plugin wrote is the token itself, so it is
/// never quoted; what it complained of is.
pub fn credential_words(error: &(dyn Error + 'static)) -> String {
    match find::<AuthError>(error) {
        Some(AuthError::AuthExecParse(_)) => {
            "the answer of the credential plugin is not understood".to_owned()
        }
        Some(AuthError::AuthExecRun { cmd, out }) => {
            let complaint = String::from_utf8_lossy(&out.stderr);
            format!("the credential plugin {cmd} ended with {}: {}", out.status, complaint.trim())
        }
        _ => innermost(error),
    }
}

/// The two innermost texts of a chain of errors: the outer ones only say that something failed.
fn innermost(error: &(dyn Error + 'static)) -> String {
    let mut texts: Vec<String> = chain(error).map(ToString::to_string).collect();
    let last = texts.pop().unwrap_or_default();
    match texts.pop() {
        Some(outer) if !outer.contains(&last) => format!("{outer}: {last}"),
        _ => last,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn api(code: u16) -> Problem {
        Problem::from(&kube::Error::Api(
            Status::failure("no\nway", "Because").with_code(code).boxed(),
        ))
    }

    #[test]
    fn every_answer_of_the_api_becomes_the_error_that_says_what_follows() {
        let error = |code| api(code).cluster_error("restart", "deployment/p".to_owned(), 10);
        assert!(matches!(error(404), ClusterError::NotFound { .. }));
        assert!(matches!(error(403), ClusterError::Forbidden { .. }));
        assert!(matches!(error(409), ClusterError::Conflict { .. }));
        for code in [401, 429, 500, 503] {
            assert!(matches!(error(code), ClusterError::Failed { .. }), "{code}");
        }
        assert_eq!(error(403).to_string(), "restart deployment/p: forbidden: no way");
    }

    #[test]
    fn a_disruption_budget_that_refuses_is_told_from_an_api_that_throttles() {
        let refusal = serde_json::json!({"status": "Failure", "code": 429,
            "reason": "TooManyRequests",
            "message": "Cannot evict pod as it would violate the pod's disruption budget.",
            "details": {"causes": [{"reason": "DisruptionBudget",
                "message": "The disruption budget p needs 2 healthy pods and has 2 currently"}]}});
        let status: Status = serde_json::from_value(refusal).expect("a status");
        let problem = Problem::from(&kube::Error::Api(status.boxed()));
        let error = problem.cluster_error("delete pod", "pod a".to_owned(), 10);
        assert!(matches!(error, ClusterError::Conflict { .. }), "{error:?}");
        assert!(error.is_retryable() && !error.is_outage());
        assert!(error.to_string().ends_with("budget p needs 2 healthy pods and has 2 currently"));
        assert!(!matches!(api(429), Problem::Budget { .. }));
    }

    #[test]
    fn a_missed_deadline_is_found_however_deep_it_is_wrapped() {
        let guard = GuardError::Deadline(std::time::Duration::from_secs(10));
        let wrapped = kube::Error::Service(Box::new(guard));
        let deep = kube::Error::ReadEvents(std::io::Error::other(wrapped));
        let problem = Problem::from(&deep);
        assert!(matches!(problem, Problem::Silent { .. }), "{problem:?}");
        assert!(problem.wants_new_client());
        let error = problem.cluster_error("scale", "deployment/p".to_owned(), 10);
        assert_eq!(error.to_string(), "scale deployment/p: no answer within 10 s");
    }

    #[test]
    fn unauthorised_and_forbidden_tell_what_to_do() {
        assert_eq!(api(401).reason().kind, ReasonKind::Unauthorized);
        assert!(api(401).reason().text.contains("renew the token"));
        assert!(api(403).reason().text.contains("deploy/base/access"));
        assert!(api(401).wants_new_client() && !api(403).wants_new_client());
    }
}

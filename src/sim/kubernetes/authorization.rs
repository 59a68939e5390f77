//! Who may do what: everybody everything, until rules are given; and a record of what was done.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::response::Response;
use serde_json::{Value, json};

use super::json::{list, set, text};
use super::request::{Call, Target};
use super::status::{Failure, answer};

/// The user as which the API knows every client.
const USER: &str = "system:serviceaccount:milvus-ha:falconer";

/// One rule of a Role: what it names may be done. `*` stands for everything.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AccessRule {
    /// API groups; empty text for the core group.
    pub groups: Vec<String>,
    /// Resources, as `pods` or `pods/eviction`.
    pub resources: Vec<String>,
    /// Verbs.
    pub verbs: Vec<String>,
    /// Names; empty for all.
    pub names: Vec<String>,
}

impl AccessRule {
    /// The rules of a Role or ClusterRole, given as JSON.
    pub fn of_role(role: &Value) -> Vec<Self> {
        let texts = |rule: &Value, field: &str| -> Vec<String> {
            let all = list(rule, &format!("/{field}")).iter();
            all.filter_map(Value::as_str).map(str::to_owned).collect()
        };
        let rules = list(role, "/rules").iter();
        rules
            .map(|rule| Self {
                groups: texts(rule, "apiGroups"),
                resources: texts(rule, "resources"),
                verbs: texts(rule, "verbs"),
                names: texts(rule, "resourceNames"),
            })
            .collect()
    }

    fn grants(&self, asked: &UsedAccess, name: &str) -> bool {
        let has = |all: &[String], one: &str| all.iter().any(|entry| entry == "*" || entry == one);
        has(&self.groups, &asked.group)
            && has(&self.resources, &asked.resource)
            && has(&self.verbs, &asked.verb)
            && (self.names.is_empty() || self.names.iter().any(|entry| entry == name))
    }
}

/// Something that was asked of the API, as a rule would have to grant it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct UsedAccess {
    /// The API group; empty for the core group.
    pub group: String,
    /// `pods` or `pods/eviction`.
    pub resource: String,
    /// The verb.
    pub verb: String,
}

/// The rules and the record. Cheap to clone; all clones share them.
#[derive(Debug, Clone, Default)]
pub(in crate::sim) struct Authorization {
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    /// The namespace in which the rules hold, and the rules; `None`: everything is allowed.
    rules: Option<(String, Vec<AccessRule>)>,
    used: BTreeSet<UsedAccess>,
}

impl Authorization {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// From now on only what `rules` grant is allowed, in `namespace`; `None`: everything.
    pub(in crate::sim) fn enforce(&self, namespace: &str, rules: Option<Vec<AccessRule>>) {
        self.lock().rules = rules.map(|rules| (namespace.to_owned(), rules));
    }

    /// What was asked so far, allowed or not.
    pub(in crate::sim) fn used(&self) -> BTreeSet<UsedAccess> {
        self.lock().used.clone()
    }

    /// Notes the request and says no when it is not allowed.
    pub(in crate::sim) fn admit(&self, target: &Target, call: &Call) -> Result<(), Failure> {
        let asked = UsedAccess {
            group: target.resource.group.to_owned(),
            resource: target.resource_path(),
            verb: target.verb(call).to_owned(),
        };
        let field = call.query("fieldSelector").strip_prefix("metadata.name=");
        let name = target.name().or(field).unwrap_or_default();
        let allowed = self.allows(&asked, target.namespace.as_deref(), name);
        let refusal = (!allowed).then(|| forbidden(target, &asked));
        self.lock().used.insert(asked);
        refusal.map_or(Ok(()), Err)
    }

    fn allows(&self, asked: &UsedAccess, namespace: Option<&str>, name: &str) -> bool {
        let state = self.lock();
        let Some((home, rules)) = &state.rules else { return true };
        namespace == Some(home.as_str()) && rules.iter().any(|rule| rule.grants(asked, name))
    }

    /// Answers `POST /apis/authorization.k8s.io/v1/selfsubjectaccessreviews`.
    pub(in crate::sim) fn review(&self, mut body: Value) -> Response {
        let attribute = |field: &str| text(&body, &format!("/spec/resourceAttributes/{field}"));
        let resource = match attribute("subresource") {
            "" => attribute("resource").to_owned(),
            subresource => format!("{}/{subresource}", attribute("resource")),
        };
        let asked = UsedAccess {
            group: attribute("group").to_owned(),
            resource,
            verb: attribute("verb").to_owned(),
        };
        let namespace = Some(attribute("namespace")).filter(|text| !text.is_empty());
        let allowed = self.allows(&asked, namespace, attribute("name"));
        set(&mut body, &["kind"], "SelfSubjectAccessReview");
        set(&mut body, &["apiVersion"], "authorization.k8s.io/v1");
        set(&mut body, &["status"], json!({"allowed": allowed}));
        answer(201, &body)
    }
}

fn forbidden(target: &Target, asked: &UsedAccess) -> Failure {
    let resource = target.resource;
    let place = match &target.namespace {
        Some(namespace) => format!("in the namespace \"{namespace}\""),
        None => "at the cluster scope".to_owned(),
    };
    let what = match target.name() {
        Some(name) => format!("{} \"{name}\"", resource.qualified()),
        None => resource.qualified(),
    };
    let message = format!(
        "{what} is forbidden: User \"{USER}\" cannot {} resource \"{}\" in API group \"{}\" {place}",
        asked.verb, asked.resource, asked.group
    );
    Failure::new(403, "Forbidden", message).about(resource, target.name().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(group: &str, resource: &str, verb: &str) -> UsedAccess {
        let [group, resource, verb] = [group, resource, verb].map(str::to_owned);
        UsedAccess { group, resource, verb }
    }

    #[test]
    fn a_rule_with_names_grants_nothing_that_has_none() {
        let role = json!({"rules": [
            {"apiGroups": [""], "resources": ["pods", "pods/eviction"], "verbs": ["get", "create"]},
            {"apiGroups": [""], "resources": ["configmaps"], "resourceNames": ["state"],
                "verbs": ["get", "create"]},
        ]});
        let authorization = Authorization::default();
        assert!(authorization.allows(&asked("", "secrets", "get"), Some("ns"), "a"));
        authorization.enforce("ns", Some(AccessRule::of_role(&role)));
        let cases = [
            ("pods", "get", "ns", "a", true),
            ("pods/eviction", "create", "ns", "a", true),
            ("pods/log", "get", "ns", "a", false),
            ("pods", "get", "other", "a", false),
            ("configmaps", "get", "ns", "state", true),
            ("configmaps", "get", "ns", "other", false),
            ("configmaps", "create", "ns", "", false),
        ];
        for (resource, verb, namespace, name, expected) in cases {
            let allowed = authorization.allows(&asked("", resource, verb), Some(namespace), name);
            assert_eq!(allowed, expected, "{verb} {resource} {name} in {namespace}");
        }
    }
}

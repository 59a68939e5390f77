//! The management pages of Milvus' proxy (`/management/querycoord/…` on the port of its metrics):
//! lists, suspends and empties query nodes. Versions before 2.4 have none; newer ones may want the
//! login of an administrator. Decides nothing.

use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use reqwest::{Client, Method};
use serde::{Deserialize, Deserializer};
use tokio::time::{Instant, timeout_at};

use crate::effects::failure;
use crate::effects::http::{Trust, modest_client};
use crate::model::{QueryNode, QueryNodeState, Reason, ReasonKind};

/// Largest answer that is read, in bytes: a node's list of segments.
const ANSWER_LIMIT: usize = 8 << 20;
/// Most query nodes that are kept of a list.
const MOST_NODES: usize = 10_000;
/// Newer versions take no request without it, so that no browser can be made to send one.
const ADMIN_HEADER: &str = "x-milvus-admin-request";

const NODES: &str = "/management/querycoord/node/list";
const SUSPEND: &str = "/management/querycoord/node/suspend";
const RESUME: &str = "/management/querycoord/node/resume";
const DISTRIBUTION: &str = "/management/querycoord/distribution/get";
const TRANSFER_SEGMENT: &str = "/management/querycoord/transfer/segment";
const TRANSFER_CHANNEL: &str = "/management/querycoord/transfer/channel";
const BALANCE_STATUS: &str = "/management/querycoord/balance/status";

/// Why Milvus was not managed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ManagementError {
    /// It does not let itself be managed: 404, 401, 403 or 503.
    #[error("the management API is not to be had: {why}")]
    Absent {
        /// What it answered.
        why: String,
    },
    /// It was asked in vain.
    #[error("{reason}")]
    Failed {
        /// Why.
        reason: Reason,
    },
}

impl ManagementError {
    fn failed(kind: ReasonKind, text: impl Into<String>) -> Self {
        Self::Failed { reason: Reason::new(kind, text.into()) }
    }

    /// The same as a reason.
    pub fn into_reason(self) -> Reason {
        match self {
            Self::Absent { .. } => Reason::new(ReasonKind::Unsupported, self.to_string()),
            Self::Failed { reason } => reason,
        }
    }
}

/// The pages of one proxy.
#[derive(Debug, Clone)]
pub struct ManagementPages {
    client: Client,
    /// `http://host:port`.
    base: String,
    deadline: Instant,
}

/// The client for all of them. `authorization` is what goes into that header, if anything.
///
/// # Errors
/// When the login cannot be sent in a header.
pub fn management_client(authorization: Option<&str>) -> Result<Client, Reason> {
    let mut headers = HeaderMap::new();
    headers.insert(HeaderName::from_static(ADMIN_HEADER), HeaderValue::from_static("true"));
    if let Some(authorization) = authorization {
        let value = HeaderValue::from_str(authorization).map_err(|_| {
            Reason::new(ReasonKind::Unauthorized, "the credentials cannot be sent in a header")
        })?;
        headers.insert(AUTHORIZATION, value);
    }
    let builder = modest_client(Trust::Nobody).http1_only().default_headers(headers);
    builder
        .pool_max_idle_per_host(0)
        .build()
        .map_err(|error| Reason::new(ReasonKind::Connection, failure::describe(&error)))
}

/// What goes with a request.
type Form<'a> = &'a [(&'a str, i64)];

impl ManagementPages {
    /// The pages at `base`, all asked before `deadline`.
    pub fn new(client: Client, base: String, deadline: Instant) -> Self {
        Self { client, base, deadline }
    }

    /// The query nodes, without what they hold.
    pub async fn nodes(&self) -> Result<Vec<QueryNode>, ManagementError> {
        let listed: Listed = self.read(NODES, &[]).await?;
        Ok(listed.nodes.into_iter().take(MOST_NODES).map(Node::into_node).collect())
    }

    /// Adds what the node holds to it.
    pub async fn with_holdings(&self, node: QueryNode) -> Result<QueryNode, ManagementError> {
        let held: Distribution = self.read(DISTRIBUTION, &[("node_id", node.id)]).await?;
        Ok(QueryNode {
            segments: held.segments.map_or(0, |all| all.len() as u64),
            channels: held.channels.map_or(0, |all| all.len() as u64),
            ..node
        })
    }

    /// Whether somebody has suspended the balancing; `None` where this version does not say.
    pub async fn is_balance_suspended(&self) -> Result<Option<bool>, ManagementError> {
        match self.read::<BalanceStatus>(BALANCE_STATUS, &[]).await {
            Ok(status) => Ok(Some(status.status.to_ascii_lowercase().contains("suspend"))),
            // It came later than the rest.
            Err(ManagementError::Absent { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// From now on the node is given nothing more.
    pub async fn suspend(&self, node: i64) -> Result<(), ManagementError> {
        self.send(Method::POST, SUSPEND, &[("node_id", node)]).await.map(drop)
    }

    /// The node takes part again.
    pub async fn resume(&self, node: i64) -> Result<(), ManagementError> {
        self.send(Method::POST, RESUME, &[("node_id", node)]).await.map(drop)
    }

    /// Moves all channels of the node to the others, and then all segments: each is served where it
    /// was until it is where it goes.
    pub async fn empty(&self, node: i64) -> Result<(), ManagementError> {
        let form = [("source_node_id", node)];
        self.send(Method::POST, TRANSFER_CHANNEL, &form).await?;
        self.send(Method::POST, TRANSFER_SEGMENT, &form).await.map(drop)
    }

    async fn read<T: for<'a> Deserialize<'a>>(
        &self,
        path: &str,
        form: Form<'_>,
    ) -> Result<T, ManagementError> {
        let body = self.send(Method::GET, path, form).await?;
        serde_json::from_slice(&body).map_err(|error| {
            ManagementError::failed(ReasonKind::BadAnswer, format!("{path}: {error}"))
        })
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        form: Form<'_>,
    ) -> Result<Vec<u8>, ManagementError> {
        timeout_at(self.deadline, self.exchange(method, path, form)).await.unwrap_or_else(|_| {
            let text = format!("{path}: no answer in time");
            Err(ManagementError::failed(ReasonKind::Timeout, text))
        })
    }

    async fn exchange(
        &self,
        method: Method,
        path: &str,
        form: Form<'_>,
    ) -> Result<Vec<u8>, ManagementError> {
        // Numbers alone, which need no encoding.
        let pairs: Vec<String> = form.iter().map(|(key, value)| format!("{key}={value}")).collect();
        let pairs = pairs.join("&");
        let url = format!("{}{path}", self.base);
        let request = if method == Method::POST {
            let form = HeaderValue::from_static("application/x-www-form-urlencoded");
            self.client.post(url).header(CONTENT_TYPE, form).body(pairs)
        } else {
            self.client.get(format!("{url}?{pairs}"))
        };
        let failed = |error: reqwest::Error| {
            let Reason { kind, text } = failure::classify(&error);
            ManagementError::failed(kind, format!("{path}: {text}"))
        };
        let mut response = request.send().await.map_err(failed)?;
        let status = response.status().as_u16();
        let mut body = Vec::new();
        while let Some(part) = response.chunk().await.map_err(failed)? {
            if body.len() + part.len() > ANSWER_LIMIT {
                let text = format!("{path}: more than {} MiB", ANSWER_LIMIT >> 20);
                return Err(ManagementError::failed(ReasonKind::BadAnswer, text));
            }
            body.extend_from_slice(&part);
        }
        match status {
            200 => Ok(body),
            401 | 403 | 404 | 503 => {
                Err(ManagementError::Absent { why: format!("status {status} at {path}") })
            }
            _ => {
                let said = String::from_utf8_lossy(&body).into_owned();
                let text = format!("{path}: status {status}: {said}");
                Err(ManagementError::failed(ReasonKind::Status, text))
            }
        }
    }
}

#[derive(Deserialize)]
struct Listed {
    #[serde(rename = "nodeInfos", default)]
    nodes: Vec<Node>,
}

#[derive(Deserialize)]
struct Node {
    #[serde(rename = "ID", default, deserialize_with = "number")]
    id: i64,
    #[serde(default)]
    address: String,
    #[serde(default)]
    state: String,
}

impl Node {
    fn into_node(self) -> QueryNode {
        let state = self.state.to_ascii_lowercase();
        let state = if state.contains("suspend") {
            QueryNodeState::Suspended
        } else if state.contains("stopping") {
            QueryNodeState::Stopping
        } else {
            QueryNodeState::Normal
        };
        QueryNode { id: self.id, host: host_of(&self.address), state, segments: 0, channels: 0 }
    }
}

/// `10.0.0.7:21123` → `10.0.0.7`.
pub(super) fn host_of(address: &str) -> String {
    let host = address.rsplit_once(':').map_or(address, |(host, _)| host);
    host.trim_start_matches('[').trim_end_matches(']').to_owned()
}

#[derive(Deserialize)]
struct Distribution {
    #[serde(rename = "channel_names")]
    channels: Option<Vec<serde::de::IgnoredAny>>,
    #[serde(rename = "sealed_segmentIDs")]
    segments: Option<Vec<serde::de::IgnoredAny>>,
}

#[derive(Deserialize)]
struct BalanceStatus {
    status: String,
}

/// Numbers of 64 bits may come as text.
fn number<'de, D: Deserializer<'de>>(deserializer: D) -> Result<i64, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Either {
        Number(i64),
        Text(String),
    }
    match Either::deserialize(deserializer)? {
        Either::Number(number) => Ok(number),
        Either::Text(text) => text.parse().map_err(serde::de::Error::custom),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nodes_are_read_in_either_spelling_of_their_numbers() {
        let text = r#"{"nodeInfos":[{"ID":7,"address":"10.0.0.7:21123","state":"Suspend"},
            {"ID":"8","address":"[::1]:21123","state":"Normal"},{"state":"stopping"}]}"#;
        let listed: Listed = serde_json::from_str(text).unwrap();
        let nodes: Vec<_> = listed.nodes.into_iter().map(Node::into_node).collect();
        let seen: Vec<_> = nodes.iter().map(|node| (node.id, &*node.host, node.state)).collect();
        assert_eq!(
            seen,
            [
                (7, "10.0.0.7", QueryNodeState::Suspended),
                (8, "::1", QueryNodeState::Normal),
                (0, "", QueryNodeState::Stopping),
            ]
        );
        assert!(serde_json::from_str::<Listed>("{}").unwrap().nodes.is_empty());
    }

    #[test]
    fn an_empty_node_may_say_null_or_nothing() {
        for text in [r#"{"ID":7}"#, r#"{"channel_names":null,"sealed_segmentIDs":[]}"#] {
            let held: Distribution = serde_json::from_str(text).unwrap();
            assert_eq!(held.channels.map_or(0, |all| all.len()), 0);
            assert_eq!(held.segments.map_or(0, |all| all.len()), 0);
        }
    }
}

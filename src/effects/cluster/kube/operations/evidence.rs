//! What a person would want to see of pods before they are gone. Every piece is asked for by itself,
//! a few at a time, and all of them together have a deadline: what hangs costs nothing but itself.

use std::pin::pin;
use std::time::Duration;

use futures::{AsyncReadExt as _, StreamExt as _};
use k8s_openapi::api::core::v1 as core;
use kube::Api;
use kube::api::{ListParams, LogParams};
use tokio::time::{Instant, timeout_at};

use crate::effects::EvidenceRequest;
use crate::model::{Evidence, EvidenceSource};

use super::super::super::log_end::end_of;
use super::super::guard::LOG_LIMIT;
use super::super::problem::Problem;
use super::super::witness::{self, LogOf, Room};
use super::Operation;

/// All of it takes no longer than this.
const DEADLINE: Duration = Duration::from_secs(5);
/// One piece takes no longer than this, or than any request may.
const PIECE_DEADLINE: Duration = Duration::from_secs(3);
/// Pieces that are asked for at the same time.
const AT_ONCE: usize = 6;
/// More pods than these are not asked.
const PODS: usize = 8;
/// More events than these of one object are not read.
const EVENTS: u32 = 500;

/// One thing to ask for.
enum Piece {
    Events {
        kind: &'static str,
        name: String,
    },
    Log {
        pod: String,
        of: LogOf,
    },
    /// Nothing to ask for, but to be told.
    Missing {
        object: String,
        why: &'static str,
    },
}

impl Piece {
    fn source(&self) -> EvidenceSource {
        match self {
            Self::Events { .. } => EvidenceSource::Event,
            Self::Log { .. } | Self::Missing { .. } => EvidenceSource::Log,
        }
    }

    fn object(&self) -> String {
        match self {
            Self::Events { kind, name } => format!("{}/{name}", kind.to_lowercase()),
            Self::Log { pod, of } => format!("{pod}/{of}"),
            Self::Missing { object, .. } => object.clone(),
        }
    }
}

impl Operation<'_> {
    /// The ends of the logs and the newest events of the workload and of `request.pods`.
    pub async fn evidence(&self, request: &EvidenceRequest) -> Vec<Evidence> {
        let until = Instant::now() + DEADLINE;
        let pieces = self.pieces(request);
        let asked = pieces.into_iter().map(|piece| self.piece(piece, request, until));
        let mut found: Vec<Evidence> =
            futures::stream::iter(asked).buffered(AT_ONCE).collect().await;
        let mut room = Room::default();
        for evidence in &mut found {
            room.fit(evidence);
        }
        found
    }

    /// Events first: they are small and tell the most.
    fn pieces(&self, request: &EvidenceRequest) -> Vec<Piece> {
        let kind = self.workload.kind.as_str();
        let mut pieces = vec![Piece::Events { kind, name: self.workload.name.to_string() }];
        let (asked, left_out) = request.pods.split_at(request.pods.len().min(PODS));
        pieces.extend(asked.iter().map(|pod| Piece::Events { kind: "Pod", name: pod.to_string() }));
        let state = self.shared.state();
        for name in asked {
            match state.objects.pods.get(&**name) {
                Some(pod) => pieces.extend(
                    witness::logs(pod)
                        .into_iter()
                        .map(|of| Piece::Log { pod: name.to_string(), of }),
                ),
                None => pieces.push(Piece::Missing {
                    object: name.to_string(),
                    why: "no logs: the pod is gone",
                }),
            }
        }
        pieces.extend(left_out.iter().map(|pod| Piece::Missing {
            object: pod.to_string(),
            why: "left out: enough pods are asked",
        }));
        pieces
    }

    async fn piece(&self, piece: Piece, request: &EvidenceRequest, until: Instant) -> Evidence {
        let (source, object) = (piece.source(), piece.object().into());
        let patience = PIECE_DEADLINE.min(self.shared.settings.timing.request);
        let until = until.min(Instant::now() + patience);
        let text = match piece {
            Piece::Events { kind, name } => self.events(kind, &name, until).await,
            Piece::Log { pod, of } => self.log(&pod, &of, request, until).await,
            Piece::Missing { why, .. } => why.to_owned(),
        };
        Evidence { source, object, text }
    }

    async fn events(&self, kind: &str, name: &str, until: Instant) -> String {
        let fields = format!("involvedObject.kind={kind},involvedObject.name={name}");
        let params = ListParams::default().fields(&fields).limit(EVENTS);
        let request = async {
            // A slow answer says nothing about the connection that the watches share.
            let lease = self.shared.client.lease().await?;
            let api: Api<core::Event> = Api::namespaced(lease.client, &self.workload.namespace);
            api.list(&params).await.map_err(|error| Problem::from(&error))
        };
        match timeout_at(until, request).await {
            Ok(Ok(list)) => witness::events(list.items),
            Ok(Err(problem)) => format!("no events: {}", problem.reason()),
            Err(_) => "no events: no answer in time".to_owned(),
        }
    }

    async fn log(
        &self,
        pod: &str,
        of: &LogOf,
        request: &EvidenceRequest,
        until: Instant,
    ) -> String {
        let limit = usize::try_from(request.log_bytes).unwrap_or(LOG_LIMIT);
        let params = LogParams {
            container: Some(of.container.clone()),
            previous: of.is_previous,
            tail_lines: Some(i64::from(request.log_lines)),
            // The API cuts at the newest end; so more is asked for than is kept.
            limit_bytes: i64::try_from(LOG_LIMIT / 2).ok(),
            ..LogParams::default()
        };
        let mut bytes = Vec::new();
        let ended = timeout_at(until, self.read_log(pod, &params, &mut bytes)).await;
        let trouble = match ended {
            Ok(Ok(())) => None,
            Ok(Err(problem)) => Some(problem.reason().text),
            Err(_) => Some("no answer in time".to_owned()),
        };
        let text = end_of(&bytes, limit);
        match trouble {
            None => text,
            Some(why) if text.is_empty() => format!("no log: {why}"),
            Some(why) => format!("{text}\n(broken off: {why})"),
        }
    }

    /// What has arrived stays in `bytes`, however it ends.
    async fn read_log(
        &self,
        pod: &str,
        params: &LogParams,
        bytes: &mut Vec<u8>,
    ) -> Result<(), Problem> {
        let lease = self.shared.client.lease().await?;
        let api: Api<core::Pod> = Api::namespaced(lease.client, &self.workload.namespace);
        let stream = api.log_stream(pod, params).await.map_err(|error| Problem::from(&error))?;
        let mut stream = pin!(stream);
        let read = stream.read_to_end(bytes).await;
        read.map(|_| ()).map_err(|error| Problem::Broken { message: error.to_string() })
    }
}

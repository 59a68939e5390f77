//! A `coordination.k8s.io` Lease as the one object that says who is the leader. Reads and writes it
//! with optimistic concurrency; elects nobody and tries nothing again.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta};
use k8s_openapi::jiff;
use kube::api::PostParams;
use kube::{Api, Client};

use crate::effects::{ClusterError, LeaseStore};
use crate::model::{LeaseRecord, StoredLease, Timestamp};

use super::changes::FIELD_MANAGER;
use super::client::ClientHandle;
use super::problem::Problem;
use super::settings::Place;

/// Of a foreign holder's name no more is kept.
const HOLDER_LIMIT: usize = 253;

/// One Lease.
pub struct KubeLease {
    client: ClientHandle,
    place: Place,
    /// The whole object as it was seen last: what others have written into it is kept.
    newest: Mutex<Option<Lease>>,
}

impl KubeLease {
    /// The Lease at `place`. Asks nothing yet.
    pub fn new(place: Place) -> Self {
        let client = ClientHandle::new(place.source.clone(), place.timing());
        Self { client, place, newest: Mutex::new(None) }
    }

    fn api(&self, client: Client) -> Api<Lease> {
        Api::namespaced(client, &self.place.namespace)
    }

    fn fails(&self, operation: &'static str, problem: Problem) -> ClusterError {
        let Place { namespace, name, request, .. } = &self.place;
        let object = format!("lease/{name} in {namespace}");
        problem.cluster_error(operation, object, request.as_secs().max(1))
    }

    /// Remembers the object and gives what stands in it.
    fn seen(&self, operation: &'static str, lease: Lease) -> Result<StoredLease, ClusterError> {
        let Some(version) = lease.metadata.resource_version.clone() else {
            let message = "it came without a resource version".to_owned();
            return Err(self.fails(operation, Problem::Broken { message }));
        };
        let record = record_of(lease.spec.as_ref());
        *self.newest.lock().unwrap_or_else(PoisonError::into_inner) = Some(lease);
        Ok(StoredLease { record, version })
    }

    /// The object of `version` as it was seen, or a bare one.
    fn base(&self, version: &str) -> Lease {
        let newest = self.newest.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let is_it = |lease: &Lease| lease.metadata.resource_version.as_deref() == Some(version);
        newest.filter(is_it).unwrap_or_else(|| Lease {
            metadata: ObjectMeta {
                name: Some(self.place.name.to_string()),
                resource_version: Some(version.to_owned()),
                ..ObjectMeta::default()
            },
            spec: None,
        })
    }
}

#[async_trait]
impl LeaseStore for KubeLease {
    async fn read(&self) -> Result<Option<StoredLease>, ClusterError> {
        let name = &*self.place.name;
        let found =
            self.client.call(|client| async move { self.api(client).get(name).await }).await;
        match found {
            Ok(lease) => self.seen("read", lease).map(Some),
            // A namespace that does not exist shows when the lease is made.
            Err(problem) if problem.is_absent() => Ok(None),
            Err(problem) => Err(self.fails("read", problem)),
        }
    }

    async fn create(&self, record: &LeaseRecord) -> Result<StoredLease, ClusterError> {
        let name = Some(self.place.name.to_string());
        let lease = Lease {
            metadata: ObjectMeta { name, ..ObjectMeta::default() },
            spec: Some(written(None, record)),
        };
        let made = self
            .client
            .call(|client| async move { self.api(client).create(&post_params(), &lease).await });
        let made = made.await.map_err(|problem| self.fails("create", problem))?;
        self.seen("create", made)
    }

    async fn update(
        &self,
        version: &str,
        record: &LeaseRecord,
    ) -> Result<StoredLease, ClusterError> {
        let mut lease = self.base(version);
        lease.spec = Some(written(lease.spec.take(), record));
        let name = &*self.place.name;
        let answer = self.client.call(|client| async move {
            self.api(client).replace(name, &post_params(), &lease).await
        });
        let lease = answer.await.map_err(|problem| self.fails("update", problem))?;
        self.seen("update", lease)
    }
}

fn post_params() -> PostParams {
    PostParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PostParams::default() }
}

/// What stands in `spec`; numbers that make no sense become zero.
fn record_of(spec: Option<&LeaseSpec>) -> LeaseRecord {
    let Some(spec) = spec else { return LeaseRecord::default() };
    let time = |time: &Option<MicroTime>| {
        let millis = time.as_ref().map(|time| time.0.as_millisecond())?;
        u64::try_from(millis).ok().map(Timestamp::from_millis)
    };
    let number = |number: Option<i32>| u32::try_from(number.unwrap_or(0)).unwrap_or(0);
    let holder = spec.holder_identity.as_deref().unwrap_or_default().trim();
    LeaseRecord {
        holder: holder.chars().filter(|one| !one.is_control()).take(HOLDER_LIMIT).collect(),
        duration: Duration::from_secs(number(spec.lease_duration_seconds).into()),
        acquired_at: time(&spec.acquire_time),
        renewed_at: time(&spec.renew_time),
        transitions: number(spec.lease_transitions),
    }
}

/// `former` with what falconer writes.
fn written(former: Option<LeaseSpec>, record: &LeaseRecord) -> LeaseSpec {
    let time = |at: Option<Timestamp>| {
        let millis = i64::try_from(at?.as_millis()).ok()?;
        jiff::Timestamp::from_millisecond(millis).ok().map(MicroTime)
    };
    let holder = (!record.holder.is_empty()).then(|| record.holder.clone());
    LeaseSpec {
        holder_identity: holder,
        lease_duration_seconds: i32::try_from(record.duration.as_secs()).ok(),
        acquire_time: time(record.acquired_at),
        renew_time: time(record.renewed_at),
        lease_transitions: Some(i32::try_from(record.transitions).unwrap_or(i32::MAX)),
        ..former.unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_reads_back_and_nonsense_becomes_harmless() {
        let record = LeaseRecord {
            holder: "falconer-a".to_owned(),
            duration: Duration::from_secs(12),
            acquired_at: Some(Timestamp::from_millis(1_767_225_600_042)),
            renewed_at: Some(Timestamp::from_millis(1_767_225_601_000)),
            transitions: 3,
        };
        assert_eq!(record_of(Some(&written(None, &record))), record);
        let text = serde_json::to_string(&written(None, &record)).unwrap();
        // The API takes exactly six digits.
        assert!(text.contains("\"renewTime\":\"2026-01-01T00:00:01.000000Z\""), "{text}");
        let nonsense = LeaseSpec {
            holder_identity: Some(format!(" a\nb{}", "x".repeat(1_000))),
            lease_duration_seconds: Some(-5),
            lease_transitions: Some(i32::MIN),
            ..LeaseSpec::default()
        };
        let read = record_of(Some(&nonsense));
        assert_eq!((read.holder.len(), &read.holder[..3]), (HOLDER_LIMIT, "abx"));
        assert_eq!((read.duration, read.transitions), (Duration::ZERO, 0));
        assert_eq!(record_of(None), LeaseRecord::default());
    }
}

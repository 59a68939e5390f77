//! Reading, taking over and changing the ConfigMap of the state. Owns the rules of who may write;
//! keeps nothing between two calls.

use std::collections::BTreeMap;
use std::sync::Arc;

use k8s_openapi::api::core::v1::ConfigMap;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::{Patch, PatchParams, PostParams};
use kube::{Api, Client};
use serde_json::{Value, json};
use tokio::sync::watch;

use super::keys;
use super::{Changes, Entries};
use crate::clock::Clock;
use crate::effects::cluster::kube::changes::FIELD_MANAGER;
use crate::effects::cluster::kube::client::ClientHandle;
use crate::effects::cluster::kube::problem::Problem;
use crate::effects::cluster::kube::settings::Place;
use crate::effects::journal::StateError;
use crate::model::{Leadership, Timestamp};

/// The annotation with the number of the present owner: each that takes over writes the next one.
const EPOCH_KEY: &str = "falconer.io/epoch";
/// The annotation with the name of the present owner.
const OWNER_KEY: &str = "falconer.io/owner";
/// Keys and values together; the API takes 1 MiB with everything around.
const SIZE_LIMIT: usize = 900 << 10;
/// How often something is tried again that somebody else got in the way of.
const TRIES: u32 = 3;

/// The state as this falconer has taken it over and left it.
#[derive(Debug, Clone)]
pub struct Claim {
    /// The term of office in which it was taken over; `None` without an election.
    term: Option<Timestamp>,
    epoch: u64,
    version: String,
    /// As it stands there.
    data: BTreeMap<String, String>,
}

/// The one who reads and writes.
pub struct Keeper {
    client: ClientHandle,
    place: Place,
    identity: Arc<str>,
    leadership: watch::Receiver<Leadership>,
    clock: Clock,
    store: String,
}

impl Keeper {
    /// A keeper of the ConfigMap at `place`; `store` is its name in errors.
    pub fn new(
        place: Place,
        identity: Arc<str>,
        leadership: watch::Receiver<Leadership>,
        clock: Clock,
        store: String,
    ) -> Self {
        let client = ClientHandle::new(place.source.clone(), place.timing());
        Self { client, place, identity, leadership, clock, store }
    }

    /// Everything that is there. The leader takes it over; anybody else only looks.
    pub async fn load(&self) -> Result<(Entries, Option<Claim>), StateError> {
        let mut tries = 0;
        loop {
            let found = self.read().await?;
            let Ok(term) = self.term() else {
                return Ok((entries(&data_of(found)), None));
            };
            match self.take_over(found, term).await {
                Ok(claim) => return Ok((entries(&claim.data), Some(claim))),
                Err(StateError::Conflict { .. }) if tries < TRIES => tries += 1,
                Err(error) => return Err(error),
            }
        }
    }

    async fn take_over(
        &self,
        found: Option<ConfigMap>,
        term: Option<Timestamp>,
    ) -> Result<Claim, StateError> {
        let Some(found) = found else { return self.create(BTreeMap::new(), 1, term).await };
        let epoch = epoch_of(&found).map_or(1, |epoch| epoch.saturating_add(1));
        let version = found.metadata.resource_version;
        let metadata = json!({"resourceVersion": version, "annotations": self.marks(epoch)});
        let taken = self.patch(json!({"metadata": metadata})).await?;
        self.claimed(taken, epoch, term)
    }

    /// Makes `changes`, if the state is still the one of `claim`, and gives what is claimed now.
    pub async fn save(
        &self,
        claim: Option<Claim>,
        changes: &Changes,
    ) -> (Option<Claim>, Result<(), StateError>) {
        let Some(mut claim) = claim else {
            let why = "it was not loaded by this falconer as the leader";
            return (None, Err(self.fenced(self.term().err().as_deref().unwrap_or(why))));
        };
        let mut tries = 0;
        loop {
            match self.try_save(&mut claim, changes).await {
                Err(StateError::Conflict { .. }) if tries < TRIES => {
                    tries += 1;
                    if let Err(error) = self.read_again(&mut claim).await {
                        let is_lost = matches!(error, StateError::Fenced { .. });
                        return ((!is_lost).then_some(claim), Err(error));
                    }
                }
                answer => return (Some(claim), answer),
            }
        }
    }

    async fn try_save(&self, claim: &mut Claim, changes: &Changes) -> Result<(), StateError> {
        let term = self.term().map_err(|why| self.fenced(&why))?;
        if term != claim.term {
            return Err(self.fenced("it was not loaded since this falconer became the leader"));
        }
        let changes = self.encoded(claim, changes)?;
        if changes.is_empty() {
            return Ok(());
        }
        let mut data = claim.data.clone();
        for (key, value) in &changes {
            match value {
                Some(value) => data.insert(key.clone(), value.clone()),
                None => data.remove(key),
            };
        }
        let size: usize = data.iter().map(|(key, value)| key.len() + value.len()).sum();
        if size > SIZE_LIMIT {
            let why = format!("with these changes it has {size} bytes, more than {SIZE_LIMIT}");
            return Err(StateError::Refused { store: self.store.clone(), why });
        }
        let metadata = json!({"resourceVersion": claim.version});
        let saved = match self.patch(json!({"metadata": metadata, "data": changes})).await {
            // Somebody has deleted it: what it held is known.
            Err(StateError::Refused { why, .. }) if why == GONE => {
                *claim = self.create(data, claim.epoch, term).await?;
                return Ok(());
            }
            saved => saved?,
        };
        *claim = self.claimed(saved, claim.epoch, term)?;
        Ok(())
    }

    /// After somebody else has written: only a person may have, never another falconer.
    async fn read_again(&self, claim: &mut Claim) -> Result<(), StateError> {
        let Some(found) = self.read().await? else { return Ok(()) };
        let annotations = found.metadata.annotations.as_ref();
        let owner = annotations.and_then(|all| all.get(OWNER_KEY)).cloned().unwrap_or_default();
        if epoch_of(&found) != Some(claim.epoch) || *owner != *self.identity {
            let owner: String = owner.chars().filter(|one| !one.is_control()).take(100).collect();
            return Err(self.fenced(&format!("{owner:?} has taken it over")));
        }
        *claim = self.claimed(found, claim.epoch, claim.term)?;
        Ok(())
    }

    /// Those of `changes` that change something, as they are written.
    fn encoded(&self, claim: &Claim, changes: &Changes) -> Result<Changes, StateError> {
        let mut encoded = Changes::new();
        for (key, value) in changes {
            let Some(name) = keys::encode(key) else {
                let why = format!("no key of a ConfigMap can stand for {key:.60?}");
                return Err(StateError::Refused { store: self.store.clone(), why });
            };
            if claim.data.get(&name) != value.as_ref() {
                encoded.insert(name, value.clone());
            }
        }
        Ok(encoded)
    }

    /// The term of office in which this falconer may write until the end of a request.
    fn term(&self) -> Result<Option<Timestamp>, String> {
        match &*self.leadership.borrow() {
            Leadership::Standalone => Ok(None),
            Leadership::Leader { since, until } => {
                if self.clock.now() + self.place.request <= *until {
                    Ok(Some(*since))
                } else {
                    Err("the lease of this falconer is about to end".to_owned())
                }
            }
            Leadership::Follower { leader: Some(leader), .. } => Err(format!("{leader} leads")),
            Leadership::Follower { leader: None, .. } => Err("nobody leads yet".to_owned()),
            Leadership::Unknown { why, .. } => Err(format!("it is not known who leads: {why}")),
        }
    }

    fn marks(&self, epoch: u64) -> BTreeMap<String, String> {
        let marks = [(EPOCH_KEY, epoch.to_string()), (OWNER_KEY, self.identity.to_string())];
        marks.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()
    }

    fn claimed(
        &self,
        map: ConfigMap,
        epoch: u64,
        term: Option<Timestamp>,
    ) -> Result<Claim, StateError> {
        let Some(version) = map.metadata.resource_version.clone() else {
            let why = "it came without a resource version".to_owned();
            return Err(StateError::Unavailable { store: self.store.clone(), why });
        };
        Ok(Claim { term, epoch, version, data: map.data.unwrap_or_default() })
    }
}

/// The requests.
impl Keeper {
    fn api(&self, client: Client) -> Api<ConfigMap> {
        Api::namespaced(client, &self.place.namespace)
    }

    async fn read(&self) -> Result<Option<ConfigMap>, StateError> {
        let name = &*self.place.name;
        let found =
            self.client.call(|client| async move { self.api(client).get(name).await }).await;
        match found {
            Ok(map) => Ok(Some(map)),
            Err(problem) if problem.is_absent() => Ok(None),
            Err(problem) => Err(self.fails(&problem)),
        }
    }

    async fn patch(&self, patch: Value) -> Result<ConfigMap, StateError> {
        let (name, patch) = (&*self.place.name, Patch::Merge(patch));
        let params =
            PatchParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PatchParams::default() };
        let answer = self
            .client
            .call(|client| async move { self.api(client).patch(name, &params, &patch).await });
        answer.await.map_err(|problem| self.fails(&problem))
    }

    async fn create(
        &self,
        data: BTreeMap<String, String>,
        epoch: u64,
        term: Option<Timestamp>,
    ) -> Result<Claim, StateError> {
        let metadata = ObjectMeta {
            name: Some(self.place.name.to_string()),
            annotations: Some(self.marks(epoch)),
            ..ObjectMeta::default()
        };
        let map = ConfigMap { metadata, data: Some(data), ..ConfigMap::default() };
        let params =
            PostParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PostParams::default() };
        let answer =
            self.client.call(|client| async move { self.api(client).create(&params, &map).await });
        let made = answer.await.map_err(|problem| self.fails(&problem))?;
        self.claimed(made, epoch, term)
    }

    fn fenced(&self, why: &str) -> StateError {
        StateError::Fenced { store: self.store.clone(), why: why.to_owned() }
    }

    fn fails(&self, problem: &Problem) -> StateError {
        let store = self.store.clone();
        let why = problem.reason().text;
        match problem {
            Problem::Silent { .. } => StateError::Timeout { store, within: self.place.request },
            Problem::Api { code: 409, .. } => StateError::Conflict { store, why },
            Problem::Api { code: 404, .. } => StateError::Refused { store, why: GONE.to_owned() },
            Problem::Api { code: 400 | 403 | 413 | 422, .. } => StateError::Refused { store, why },
            Problem::Api { .. }
            | Problem::Budget { .. }
            | Problem::Credentials { .. }
            | Problem::Configuration { .. }
            | Problem::Broken { .. } => StateError::Unavailable { store, why },
        }
    }
}

const GONE: &str = "there is no such object or namespace";

fn epoch_of(map: &ConfigMap) -> Option<u64> {
    map.metadata.annotations.as_ref()?.get(EPOCH_KEY)?.parse().ok()
}

fn data_of(map: Option<ConfigMap>) -> BTreeMap<String, String> {
    map.and_then(|map| map.data).unwrap_or_default()
}

/// What falconer wrote; keys that it would never write are somebody else's.
fn entries(data: &BTreeMap<String, String>) -> Entries {
    data.iter().filter_map(|(key, value)| Some((keys::decode(key)?, value.clone()))).collect()
}

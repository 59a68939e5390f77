//! Keeps one kind of object up to date with a list and a watch, for ever. Owns the back-off and
//! what each kind of failure leads to; draws no conclusions from the objects.

use std::fmt::Debug;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures::{Stream, StreamExt};
use kube::runtime::watcher::{self, Event, watcher};
use kube::{Api, Client, Resource, ResourceExt};
use serde::de::DeserializeOwned;
use tokio::time::{Instant, sleep, timeout_at};

use super::objects::{ByName, Objects};
use super::problem::Problem;
use super::settings::Timing;
use super::state::{Shared, Trouble, WatchKind};

/// Objects asked for in one page of a list.
const PAGE: u32 = 100;
/// More objects than this of one kind in one namespace are not kept.
const OBJECT_LIMIT: usize = 20_000;
/// A watch that lives this long is sound again.
const SOUND_AFTER: Duration = Duration::from_secs(2);

/// How objects of one kind are had and where they are put.
#[derive(Clone)]
pub struct Source<K> {
    /// Which watch this is.
    pub kind: WatchKind,
    /// The API of a namespace.
    pub api: fn(Client, &str) -> Api<K>,
    /// Where they are kept.
    pub slot: fn(&mut Objects) -> &mut ByName<K>,
    /// Drops what nobody reads.
    pub trim: fn(&mut K),
}

/// How one list-and-watch ended.
struct Ended {
    problem: Problem,
    /// How long the watch lasted after the list was complete; `None` where it never was.
    lived: Option<Duration>,
}

/// Lists and watches for ever.
pub async fn keep<K>(shared: Arc<Shared>, source: Source<K>)
where
    K: Resource + Clone + DeserializeOwned + Debug + Send + Sync + 'static,
{
    let mut backoff = Backoff::new(shared.settings.timing);
    let mut is_doubtful = false;
    loop {
        let ended = once(&shared, &source, is_doubtful).await;
        let was_sound = ended.lived.is_some_and(|lived| lived >= SOUND_AFTER);
        is_doubtful = ended.lived.is_some() && !was_sound && !ended.problem.is_expired();
        if was_sound {
            backoff = Backoff::new(shared.settings.timing);
        }
        if ended.problem.is_absent() && source.kind.may_be_absent() {
            shared.change(|state| (source.slot)(&mut state.objects).clear());
            shared.set_trouble(source.kind, Some(Trouble::Absent));
            sleep(shared.settings.timing.absent_recheck).await;
            continue;
        }
        // An expired watch is everyday business, and one that breaks after a sound life may only
        // have lost its connection: the list that follows at once tells.
        if !was_sound && !ended.problem.is_expired() {
            let reason = ended.problem.reason();
            shared.set_trouble(source.kind, Some(Trouble::Failed(reason)));
            sleep(backoff.pause()).await;
        } else {
            sleep(shared.settings.timing.retry_initial).await;
        }
    }
}

/// `is_doubtful`: the watch broke right after its list the last time, so that a complete list
/// alone does not prove that it works now.
async fn once<K>(shared: &Shared, source: &Source<K>, is_doubtful: bool) -> Ended
where
    K: Resource + Clone + DeserializeOwned + Debug + Send + Sync + 'static,
{
    let lease = match shared.client.lease().await {
        Ok(lease) => lease,
        Err(problem) => return Ended { problem, lived: None },
    };
    let api = (source.api)(lease.client, &shared.settings.namespace);
    let seconds = shared.settings.timing.watch.as_secs().clamp(1, 290);
    let config =
        watcher::Config::default().page_size(PAGE).timeout(u32::try_from(seconds).unwrap_or(290));
    let mut events = pin!(watcher(api, config));
    let mut following =
        Following { shared, source, listing: ByName::new(), since: None, is_doubtful };
    let problem = loop {
        let folded = match following.next(&mut events).await {
            Some(Ok(event)) => following.fold(event),
            Some(Err(error)) => Err(Problem::from(&error)),
            None => Err(Problem::Broken { message: "the watch ended".to_owned() }),
        };
        if let Err(problem) = folded {
            break problem;
        }
    };
    if problem.wants_new_client() {
        shared.client.discard(lease.generation).await;
    }
    Ended { problem, lived: following.since.map(|since| since.elapsed()) }
}

/// One list and the watch that follows it.
struct Following<'a, K> {
    shared: &'a Shared,
    source: &'a Source<K>,
    listing: ByName<K>,
    since: Option<Instant>,
    is_doubtful: bool,
}

impl<K: Resource> Following<'_, K> {
    /// When a doubtful watch will have proved itself.
    fn sound_at(&self) -> Option<Instant> {
        self.since.filter(|_| self.is_doubtful).map(|since| since + SOUND_AFTER)
    }

    /// The next event; meanwhile a doubtful watch may prove itself.
    async fn next<E>(&mut self, events: &mut (impl Stream<Item = E> + Unpin)) -> Option<E> {
        loop {
            let Some(at) = self.sound_at() else { return events.next().await };
            if let Ok(event) = timeout_at(at, events.next()).await {
                return event;
            }
            self.is_doubtful = false;
            self.shared.set_trouble(self.source.kind, None);
        }
    }

    fn fold(&mut self, event: Event<K>) -> Result<(), Problem> {
        match event.modify(self.source.trim) {
            Event::Init => self.listing.clear(),
            Event::InitApply(object) => {
                self.listing.insert(object.name_any(), object);
                if self.listing.len() > OBJECT_LIMIT {
                    let message = format!("more than {OBJECT_LIMIT} objects in the namespace");
                    return Err(Problem::Broken { message });
                }
            }
            Event::InitDone => self.on_listed(),
            Event::Apply(object) => self.shared.change(|state| {
                let objects = (self.source.slot)(&mut state.objects);
                if objects.len() < OBJECT_LIMIT {
                    objects.insert(object.name_any(), object);
                }
            }),
            Event::Delete(object) => self.shared.change(|state| {
                (self.source.slot)(&mut state.objects).remove(&object.name_any());
            }),
        }
        Ok(())
    }

    /// The old objects stay until the new list is complete.
    fn on_listed(&mut self) {
        let listing = std::mem::take(&mut self.listing);
        self.since = Some(Instant::now());
        self.shared.change(|state| {
            *(self.source.slot)(&mut state.objects) = listing;
            state.health.entry(self.source.kind).or_default().synced = true;
        });
        if !self.is_doubtful {
            self.shared.set_trouble(self.source.kind, None);
        }
    }
}

/// Growing pauses with jitter, so that many falconers do not ask in step.
struct Backoff {
    next: Duration,
    max: Duration,
}

impl Backoff {
    fn new(timing: Timing) -> Self {
        Self { next: timing.retry_initial, max: timing.retry_max }
    }

    fn pause(&mut self) -> Duration {
        let pause = self.next;
        self.next = (self.next * 2).min(self.max);
        pause.mul_f64(0.8 + 0.4 * fastrand::f64())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_their_maximum_with_jitter_and_begin_anew_after_a_sound_watch() {
        let mut backoff = Backoff::new(Timing::default());
        let pauses: Vec<f64> = (0..9).map(|_| backoff.pause().as_secs_f64()).collect();
        for (pause, expected) in pauses.iter().zip([0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0]) {
            assert!((pause / expected - 1.0).abs() <= 0.2, "{pauses:?}");
        }
        assert!(pauses[7].to_bits() != pauses[8].to_bits(), "no two are in step: {pauses:?}");
        assert!(Backoff::new(Timing::default()).pause() <= Duration::from_millis(600));
    }
}

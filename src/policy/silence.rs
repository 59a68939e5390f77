//! The silences that people made: which can be, which are in force, and what of them survives that
//! falconer is killed. Pure; what is quiet because of them says `quiet`.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::model::state::of_kind;
use crate::model::{
    Held, Matchers, NewSilence, Silence, SilencePhase, StateChanges, StoredState, Timestamp,
};

/// No silence is longer.
pub const LONGEST_SILENCE: Duration = Duration::from_hours(365 * 24);
/// So many are known at most, those that are over included: they share a ConfigMap with everything
/// else that must survive.
pub const MOST_SILENCES: usize = 200;
/// What is over is shown for so long.
const REMEMBERED_FOR: Duration = Duration::from_hours(7 * 24);
/// No comment is longer, in characters.
const LONGEST_COMMENT: usize = 300;
/// No name or pattern is longer, in characters.
const LONGEST_NAME: usize = 100;

/// What the keys of silences begin with.
const KIND: &str = "silence";
/// The form of the text; one that this version does not know is not read.
const FORM: u32 = 1;

/// What identifiers are made of: nothing that is read aloud or seen as something else.
const LETTERS: &[u8; 31] = b"abcdefghjkmnpqrstuvwxyz23456789";
/// How long an identifier is.
const ID_LENGTH: u32 = 6;

/// Why a silence is not made; a closed set.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SilenceRefusal {
    /// It would be about everything.
    #[error("a silence must say what it is about: a component, a cluster or a severity")]
    AboutEverything,
    /// A pattern is empty or too long.
    #[error("{0} must have 1 to {LONGEST_NAME} letters, none of them a control character")]
    BadName(&'static str),
    /// It ends before it begins.
    #[error("a silence must end after it begins: {starts_at} is not before {ends_at}")]
    Backwards {
        /// Its beginning.
        starts_at: Timestamp,
        /// Its end.
        ends_at: Timestamp,
    },
    /// It would be over already.
    #[error("a silence must end in the future: {ends_at} is past")]
    Past {
        /// Its end.
        ends_at: Timestamp,
    },
    /// It would be forgotten by those who made it.
    #[error("a silence ends within a year at most")]
    TooLong,
    /// Nobody would know why.
    #[error("a silence must say why: a comment of 1 to {LONGEST_COMMENT} characters")]
    BadComment,
    /// What acts does not know how bad an incident is.
    #[error("a severity is about alerts: what holds {0} must not name one")]
    SeverityHolds(&'static str),
    /// There are too many.
    #[error("there are {MOST_SILENCES} silences already, and none is over; expire some")]
    Full,
}

/// Why a silence does not end now; a closed set.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ExpireRefusal {
    /// There is none.
    #[error("there is no silence {0}")]
    Unknown(String),
    /// It is over.
    #[error("silence {id} is over since {since}")]
    Over {
        /// Its identifier.
        id: Arc<str>,
        /// Since when.
        since: Timestamp,
    },
}

/// All silences that are known.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SilenceBook {
    silences: BTreeMap<Arc<str>, Silence>,
    /// Those that are over and of whose end somebody has taken note.
    noted: BTreeSet<Arc<str>>,
    /// Those that have changed since that was last saved.
    touched: BTreeSet<Arc<str>>,
}

#[derive(Serialize, Deserialize)]
struct Stored<S> {
    form: u32,
    /// Whether somebody has taken note of its end.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    noted: bool,
    #[serde(flatten)]
    silence: S,
}

impl SilenceBook {
    /// All of them; those that end first come first.
    pub fn all(&self) -> Vec<Silence> {
        let mut all: Vec<Silence> = self.silences.values().cloned().collect();
        all.sort_by(|left, right| (left.ends_at, &left.id).cmp(&(right.ends_at, &right.id)));
        all
    }

    /// Those that are in force.
    pub fn active(&self, now: Timestamp) -> impl Iterator<Item = &Silence> {
        self.silences.values().filter(move |silence| silence.phase(now) == SilencePhase::Active)
    }

    /// When the next one begins or ends.
    pub fn next_change(&self, now: Timestamp) -> Option<Timestamp> {
        let edges = self.silences.values().flat_map(|silence| [silence.starts_at, silence.ends_at]);
        edges.filter(|edge| *edge > now).min()
    }

    /// Makes one. `random` is any number; the identifier is made of it.
    ///
    /// # Errors
    /// Why not.
    pub fn add(
        &mut self,
        wanted: NewSilence,
        random: u64,
        now: Timestamp,
    ) -> Result<Silence, SilenceRefusal> {
        let mut wanted = wanted;
        wanted.starts_at = wanted.starts_at.max(now);
        check(&wanted, now)?;
        self.forget(now);
        self.make_room(now)?;
        let NewSilence { matchers, mut holds, starts_at, ends_at, created_by, comment } = wanted;
        holds.insert(Held::Alerts);
        let mut ids = (0..).map(|more| id_of(random.wrapping_add(more)));
        let id = ids.find(|id| !self.is_known(id));
        let silence = Silence {
            id: id.unwrap_or_default(),
            matchers,
            holds,
            starts_at,
            ends_at,
            created_at: now,
            created_by: one_line(&created_by, LONGEST_NAME),
            comment: one_line(&comment, LONGEST_COMMENT),
            expired_by: None,
        };
        self.touched.insert(Arc::clone(&silence.id));
        self.silences.insert(Arc::clone(&silence.id), silence.clone());
        Ok(silence)
    }

    /// Ends one before its time.
    ///
    /// # Errors
    /// Why not.
    pub fn expire(&mut self, id: &str, by: &str, now: Timestamp) -> Result<Silence, ExpireRefusal> {
        let unknown = || ExpireRefusal::Unknown(one_line(id, LONGEST_NAME));
        let silence = self.silences.get_mut(id).ok_or_else(unknown)?;
        if silence.phase(now) == SilencePhase::Expired {
            return Err(ExpireRefusal::Over {
                id: Arc::clone(&silence.id),
                since: silence.ends_at,
            });
        }
        silence.ends_at = now;
        silence.starts_at = silence.starts_at.min(now);
        silence.expired_by = Some(one_line(by, LONGEST_NAME));
        self.noted.insert(Arc::clone(&silence.id));
        self.touched.insert(Arc::clone(&silence.id));
        Ok(silence.clone())
    }

    /// Those that ended by their time since the last call, each of them once and also after a
    /// restart; those that ended first come first.
    pub fn take_ended(&mut self, now: Timestamp) -> Vec<Silence> {
        let ended = self.silences.values().filter(|silence| {
            silence.phase(now) == SilencePhase::Expired && !self.noted.contains(&silence.id)
        });
        let mut ended: Vec<Silence> = ended.cloned().collect();
        ended.sort_by(|left, right| (left.ends_at, &left.id).cmp(&(right.ends_at, &right.id)));
        let ids = ended.iter().map(|silence| Arc::clone(&silence.id));
        self.touched.extend(ids.clone());
        self.noted.extend(ids);
        ended
    }

    fn is_known(&self, id: &str) -> bool {
        self.silences.contains_key(id)
    }

    /// Forgets what is over for long, once somebody has taken note of that.
    pub fn forget(&mut self, now: Timestamp) {
        let Self { silences, noted, touched } = self;
        let old = silences.extract_if(.., |id, silence| {
            noted.contains(id)
                && silence.phase(now) == SilencePhase::Expired
                && now.since(silence.ends_at) > REMEMBERED_FOR
        });
        let old: Vec<Arc<str>> = old.map(|(id, _)| id).collect();
        for id in old {
            noted.remove(&id);
            touched.insert(id);
        }
    }

    /// Forgets what is over where there is no room for another one; the oldest first.
    fn make_room(&mut self, now: Timestamp) -> Result<(), SilenceRefusal> {
        while self.silences.len() >= MOST_SILENCES {
            let over = self.silences.values().filter(|one| one.phase(now) == SilencePhase::Expired);
            let oldest = over.min_by_key(|silence| silence.ends_at).map(|one| Arc::clone(&one.id));
            let oldest = oldest.ok_or(SilenceRefusal::Full)?;
            self.silences.remove(&oldest);
            self.noted.remove(&oldest);
            self.touched.insert(oldest);
        }
        Ok(())
    }

    /// What has changed since the last call.
    pub fn take_changes(&mut self) -> StateChanges {
        let touched = std::mem::take(&mut self.touched);
        touched.iter().map(|id| (key(id), self.text_of(id))).collect()
    }

    /// Everything that is kept.
    pub fn export(&self) -> StoredState {
        self.silences.keys().filter_map(|id| Some((key(id), self.text_of(id)?))).collect()
    }

    fn text_of(&self, id: &str) -> Option<String> {
        let silence = self.silences.get(id)?;
        let noted = self.noted.contains(id);
        serde_json::to_string(&Stored { form: FORM, noted, silence }).ok()
    }

    /// Knows what is `stored` and nothing else: it was made where everybody else is told. Gives the
    /// keys whose text makes no sense.
    pub fn adopt(&mut self, stored: &StoredState, now: Timestamp) -> Vec<String> {
        *self = Self::default();
        let mut unreadable = Vec::new();
        for (stored_as, text) in of_kind(stored, KIND) {
            match read(stored_as, text) {
                Some(Stored { noted, silence, .. }) => {
                    // One that was ended by hand was written down then, also by a former version.
                    if noted || silence.expired_by.is_some() {
                        self.noted.insert(Arc::clone(&silence.id));
                    }
                    self.silences.insert(Arc::clone(&silence.id), silence);
                }
                None => unreadable.push(stored_as.clone()),
            }
        }
        self.forget(now);
        unreadable
    }
}

fn check(wanted: &NewSilence, now: Timestamp) -> Result<(), SilenceRefusal> {
    let NewSilence { matchers, holds, starts_at, ends_at, comment, .. } = wanted;
    if matchers.is_empty() {
        return Err(SilenceRefusal::AboutEverything);
    }
    check_matchers(matchers, holds)?;
    if *ends_at <= now {
        return Err(SilenceRefusal::Past { ends_at: *ends_at });
    }
    if ends_at <= starts_at {
        return Err(SilenceRefusal::Backwards { starts_at: *starts_at, ends_at: *ends_at });
    }
    if ends_at.since(now) > LONGEST_SILENCE {
        return Err(SilenceRefusal::TooLong);
    }
    if comment.trim().is_empty() || comment.chars().count() > LONGEST_COMMENT {
        return Err(SilenceRefusal::BadComment);
    }
    Ok(())
}

/// Whether `matchers` make sense for something that holds `holds`.
///
/// # Errors
/// Why not.
pub fn check_matchers(matchers: &Matchers, holds: &BTreeSet<Held>) -> Result<(), SilenceRefusal> {
    for (name, pattern) in [("cluster", &matchers.cluster), ("component", &matchers.component)] {
        let is_fine = |pattern: &Arc<str>| {
            (1..=LONGEST_NAME).contains(&pattern.chars().count())
                && !pattern.chars().any(char::is_control)
        };
        if !pattern.as_ref().is_none_or(is_fine) {
            return Err(SilenceRefusal::BadName(name));
        }
    }
    let acts = holds.iter().find(|held| **held != Held::Alerts);
    match (acts, matchers.severity) {
        (Some(held), Some(_)) => Err(SilenceRefusal::SeverityHolds(held.as_str())),
        (Some(_) | None, _) => Ok(()),
    }
}

fn key(id: &str) -> String {
    format!("{KIND}/{id}")
}

/// `None` where the text makes no sense.
fn read(stored_as: &str, text: &str) -> Option<Stored<Silence>> {
    let stored = serde_json::from_str::<Stored<Silence>>(text).ok()?;
    (stored.form == FORM && key(&stored.silence.id) == stored_as).then_some(stored)
}

/// Scatters `seed`, so that numbers beside each other look nothing alike; see Steele, Lea and Flood,
/// "Fast splittable pseudorandom number generators" (2014).
fn id_of(seed: u64) -> Arc<str> {
    let mut rest = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    rest = (rest ^ (rest >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    rest = (rest ^ (rest >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    rest ^= rest >> 31;
    let base = LETTERS.len() as u64;
    let letter = |place: u32| char::from(LETTERS[(rest / base.pow(place) % base) as usize]);
    (0..ID_LENGTH).map(letter).collect::<String>().into()
}

/// One harmless line of at most `limit` characters.
pub fn one_line(text: &str, limit: usize) -> String {
    let text = text.trim().chars().take(limit);
    text.map(|letter| if letter.is_control() { ' ' } else { letter }).collect()
}

#[cfg(test)]
mod tests;

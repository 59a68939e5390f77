//! What can be silenced, for how long, and what is kept of it.

use super::*;
use crate::model::Severity;

fn at(seconds: u64) -> Timestamp {
    Timestamp::from_millis((1_767_225_600 + seconds) * 1_000)
}

fn wanted(component: &str, from: u64, to: u64) -> NewSilence {
    NewSilence {
        matchers: Matchers { component: Some(component.into()), ..Matchers::default() },
        holds: BTreeSet::new(),
        starts_at: at(from),
        ends_at: at(to),
        created_by: "ada@host".into(),
        comment: "new disks".into(),
    }
}

#[test]
fn a_silence_is_in_force_from_its_beginning_to_just_before_its_end() {
    let mut book = SilenceBook::default();
    let silence = book.add(wanted("proxy", 10, 20), 7, at(0)).unwrap();
    assert_eq!(silence.holds, BTreeSet::from([Held::Alerts]));
    let active = |now: u64| book.active(at(now)).count();
    assert_eq!([active(9), active(10), active(19), active(20)], [0, 1, 1, 0]);
    assert_eq!(book.next_change(at(0)), Some(at(10)));
    assert_eq!(book.next_change(at(10)), Some(at(20)));
    assert_eq!(book.next_change(at(20)), None);
}

#[test]
fn what_makes_no_sense_is_refused_with_what_to_do() {
    type Spoil<'a> = &'a dyn Fn(&mut NewSilence);
    let refused = |change: Spoil<'_>| {
        let mut one = wanted("proxy", 0, 60);
        change(&mut one);
        SilenceBook::default().add(one, 0, at(5)).unwrap_err().to_string()
    };
    let cases: [(Spoil<'_>, &str); 10] = [
        (&|one| one.matchers = Matchers::default(), "must say what it is about"),
        (&|one| one.matchers.cluster = Some("".into()), "cluster must have 1 to 100 letters"),
        (&|one| one.matchers.component = Some("a\nb".into()), "component must have 1 to 100"),
        (&|one| one.ends_at = at(5), "must end in the future"),
        (&|one| one.ends_at = at(0), "must end in the future"),
        (&|one| one.starts_at = at(60), "must end after it begins"),
        (&|one| one.ends_at = at(366 * 86_400), "within a year"),
        (&|one| one.comment = " ".into(), "must say why"),
        (&|one| one.comment = "x".repeat(301), "must say why"),
        (
            &|one| {
                one.matchers.severity = Some(Severity::Warning);
                one.holds.insert(Held::Recovery);
            },
            "what holds recovery must not name one",
        ),
    ];
    for (change, words) in cases {
        let error = refused(change);
        assert!(error.contains(words), "{error:?} does not say {words:?}");
    }
}

#[test]
fn a_silence_that_was_to_begin_in_the_past_begins_now() {
    let mut book = SilenceBook::default();
    assert_eq!(book.add(wanted("proxy", 0, 60), 0, at(30)).unwrap().starts_at, at(30));
}

#[test]
fn one_is_ended_by_hand_once_and_says_by_whom() {
    let mut book = SilenceBook::default();
    let id = book.add(wanted("proxy", 50, 100), 1, at(0)).unwrap().id;
    let ended = book.expire(&id, "bob", at(30)).unwrap();
    assert_eq!((ended.ends_at, ended.expired_by.as_deref()), (at(30), Some("bob")));
    assert_eq!(ended.phase(at(30)), SilencePhase::Expired, "also one that had not begun");
    let again = book.expire(&id, "bob", at(31)).unwrap_err();
    assert_eq!(again, ExpireRefusal::Over { id, since: at(30) });
    assert!(matches!(book.expire("nosuch", "bob", at(31)), Err(ExpireRefusal::Unknown(_))));
}

#[test]
fn there_is_room_for_two_hundred_and_what_is_over_makes_room_first() {
    let mut book = SilenceBook::default();
    for number in 0..MOST_SILENCES as u64 {
        // The same random number each time: identifiers are unique all the same.
        book.add(wanted("proxy", 0, 1_000 + number), 5, at(0)).unwrap();
    }
    assert_eq!(book.all().len(), MOST_SILENCES);
    assert_eq!(book.add(wanted("proxy", 0, 60), 5, at(0)), Err(SilenceRefusal::Full));
    let oldest = book.all()[0].id.clone();
    book.add(wanted("proxy", 0, 5_000), 9_000, at(1_000)).unwrap();
    assert!(!book.is_known(&oldest) && book.all().len() == MOST_SILENCES);
    assert_eq!(book.take_changes().get(&key(&oldest)), Some(&None));
}

#[test]
fn what_is_stored_is_known_again_and_what_is_long_over_is_forgotten() {
    let mut book = SilenceBook::default();
    let id = book.add(wanted("proxy", 0, 60), 1, at(0)).unwrap().id;
    book.add(wanted("etcd", 0, 90_000), 2, at(0)).unwrap();
    let changes = book.take_changes();
    assert_eq!(changes.len(), 2);
    assert!(book.take_changes().is_empty());
    let mut stored = book.export();
    let mut other = SilenceBook::default();
    other.add(wanted("old", 0, 60), 9, at(0)).unwrap();
    stored.insert("silence/odd".into(), "{}".into());
    assert_eq!(other.adopt(&stored, at(100)), ["silence/odd"]);
    assert_eq!(other.all(), book.all(), "and what was not stored is not known");
    assert!(other.take_changes().is_empty());
    other.forget(at(60 + 7 * 86_400 + 1));
    assert!(other.is_known(&id), "nobody has taken note of its end");
    other.take_ended(at(60 + 7 * 86_400 + 1));
    other.forget(at(60 + 7 * 86_400 + 1));
    assert!(!other.is_known(&id));
    assert_eq!(other.take_changes().get(&key(&id)), Some(&None));
}

#[test]
fn the_end_of_one_is_noted_once_also_after_a_restart() {
    let mut book = SilenceBook::default();
    let add = |book: &mut SilenceBook, component, to| {
        book.add(wanted(component, 0, to), to, at(0)).unwrap().id
    };
    let (late, early) = (add(&mut book, "late", 90), add(&mut book, "early", 60));
    let by_hand = add(&mut book, "by-hand", 70);
    book.expire(&by_hand, "bob", at(50)).unwrap();
    book.take_changes();
    let ended = |book: &mut SilenceBook, now| {
        book.take_ended(at(now)).into_iter().map(|silence| silence.id).collect::<Vec<_>>()
    };
    let restart = |book: &SilenceBook, now| {
        let mut other = SilenceBook::default();
        assert!(other.adopt(&book.export(), at(now)).is_empty());
        other
    };
    assert_eq!(ended(&mut book, 59), []);
    let before = restart(&book, 59);
    assert_eq!(ended(&mut book, 60), [Arc::clone(&early)]);
    assert_eq!(book.take_changes().into_keys().collect::<Vec<_>>(), [key(&early)]);
    assert_eq!(ended(&mut book, 60), []);
    let mut after = restart(&book, 60);
    assert_eq!(ended(&mut after, 90), [Arc::clone(&late)]);
    assert_eq!(ended(&mut restart(&after, 90), 90), []);
    // Ten days without any falconer.
    let ten_days = 10 * 86_400;
    assert_eq!(ended(&mut restart(&before, ten_days), ten_days), [early, late]);
}

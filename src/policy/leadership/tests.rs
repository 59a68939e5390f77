//! Single candidates step by step, and several with clocks that drift, against one Lease over a
//! network that loses and delays: at no instant two believe to be the leader.

use proptest::prelude::*;

use super::*;
use crate::model::{Leadership, LeaseRecord, StoredLease, Timestamp};

const START: Timestamp = Timestamp::from_millis(1_767_225_600_000);

fn at(seconds: f64) -> Timestamp {
    START + Duration::from_secs_f64(seconds)
}

fn settings(identity: &str) -> ElectionSettings {
    ElectionSettings { identity: identity.into(), lease_duration: Duration::from_secs(15) }
}

fn held_by(holder: &str, renewal: u64, version: u64) -> StoredLease {
    StoredLease {
        record: LeaseRecord {
            holder: holder.to_owned(),
            duration: Duration::from_secs(12),
            renewed_at: Some(Timestamp::from_millis(renewal)),
            ..LeaseRecord::default()
        },
        version: version.to_string(),
    }
}

/// A candidate that has become the leader with a request that began at 0 s.
fn leader(identity: &str) -> Election {
    let mut election = Election::new(settings(identity), START);
    election.on_read(None, 0.5, START);
    let ElectionStep::Create(record) = election.step(START) else { panic!("a new lease") };
    let written = StoredLease { record, version: "1".to_owned() };
    election.on_written(written, START, 0.5, at(0.1));
    election
}

fn leads(election: &Election, now: Timestamp) -> bool {
    matches!(election.leadership(now), Leadership::Leader { .. })
}

#[test]
fn a_leader_counts_from_the_beginning_of_its_request_and_stops_before_anybody_takes_over() {
    let election = leader("a");
    let until = at(10.8);
    assert_eq!(settings("a").promise(), Duration::from_secs(12));
    assert_eq!(election.leadership(at(1.0)), Leadership::Leader { since: at(0.1), until });
    assert!(leads(&election, at(10.7)) && !leads(&election, until));
    assert!(election.is_mine());
}

#[test]
fn a_follower_takes_the_lease_only_after_it_saw_no_change_for_the_promised_time() {
    let mut election = Election::new(settings("b"), START);
    // However old the wall clock times in it look.
    election.on_read(Some(held_by("a", 1, 1)), 0.5, at(0.0));
    assert_eq!(election.step(at(1.0)), ElectionStep::WaitUntil(at(2.0)));
    assert_eq!(election.step(at(2.0)), ElectionStep::Read);
    election.on_read(Some(held_by("a", 2, 2)), 0.5, at(2.0));
    for second in [4.0, 6.0, 8.0, 10.0, 12.0, 13.5] {
        // Another version alone, say by an annotation, is no sign of life.
        election.on_read(Some(held_by("a", 2, 3)), 0.5, at(second));
        assert!(matches!(election.leadership(at(second)), Leadership::Follower { .. }));
    }
    assert_eq!(election.step(at(13.9)), ElectionStep::WaitUntil(at(14.0)));
    let ElectionStep::Update { version, record } = election.step(at(14.0)) else { panic!("taken") };
    assert_eq!((version.as_str(), record.holder.as_str(), record.transitions), ("3", "b", 1));
}

#[test]
fn a_lease_that_was_given_up_is_taken_at_once_and_one_that_was_deleted_is_not() {
    let mut election = Election::new(settings("b"), START);
    election.on_read(Some(held_by("a", 1, 1)), 0.5, START);
    election.on_read(None, 0.5, at(1.0));
    assert!(matches!(election.step(at(11.9)), ElectionStep::WaitUntil(_) | ElectionStep::Read));
    assert!(matches!(election.step(at(12.0)), ElectionStep::Create(_)));
    election.on_read(Some(held_by("", 1, 2)), 0.5, at(2.0));
    assert!(matches!(election.step(at(2.0)), ElectionStep::Update { .. }));
    // The same name means that this candidate's former life held it: nobody else does.
    let mut again = Election::new(settings("b"), START);
    again.on_read(Some(held_by("b", 1, 1)), 0.5, START);
    let ElectionStep::Update { record, .. } = again.step(START) else { panic!("taken") };
    assert_eq!(record.transitions, 0);
}

#[test]
fn nonsense_in_the_lease_delays_a_takeover_by_a_bounded_time() {
    for (written, waited) in [(0, 12), (1, 1), (12, 12), (u64::MAX, 600)] {
        let mut election = Election::new(settings("b"), START);
        let mut stored = held_by("a", 1, 1);
        stored.record.duration = Duration::from_secs(written);
        stored.record.transitions = u32::MAX;
        election.on_read(Some(stored), 0.5, START);
        let before = (START + Duration::from_secs(waited)).minus(Duration::from_millis(1));
        assert!(!matches!(election.step(before), ElectionStep::Update { .. }), "{written}");
        let after = START + Duration::from_secs(waited);
        assert!(matches!(election.step(after), ElectionStep::Update { .. }), "{written}");
    }
}

#[test]
fn a_leader_that_cannot_renew_stops_in_time_tries_on_and_still_tells_people() {
    let mut election = leader("a");
    let mut now = at(2.0);
    while now < at(10.8) {
        assert!(leads(&election, now), "{now}");
        election.on_failed("no answer", 0.5, now);
        let ElectionStep::WaitUntil(next) = election.step(now) else { panic!("a pause") };
        assert_eq!(election.step(next), ElectionStep::Read);
        now = next + Duration::from_secs(1);
    }
    let leadership = election.leadership(now);
    assert!(matches!(&leadership, Leadership::Unknown { speaks: true, .. }), "{leadership:?}");
    assert!(speaks(&leadership).is_ok());
    let refusal = covers(&leadership, now, now).unwrap_err();
    assert_eq!(refusal.to_string(), "it is not known who is the leader: no answer");
    // Nobody has taken it meanwhile: a new term of office begins.
    election.on_read(Some(held_by("a", 1, 1)), 0.5, now);
    election.on_written(held_by("a", 2, 2), now, 0.5, now);
    assert!(matches!(election.leadership(now), Leadership::Leader { since, .. } if since == now));
}

#[test]
fn one_that_never_could_know_who_leads_is_silent_for_a_while_and_then_tells_people() {
    let mut election = Election::new(settings("b"), START);
    election.on_failed("forbidden", 0.5, at(1.0));
    assert!(matches!(election.leadership(at(44.9)), Leadership::Unknown { speaks: false, .. }));
    election.on_failed("forbidden", 0.5, at(40.0));
    assert!(matches!(election.leadership(at(45.0)), Leadership::Unknown { speaks: true, .. }));
    // That another one lives is known for as long as that one has promised.
    let mut election = Election::new(settings("b"), START);
    election.on_read(Some(held_by("a", 1, 1)), 0.5, START);
    election.on_failed("no answer", 0.5, at(2.0));
    let leader = Some("a".into());
    let follower = Leadership::Follower { leader, since: START };
    assert_eq!(election.leadership(at(11.9)), follower);
    assert!(matches!(election.leadership(at(12.0)), Leadership::Unknown { speaks: false, .. }));
}

#[test]
fn a_storm_of_conflicts_is_not_answered_with_a_storm_of_requests() {
    let mut election = leader("a");
    let (mut now, mut requests) = (at(2.0), 0);
    while now < at(60.0) {
        match election.step(now) {
            ElectionStep::WaitUntil(next) => now = next,
            ElectionStep::Read => {
                requests += 1;
                election.on_read(Some(held_by("a", 1, requests)), 0.5, now);
            }
            ElectionStep::Create(_) | ElectionStep::Update { .. } => {
                requests += 1;
                election.on_conflict(0.5, now);
            }
        }
    }
    assert!((20..140).contains(&requests), "{requests} in 58 s");
    assert!(matches!(election.leadership(now), Leadership::Unknown { .. }));
}

#[test]
fn who_resigns_leaves_an_empty_lease_and_takes_no_part_any_more() {
    let mut election = leader("a");
    let (version, record) = election.resignation(at(3.0)).unwrap();
    assert_eq!((version.as_str(), record.holder.as_str()), ("1", ""));
    election.resign(at(3.0));
    assert_eq!(election.leadership(at(3.0)), Leadership::Follower { leader: None, since: at(3.0) });
}

#[test]
fn an_action_needs_a_lease_that_is_valid_beyond_its_deadline() {
    let leader = Leadership::Leader { since: START, until: at(10.0) };
    assert_eq!(covers(&leader, at(4.0), at(10.0)), Ok(()));
    let refusal = covers(&leader, at(6.0), at(11.0)).unwrap_err();
    assert_eq!(refusal.to_string(), "the lease is valid for 4.0 s, and it may take 5.0 s");
    assert!(covers(&leader, at(10.0), at(10.0)).is_err(), "its last instant is over");
    assert_eq!(covers(&Leadership::Standalone, at(4.0), at(1_000_000.0)), Ok(()));
    for lease in [5, 10, 15, 60, 600] {
        let lease_duration = Duration::from_secs(lease);
        let settings = ElectionSettings { lease_duration, ..settings("a") };
        assert!(settings.validity() < settings.promise() && settings.promise() < lease_duration);
        let between_renewals = settings.retry_period().mul_f64(1.1) + settings.request_timeout();
        assert!(settings.longest_action() + between_renewals < settings.validity(), "{lease} s");
        assert!(settings.longest_action() * 4 > lease_duration, "what noticed_within relies on");
    }
}

/// One Lease behind a network that loses and delays.
#[derive(Default)]
struct World {
    stored: Option<StoredLease>,
    version: u64,
}

impl World {
    /// Carries a write out, wherever it comes from; `None` where it is refused.
    fn write(&mut self, expected: Option<&str>, record: &LeaseRecord) -> Option<StoredLease> {
        if self.stored.as_ref().map(|stored| stored.version.as_str()) != expected {
            return None;
        }
        self.version += 1;
        let stored = StoredLease { record: record.clone(), version: self.version.to_string() };
        self.stored = Some(stored.clone());
        Some(stored)
    }
}

enum Answer {
    Read(Option<StoredLease>),
    Written(Option<StoredLease>),
}

/// A request on its way; times in milliseconds of the world.
struct Request {
    step: ElectionStep,
    began: Timestamp,
    /// When it reaches the API; never where it is lost.
    arrives: Option<u64>,
    /// When its answer arrives; never where that is lost.
    returns: Option<u64>,
    answer: Option<Answer>,
    given_up: bool,
}

/// A candidate with a clock of its own.
struct Candidate {
    election: Election,
    offset: Duration,
    rate: f64,
    /// While it is cut off, nothing it sends arrives.
    cut_off: std::ops::Range<u64>,
    in_flight: Vec<Request>,
}

impl Candidate {
    fn now(&self, world_ms: u64) -> Timestamp {
        START + self.offset + Duration::from_secs_f64(world_ms as f64 / 1_000.0 * self.rate)
    }

    fn tick(&mut self, ms: u64, world: &mut World, dice: &mut fastrand::Rng) {
        let now = self.now(ms);
        for request in &mut self.in_flight {
            if request.arrives == Some(ms) {
                request.answer = Some(match &request.step {
                    ElectionStep::Read => Answer::Read(world.stored.clone()),
                    ElectionStep::Create(record) => Answer::Written(world.write(None, record)),
                    ElectionStep::Update { version, record } => {
                        Answer::Written(world.write(Some(version), record))
                    }
                    ElectionStep::WaitUntil(_) => unreachable!("no request"),
                });
            }
        }
        let timeout = settings("x").request_timeout();
        if let Some(request) = self.in_flight.iter_mut().find(|request| !request.given_up) {
            let answer = request.answer.take_if(|_| request.returns == Some(ms));
            let is_late = now.since(request.began) >= timeout;
            let (began, random) = (request.began, dice.f64());
            request.given_up = answer.is_some() || is_late;
            match answer {
                Some(Answer::Read(found)) => self.election.on_read(found, random, now),
                Some(Answer::Written(Some(one))) => {
                    self.election.on_written(one, began, random, now);
                }
                Some(Answer::Written(None)) => self.election.on_conflict(random, now),
                None if is_late => self.election.on_failed("no answer", random, now),
                None => return,
            }
        }
        // What was given up may still arrive.
        self.in_flight.retain(|one| !one.given_up || one.arrives.is_some_and(|at| at > ms));
        match self.election.step(now) {
            ElectionStep::WaitUntil(_) => {}
            step => {
                let is_lost = self.cut_off.contains(&ms) || dice.f64() < 0.1;
                // Most are fast; some arrive long after the candidate has given them up.
                let delay = if dice.f64() < 0.1 { dice.u64(1..900) } else { dice.u64(1..10) };
                let arrives = (!is_lost).then_some(ms + delay * 10);
                let back = arrives.filter(|_| dice.f64() > 0.1);
                let returns = back.map(|at| at + dice.u64(0..30) * 10);
                let (answer, given_up) = (None, false);
                let request = Request { step, began: now, arrives, returns, answer, given_up };
                self.in_flight.push(request);
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn at_no_instant_two_believe_to_be_the_leader(
        clocks in proptest::collection::vec((0.955_f64..1.045, 0_u64..1_000_000, 0_u64..120_000), 2..4),
        seed in any::<u64>(),
    ) {
        let mut dice = fastrand::Rng::with_seed(seed);
        let mut world = World::default();
        let mut candidates: Vec<Candidate> = clocks.into_iter().enumerate().map(|(index, (rate, offset, cut))| {
            let offset = Duration::from_secs(offset);
            let election = Election::new(settings(&format!("c{index}")), START + offset);
            Candidate { election, offset, rate, cut_off: cut..cut + 40_000, in_flight: Vec::new() }
        }).collect();
        let mut led = 0_u32;
        for ms in (0..240_000).step_by(10) {
            for candidate in &mut candidates {
                candidate.tick(ms, &mut world, &mut dice);
            }
            let leaders = candidates.iter().filter(|one| leads(&one.election, one.now(ms))).count();
            prop_assert!(leaders <= 1, "{} leaders at {} ms", leaders, ms);
            led += u32::from(leaders == 1);
        }
        prop_assert!(led > 6_000, "somebody leads most of the time: {led} of 24000");
    }
}

//! Hundreds of components that fail at once: how many messages each receiver gets. The reference's
//! rule, a message for each unhealthy component, would send one for each of them.

use super::*;
use crate::model::{AlertState, AlertStatus};

const CHILDREN: usize = 500;
const ETCD: &str = "etcd";

/// A tree with three receivers, watching components and perhaps etcd.
fn watching(children: usize, etcd: Option<fn(&mut ComponentPlan)>) -> Fixture {
    watching_so(Around::default(), children, etcd)
}

fn watching_so(around: Around, children: usize, etcd: Option<fn(&mut ComponentPlan)>) -> Fixture {
    let around = Around {
        depends_on: etcd.iter().map(|_| Arc::from(ETCD)).collect(),
        more_mail: ["slack", "webhook.oncall"].map(Mailbox::new).to_vec(),
        ..around
    };
    Fixture::start_planned(&around, children, |fixture| {
        if let Some(change) = etcd {
            let mut plan = fixture.component(ETCD);
            change(&mut plan);
            fixture.plans.fixed.insert(ETCD.into(), plan);
        }
    })
}

impl Fixture {
    fn receivers(&self) -> impl Iterator<Item = &Arc<Mailbox>> {
        std::iter::once(&self.mail).chain(&self.more_mail)
    }

    fn set_all(&self, sick: bool) {
        for probe in self.probes.values() {
            probe.sick.store(sick, Ordering::SeqCst);
        }
    }

    /// Everything fails for a while, and gets well.
    async fn outage(&self) {
        seconds(10).await;
        self.set_all(true);
        seconds(40).await;
        self.set_all(false);
        seconds(40).await;
    }
}

/// How many messages each receiver got that fire, and that are over.
fn counts(fixture: &Fixture) -> Vec<(usize, usize)> {
    let count = |mail: &Arc<Mailbox>| {
        let statuses: Vec<AlertStatus> =
            mail.received.lock().unwrap().iter().map(Notification::status).collect();
        let firing = statuses.iter().filter(|one| **one == AlertStatus::Firing).count();
        (firing, statuses.len() - firing)
    };
    fixture.receivers().map(count).collect()
}

#[allow(clippy::print_stdout, reason = "the figure is what the test is for")]
fn print(case: &str, fixture: &Fixture) {
    let counts = counts(fixture);
    println!(
        "{CHILDREN} components fail at once, {case}: {counts:?} messages (firing, resolved) per \
         receiver; the reference's rule: {CHILDREN}"
    );
}

fn assert_one_story(fixture: &Fixture) {
    for mail in fixture.receivers() {
        let received = mail.received.lock().unwrap();
        let told: Vec<(&str, AlertStatus)> = received
            .iter()
            .map(|message| (&*message.lead.component.component, message.status()))
            .collect();
        assert_eq!(told, [(ETCD, AlertStatus::Firing), (ETCD, AlertStatus::Resolved)]);
        assert_eq!(received[0].lead.affects.len(), CHILDREN, "the message lists what suffers");
        assert!(received.iter().all(|message| message.others.is_empty()));
    }
}

#[test]
fn what_fails_with_etcd_is_told_as_one_where_etcd_is_known_to_be_sick_first() {
    in_virtual_time(async {
        let fixture = watching(CHILDREN, Some(|etcd| etcd.health.failure_threshold = 1));
        fixture.outage().await;
        print("etcd is known to be sick first", &fixture);
        assert_one_story(&fixture);
    });
}

#[test]
fn what_fails_with_etcd_is_told_as_one_where_it_is_known_to_be_sick_before_etcd() {
    in_virtual_time(async {
        let slowly: fn(&mut ComponentPlan) = |etcd| {
            Arc::make_mut(&mut etcd.prober).interval = Duration::from_secs(10);
        };
        let fixture = watching(CHILDREN, Some(slowly));
        fixture.outage().await;
        print("etcd is known to be sick last", &fixture);
        assert_one_story(&fixture);
    });
}

/// How many alerts each receiver was told of, by name or as a number, in firing messages and in
/// those that all is over.
fn accounted(fixture: &Fixture) -> Vec<(usize, usize)> {
    let count = |mail: &Arc<Mailbox>| {
        let received = mail.received.lock().unwrap();
        let of = |status| {
            let those = received.iter().filter(|message| message.status() == status);
            those.map(|message| message.alerts().count() + message.left_out).sum()
        };
        (of(AlertStatus::Firing), of(AlertStatus::Resolved))
    };
    fixture.receivers().map(count).collect()
}

#[test]
fn without_a_known_cause_all_of_a_cluster_are_told_in_one_message_and_so_is_their_end() {
    in_virtual_time(async {
        let around = Around { settings: TreeSettings::default(), ..Around::default() };
        let fixture = watching_so(around, CHILDREN, None);
        fixture.outage().await;
        seconds(60).await;
        print("of nothing that is known, told together", &fixture);
        assert_eq!(counts(&fixture), [(1, 1); 3]);
        assert_eq!(accounted(&fixture), [(CHILDREN, CHILDREN); 3], "nothing is lost");
        assert!(fixture.receivers().all(|mail| {
            let received = mail.received.lock().unwrap();
            let still: Vec<usize> = received.iter().map(|message| message.still_firing).collect();
            still == [CHILDREN, 0]
        }));
    });
}

#[test]
fn where_each_is_told_by_itself_a_digest_stands_for_what_would_be_too_many_messages() {
    in_virtual_time(async {
        let fixture = watching(CHILDREN, None);
        let limit = single_alerts().alerter.rate_limit;
        fixture.outage().await;
        seconds(60).await;
        print("of nothing that is known, told apart", &fixture);
        assert_eq!(accounted(&fixture), [(CHILDREN, CHILDREN); 3], "nothing is lost");
        let messages = usize::try_from(limit.messages).unwrap();
        for (firing, over) in counts(&fixture) {
            assert!(firing + over <= messages + 8, "{firing} and {over}");
        }
        let names_twice = |mail: &Arc<Mailbox>| {
            let received = mail.received.lock().unwrap();
            let firing = received.iter().flat_map(Notification::alerts);
            let firing = firing.filter(|one| one.status == AlertStatus::Firing && one.is_news);
            let names: Vec<_> = firing.map(|one| one.component.clone()).collect();
            names.len() != names.iter().collect::<BTreeSet<_>>().len()
        };
        assert!(!fixture.receivers().any(names_twice), "none is told twice");
    });
}

#[test]
fn what_goes_on_after_its_cause_is_told_by_itself() {
    in_virtual_time(async {
        let fixture = watching(3, Some(|_| {}));
        seconds(30).await;
        fixture.set_all(true);
        seconds(60).await;
        fixture.set_all(false);
        fixture.make_sick("c1");
        seconds(200).await;
        let received = fixture.mail.received.lock().unwrap();
        let told: Vec<(&str, AlertStatus)> = received
            .iter()
            .map(|message| (&*message.lead.component.component, message.lead.status))
            .collect();
        let (firing, resolved) = (AlertStatus::Firing, AlertStatus::Resolved);
        assert_eq!(told, [(ETCD, firing), (ETCD, resolved), ("c1", firing)]);
        assert!(received[2].lead.causes.is_empty());
    });
}

/// Sick and well by turns, each long enough to be believed.
async fn flap(fixture: &Fixture, component: &str, times: usize) {
    for _ in 0..times {
        for sick in [true, false] {
            fixture.probes[component].sick.store(sick, Ordering::SeqCst);
            seconds(10).await;
        }
    }
}

#[test]
fn what_comes_and_goes_too_often_becomes_one_alert_that_says_so() {
    in_virtual_time(async {
        let fixture = watching(1, None);
        seconds(10).await;
        flap(&fixture, "c0", 10).await;
        let statuses = fixture.mail.statuses();
        let (firing, resolved) = (AlertStatus::Firing, AlertStatus::Resolved);
        // More than six changes: the fourth time, it stays open.
        let expected = [firing, resolved, firing, resolved, firing, resolved, firing];
        assert_eq!(statuses, expected);
        let last = fixture.mail.received.lock().unwrap().last().cloned().expect("a message");
        assert!(last.lead.is_flapping);
        assert_eq!(last.lead.title, "c0 is flapping");
        assert_eq!(last.lead.details[0], "flapping: 7 changes in 10m");

        // Half of the window in calm: five minutes, and its reminder meanwhile.
        seconds(290).await;
        assert_eq!(fixture.mail.statuses().last(), Some(&firing));
        seconds(15).await;
        assert_eq!(fixture.mail.statuses().last(), Some(&resolved));
    });
}

#[test]
fn what_fails_below_its_threshold_is_shown_as_pending() {
    in_virtual_time(async {
        let mut fixture = Fixture::start(1);
        fixture.change("c0", |plan| plan.health.failure_threshold = 10);
        fixture.reconfigure().await;
        seconds(5).await;
        let alert = |fixture: &Fixture| {
            let snapshot = fixture.board.snapshot();
            snapshot.clusters[CLUSTER].components["c0"].alert.clone()
        };
        assert_eq!(alert(&fixture), AlertState::Inactive);
        fixture.make_sick("c0");
        seconds(4).await;
        match alert(&fixture) {
            AlertState::Pending { failures, failure_threshold, since } => {
                assert!((3..=5).contains(&failures), "{failures}");
                assert_eq!(failure_threshold, 10);
                assert!(fixture.clock.now().since(since) <= Duration::from_secs(4));
            }
            other @ (AlertState::Inactive | AlertState::Firing { .. }) => panic!("{other:?}"),
        }
        seconds(10).await;
        assert!(matches!(alert(&fixture), AlertState::Firing { is_flapping: false, .. }));
    });
}

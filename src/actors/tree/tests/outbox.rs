//! What is to be told while nobody can be told: it waits, whatever becomes of falconer meanwhile, and
//! is delivered once when the receivers are back.

use super::custody::{Drawer, around};
use super::*;
use crate::model::{IncidentId, Severity};

/// How a component does, whichever falconer looks at it.
#[derive(Clone, Copy, PartialEq)]
enum Health {
    Well,
    Ailing,
    Sick,
}

/// What happens, in seconds from when the receivers fail.
#[derive(Clone, Copy)]
enum Event {
    Becomes(&'static str, Health),
    /// falconer is killed, and another one starts so many seconds later.
    Killed(u64),
}

const OUTAGE: u64 = 3_600;
/// No back-off is longer, with its jitter; a send may take its time, and a group too.
const BACK_WITHIN: u64 = 360 + 60;

/// Ten components; three deaths; everything that can happen between two deaths, and while falconer is
/// dead.
const STORY: [(u64, Event); 19] = [
    (0, Event::Becomes("c0", Health::Sick)),
    (60, Event::Becomes("c1", Health::Sick)),
    (90, Event::Becomes("c2", Health::Ailing)),
    (900, Event::Becomes("c1", Health::Well)),
    (1_200, Event::Killed(60)),
    (1_230, Event::Becomes("c3", Health::Sick)),
    (1_500, Event::Becomes("c4", Health::Ailing)),
    (1_503, Event::Becomes("c5", Health::Sick)),
    // While its first message is on its way.
    (1_512, Event::Killed(5)),
    (1_900, Event::Becomes("c4", Health::Well)),
    (2_000, Event::Becomes("c6", Health::Sick)),
    (2_400, Event::Killed(600)),
    (2_500, Event::Becomes("c6", Health::Well)),
    (2_600, Event::Becomes("c2", Health::Well)),
    (3_100, Event::Becomes("c7", Health::Sick)),
    (3_150, Event::Becomes("c8", Health::Ailing)),
    (3_300, Event::Becomes("c7", Health::Well)),
    (3_400, Event::Becomes("c9", Health::Sick)),
    (3_590, Event::Becomes("c9", Health::Well)),
];

/// What each receiver is told when it is back: of what ended its whole story, of the rest that it fires.
const TOLD: [(&str, AlertStatus, Severity); 10] = [
    ("c0", AlertStatus::Firing, Severity::Critical),
    ("c1", AlertStatus::Resolved, Severity::Critical),
    ("c2", AlertStatus::Resolved, Severity::Warning),
    ("c3", AlertStatus::Firing, Severity::Critical),
    ("c4", AlertStatus::Resolved, Severity::Warning),
    ("c5", AlertStatus::Firing, Severity::Critical),
    ("c6", AlertStatus::Resolved, Severity::Critical),
    ("c7", AlertStatus::Resolved, Severity::Critical),
    ("c8", AlertStatus::Firing, Severity::Warning),
    ("c9", AlertStatus::Resolved, Severity::Critical),
];

/// The world that outlives each falconer.
struct World {
    around: Around,
    healths: BTreeMap<&'static str, Health>,
    falconer: Option<Fixture>,
}

impl World {
    fn new() -> Self {
        let mut around = around(&Arc::<Drawer>::default());
        around.more_mail = vec![Mailbox::new("slack"), Mailbox::new("webhook.oncall")];
        around.settings.alerter.repeat_interval = Duration::from_hours(24);
        let mut world = Self { around, healths: BTreeMap::new(), falconer: None };
        world.start();
        world
    }

    fn receivers(&self) -> impl Iterator<Item = &Arc<Mailbox>> {
        [&self.around.mail].into_iter().chain(&self.around.more_mail)
    }

    fn receivers_are(&self, are_down: bool) {
        self.receivers().for_each(|one| one.is_down.store(are_down, Ordering::SeqCst));
    }

    fn start(&mut self) {
        let falconer = Fixture::start_in(&self.around, TOLD.len());
        self.falconer = Some(falconer);
        for (component, health) in self.healths.clone() {
            self.show(component, health);
        }
    }

    fn becomes(&mut self, component: &'static str, health: Health) {
        self.healths.insert(component, health);
        self.show(component, health);
    }

    fn show(&self, component: &str, health: Health) {
        let Some(falconer) = &self.falconer else { return };
        let probe = &falconer.probes[component];
        probe.sick.store(health == Health::Sick, Ordering::SeqCst);
        probe.ailing.store(health == Health::Ailing, Ordering::SeqCst);
    }

    /// Plays the story; gives how often falconer was killed.
    async fn play(&mut self) -> u32 {
        let (mut now, mut starts_at, mut kills) = (0, None, 0);
        for (at, event) in STORY {
            if let Some(start) = starts_at.filter(|start| *start <= at) {
                seconds(start - now).await;
                now = start;
                starts_at = None;
                self.start();
            }
            seconds(at - now).await;
            now = at;
            match event {
                Event::Becomes(component, health) => self.becomes(component, health),
                Event::Killed(downtime) => {
                    self.falconer = None;
                    starts_at = Some(at + downtime);
                    kills += 1;
                }
            }
        }
        seconds(OUTAGE - now).await;
        kills
    }
}

/// What a receiver was told of the components of a cluster, in order.
fn told(receiver: &Mailbox, cluster: &str) -> Vec<(Arc<str>, AlertStatus, Severity, IncidentId)> {
    let received = receiver.received.lock().unwrap();
    let alerts = received.iter().flat_map(Notification::alerts);
    let alerts = alerts.filter(|alert| &*alert.component.cluster == cluster);
    alerts
        .map(|alert| {
            let name = Arc::clone(&alert.component.component);
            assert_eq!(alert.ended_at.is_some(), alert.status == AlertStatus::Resolved);
            (name, alert.status, alert.severity, alert.incident.clone())
        })
        .collect()
}

#[test]
fn an_hour_without_receivers_and_three_deaths_cost_no_message_and_double_none() {
    in_virtual_time(async {
        let mut world = World::new();
        seconds(30).await;
        world.receivers_are(true);
        let kills = world.play().await;
        assert!(world.receivers().all(|one| one.received.lock().unwrap().is_empty()));
        world.receivers_are(false);
        let mut waited = 0;
        while waited < BACK_WITHIN
            && world.receivers().any(|one| told(one, CLUSTER).len() < TOLD.len())
        {
            seconds(1).await;
            waited += 1;
        }
        for receiver in world.receivers() {
            let told = told(receiver, CLUSTER);
            let mut sorted: Vec<(&str, AlertStatus, Severity)> = told
                .iter()
                .map(|(name, status, severity, _)| (&**name, *status, *severity))
                .collect();
            let severities: Vec<Severity> = sorted.iter().map(|one| one.2).collect();
            assert!(
                severities.is_sorted_by(|one, next| one >= next),
                "{}: {told:?}",
                receiver.name
            );
            sorted.sort_by_key(|one| one.0);
            assert_eq!(sorted, TOLD, "{}", receiver.name);
        }
        // Nothing comes twice, and of what goes on the end is told, once, under the same name.
        seconds(1_800).await;
        for component in ["c0", "c3", "c5", "c8"] {
            world.becomes(component, Health::Well);
        }
        seconds(300).await;
        let mut messages = 0;
        for receiver in world.receivers() {
            let told = told(receiver, CLUSTER);
            assert_eq!(told.len(), TOLD.len() + 4, "{}: {told:?}", receiver.name);
            for (name, status, _, incident) in &told[..TOLD.len()] {
                let ends = told[TOLD.len()..].iter().filter(|one| one.3 == *incident);
                assert_eq!(ends.count(), usize::from(*status == AlertStatus::Firing), "{name}");
            }
            let received = receiver.received.lock().unwrap();
            let ids: BTreeSet<&Arc<str>> = received.iter().map(|one| &one.id).collect();
            assert_eq!(ids.len(), received.len(), "no message came twice");
            messages += received.len();
        }
        assert_eq!(world.falconer.as_ref().unwrap().board.snapshot().alerter.alerts.len(), 0);
        println!(
            "3 receivers down for {OUTAGE} s, {kills} kills meanwhile: {} of {} alerts told exactly \
             once at each receiver {waited} s after they were back, worst first; {messages} messages \
             in all, 0 twice, 0 lost",
            TOLD.len(),
            TOLD.len(),
        );
        assert_eq!(kills, 3);
    });
}

#[test]
fn a_disk_that_is_full_keeps_nobody_from_being_told() {
    in_virtual_time(async {
        let drawer: Arc<Drawer> = Arc::default();
        let around = around(&drawer);
        let fixture = Fixture::start_in(&around, 2);
        seconds(20).await;
        drawer.is_full.store(true, Ordering::SeqCst);
        fixture.make_sick("c0");
        seconds(30).await;
        assert_eq!(told(&around.mail, CLUSTER).len(), 1);
        seconds(60).await;
        let about_itself = told(&around.mail, "falconer");
        assert_eq!(about_itself.len(), 1, "{about_itself:?}");
        drawer.is_full.store(false, Ordering::SeqCst);
        fixture.probes["c0"].sick.store(false, Ordering::SeqCst);
        seconds(120).await;
        let statuses: Vec<AlertStatus> =
            told(&around.mail, CLUSTER).iter().map(|one| one.1).collect();
        assert_eq!(statuses, [AlertStatus::Firing, AlertStatus::Resolved]);
        assert_eq!(told(&around.mail, "falconer").last().unwrap().1, AlertStatus::Resolved);
    });
}

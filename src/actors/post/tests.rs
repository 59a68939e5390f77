//! Commands that wait, are tried again, and are given up.

use super::*;
use crate::actors::exit_guard::{self, Running};
use crate::actors::testing::in_virtual_time;
use crate::metrics::MetricsSettings;
use crate::model::Timestamp;

#[derive(Debug, Clone, PartialEq)]
struct Order {
    about: &'static str,
    number: u32,
}

impl Command for Order {
    type Key = &'static str;

    fn key(&self) -> &'static str {
        self.about
    }
}

fn order(about: &'static str, number: u32) -> Order {
    Order { about, number }
}

/// Notes what it takes; dies of orders about poison.
struct Clerk {
    post: Post<Order>,
    clock: Clock,
    metrics: Metrics,
    taken: Arc<Mutex<Vec<Order>>>,
}

impl Clerk {
    fn take(&self) {
        while let Some(order) = self.post.next() {
            self.taken.lock().unwrap().push(order.clone());
            assert_ne!(order.about, "poison");
        }
    }
}

impl Actor for Clerk {
    type Context = Context<Self>;

    fn started(&mut self, _: &mut Self::Context) {
        self.post.begin_anew("clerk", self.clock, &self.metrics);
        self.take();
    }
}

impl Handler<CommandsArrived> for Clerk {
    type Result = ();

    fn handle(&mut self, _: CommandsArrived, _: &mut Self::Context) {
        self.take();
    }
}

#[derive(Clone)]
struct Office {
    post: Post<Order>,
    clock: Clock,
    metrics: Metrics,
    taken: Arc<Mutex<Vec<Order>>>,
}

impl Office {
    fn open() -> Self {
        let clock = Clock::starting_at(Timestamp::default());
        Self { post: Post::new(), clock, metrics: Metrics::default(), taken: Arc::default() }
    }

    fn employ(&self) -> Running<Clerk> {
        let Self { post, clock, metrics, taken } = self.clone();
        let clerk = Clerk { post, clock, metrics, taken };
        let running = exit_guard::start(1, move |_| clerk, Box::new(|_| {}));
        self.post.publish(&running.address);
        running
    }

    /// What was taken since the last look.
    async fn taken(&self) -> Vec<(&'static str, u32)> {
        tokio::time::sleep(Duration::from_millis(1)).await;
        let taken = std::mem::take(&mut *self.taken.lock().unwrap());
        taken.into_iter().map(|order| (order.about, order.number)).collect()
    }
}

#[test]
fn the_newest_command_of_a_key_waits_for_the_next_incarnation() {
    in_virtual_time(async {
        let office = Office::open();
        for number in 0..10_000 {
            office.post.send(order("a", number));
        }
        office.post.send(order("b", 1));
        let first = office.employ();
        assert_eq!(office.taken().await, [("a", 9_999), ("b", 1)]);
        office.post.send(order("c", 1));
        assert_eq!(office.taken().await, [("c", 1)]);
        first.abort.abort();
        assert_eq!(office.taken().await, []);
        office.post.send(order("d", 1));
        assert_eq!(office.taken().await, []);
        let _second = office.employ();
        assert_eq!(office.taken().await, [("d", 1)]);
    });
}

#[test]
fn a_mailbox_never_holds_more_than_one_wake_up() {
    in_virtual_time(async {
        let office = Office::open();
        let _clerk = office.employ();
        for _ in 0..3 {
            for number in 0..1_000 {
                office.post.send(order("a", number));
            }
            assert_eq!(office.taken().await, [("a", 999)]);
        }
    });
}

#[test]
fn what_made_its_actor_end_is_tried_once_more_then_given_up_and_counted() {
    in_virtual_time(async {
        let (metrics, registry) = Metrics::new(&MetricsSettings::default()).unwrap();
        let office = Office { metrics, ..Office::open() };
        let _first = office.employ();
        office.post.send(order("poison", 1));
        office.post.send(order("zeal", 1));
        assert_eq!(office.taken().await, [("poison", 1)]);
        let _second = office.employ();
        assert_eq!(office.taken().await, [("poison", 1)], "once more");
        let third = office.employ();
        assert_eq!(office.taken().await, [("zeal", 1)], "and what waited behind it");
        let given_up = "falconer_commands_given_up_total{actor=\"clerk\"} 1";
        assert!(registry.encode().unwrap().contains(given_up));
        // Saying the same again kills nobody for a while.
        assert!(!office.post.send(order("poison", 2)));
        assert_eq!(office.taken().await, []);
        assert!(third.address.connected());
        tokio::time::sleep(QUARANTINE).await;
        assert!(office.post.send(order("poison", 3)));
        assert_eq!(office.taken().await, [("poison", 3)]);
    });
}

#[test]
fn a_newer_command_of_a_suspect_key_is_suspect_too() {
    in_virtual_time(async {
        let office = Office::open();
        let _first = office.employ();
        office.post.send(order("poison", 1));
        assert_eq!(office.taken().await, [("poison", 1)]);
        office.post.send(order("poison", 2));
        let _second = office.employ();
        assert_eq!(office.taken().await, [("poison", 2)]);
        let third = office.employ();
        assert_eq!(office.taken().await, []);
        assert!(third.address.connected());
    });
}

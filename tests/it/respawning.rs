//! Actors of the real process panic on purpose: who notices, who comes back, and how it ends when
//! one does not. The panics need the feature `fault-injection`.

#[cfg(feature = "fault-injection")]
mod injected {
    use std::fmt::Write as _;
    use std::thread;
    use std::time::Duration;

    use crate::running::{Falconer, Targets, cluster, prober};

    const TARGETS: usize = 8;

    fn name(cluster: &str, number: usize) -> String {
        format!("{cluster}-{number}")
    }

    /// Two clusters with targets of their own, each asked once a second without jitter.
    fn configuration(targets: &Targets) -> String {
        let mut text = String::from(
            "[probers]\ninterval = \"1s\"\njitter = 0.0\n\
             backoff = { initial = \"100ms\", jitter = 0.0 }\n\
             [supervisor]\nbackoff = { initial = \"100ms\", jitter = 0.0 }\n",
        );
        for east_or_west in ["east", "west"] {
            text += &cluster(east_or_west, &targets.url(east_or_west), "[\"true\"]");
            for number in 0..TARGETS {
                text += &prober(targets, east_or_west, &name(east_or_west, number));
            }
        }
        text
    }

    fn survive(place: &str) {
        let targets = Targets::start();
        let kinds = [
            ("alerter", "alerter", 1_000, 2),
            ("recoverer", "recoverer", 1_200, 2),
            ("scaler", "scaler", 1_400, 2),
            // Of each cluster one is struck.
            ("discovery", "discovery", 1_600, 2),
            ("prober", "prober/east-0", 1_800, 2),
            // Its children end with it, so it comes last.
            ("supervisor", "supervisor/east", 5_500, 1),
        ];
        let mut faults = String::new();
        for (_, actor, after, times) in kinds {
            let _ = write!(faults, "{actor}:{place}:{after}:{times},");
        }
        let environment = [("FALCONER_FAULTS", faults.as_str())];
        let mut falconer = Falconer::start(&configuration(&targets), &environment);
        for (kind, _, _, times) in kinds {
            let sample = format!("falconer_actor_respawns_total{{actor=\"{kind}\"}}");
            falconer.until(&sample, || falconer.metric(&sample) == Some(f64::from(times)));
        }
        thread::sleep(Duration::from_secs(3));
        assert!(falconer.is_running());
        assert_eq!(falconer.get("/livez").0, 200);
        let status = falconer.json("/api/v1/status");
        let ended = status["actors"].as_object().expect("actors that have ended");
        for actor in ["alerter", "recoverer", "scaler", "supervisor/east"] {
            let reason = ended[actor]["reason"].as_str().expect("a reason");
            assert_eq!(reason, format!("panicked: injected in a {place}"), "{actor}");
            assert!(ended[actor]["respawn_at"].is_null(), "{actor} is back: {ended:?}");
        }
        for number in 0..TARGETS {
            let asked = targets.asked(&name("west", number));
            let gaps: Vec<u128> =
                asked.windows(2).skip(1).map(|pair| (pair[1] - pair[0]).as_millis()).collect();
            // A missed beat would be a gap of two seconds.
            assert!(gaps.len() >= 5, "{place}: {gaps:?}");
            assert!(gaps.iter().all(|gap| *gap < 1_700), "{place}: {gaps:?}");
            assert!(targets.asked(&name("east", number)).len() >= 4, "{place}");
        }
    }

    #[test]
    fn every_kind_of_actor_panics_and_the_process_and_the_other_cluster_go_on() {
        thread::scope(|scope| {
            for place in ["handler", "timer", "future"] {
                scope.spawn(move || survive(place));
            }
        });
    }

    #[test]
    fn an_actor_beyond_help_ends_the_process_with_a_code_and_a_message_of_its_own() {
        let targets = Targets::start();
        let configuration = configuration(&targets)
            .replace("[supervisor]", "[supervisor]\nrespawn = { burst = 1, per = \"10m\" }")
            .replace("[probers]", "[probers]\nrespawn = { burst = 2, per = \"10m\" }");
        let environment = [("FALCONER_FAULTS", "prober/east-0:timer:100:1000")];
        let mut falconer = Falconer::start(&configuration, &environment);
        assert_eq!(falconer.wait().code(), Some(70), "{}", falconer.log());
        let words = [
            "an actor is beyond help",
            "supervisor/east",
            "east/prober/east-0 is beyond help",
            "ended more than 2 times in 10m",
            "panicked: injected in a timer",
        ];
        assert_eq!(falconer.logged(&words).len(), 1, "{}", falconer.log());
    }
}

#[cfg(not(feature = "fault-injection"))]
#[test]
fn the_binary_has_no_trace_of_fault_injection() {
    let binary = std::fs::read(env!("CARGO_BIN_EXE_falconer")).expect("the binary");
    for trace in ["FALCONER_FAULTS", "injected in a"] {
        let found = binary.windows(trace.len()).any(|bytes| bytes == trace.as_bytes());
        assert!(!found, "{trace:?} is in the binary");
    }
}

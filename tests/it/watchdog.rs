//! A blocked actors' thread is seen from the server's thread, in real time.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::thread;
use std::time::Duration;

use actix::System;
use falconer::app::{App, Options};
use falconer::config::Settings;
use tokio::time::Instant;

fn get(address: SocketAddr, path: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(address).expect("connected");
    write!(stream, "GET {path} HTTP/1.1\r\nhost: f\r\nconnection: close\r\n\r\n").expect("sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok());
    (status.expect("a status"), answer)
}

/// Polls until `/livez` answers with this status; gives the answer and how long that took.
fn until(address: SocketAddr, status: u16) -> (String, Duration) {
    let begun = Instant::now();
    loop {
        let (answered, body) = get(address, "/livez");
        if answered == status {
            return (body, begun.elapsed());
        }
        assert!(begun.elapsed() < Duration::from_secs(30), "never {status}: {body}");
        thread::sleep(Duration::from_millis(100));
    }
}

#[test]
fn a_blocked_arbiter_is_seen_within_ten_seconds_and_forgiven_when_it_goes_on() {
    System::new().block_on(async {
        let mut settings = Settings::default();
        settings.recorder.path = PathBuf::new();
        settings.server.listen = SocketAddr::from(([127, 0, 0, 1], 0));
        let app = App::start(settings, Options::default()).expect("it starts");
        let address = app.server_addr();
        let (blocked, asked) = std::sync::mpsc::channel::<()>();
        let observer = thread::spawn(move || {
            let alive = get(address, "/livez");
            let ready = get(address, "/readyz").0;
            blocked.send(()).expect("the other side waits");
            let (dead, seen_after) = until(address, 503);
            let unready = get(address, "/readyz");
            let (_, _) = until(address, 200);
            (alive, ready, dead, seen_after, unready)
        });
        // The actors' thread is ours: while the observer looks it may go on, then it must not.
        while asked.try_recv().is_err() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        actix::spawn(async { thread::sleep(Duration::from_secs(9)) });
        while !observer.is_finished() {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        let (alive, ready, dead, seen_after, unready) = observer.join().expect("no panic");
        assert_eq!((alive.0, ready), (200, 200));
        assert!(seen_after < Duration::from_secs(10), "{seen_after:?}");
        assert!(dead.contains("the actors gave no sign of life for "), "{dead}");
        assert!(dead.contains(" s, since 2"), "it says since when: {dead}");
        assert_eq!(unready.0, 503);
        assert!(unready.1.contains("\"part\":\"thread\""), "{}", unready.1);
        app.shutdown(Duration::from_secs(2)).await;
    });
}

//! For the actors' tests: an actix system in virtual time, in which hours pass in milliseconds,
//! and in-memory stand-ins.

use std::future::Future;
use std::sync::{Arc, Mutex};

use actix::prelude::*;

use super::link::Link;

/// Runs `test` in an actix system whose time stands still unless everybody sleeps.
pub fn in_virtual_time<F: Future<Output = ()>>(test: F) {
    let system = System::with_tokio_rt(|| {
        tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .start_paused(true)
            .build()
            .expect("a runtime")
    });
    system.block_on(test);
}

/// Keeps every message of one type that is sent to it.
pub struct Recorder<M> {
    seen: Arc<Mutex<Vec<M>>>,
}

impl<M: Message<Result = ()> + Send + Unpin + 'static> Recorder<M> {
    /// A recorder behind `link`, and what it has seen so far.
    pub fn behind(link: &Link<M>) -> Arc<Mutex<Vec<M>>> {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let recorder = Self { seen: Arc::clone(&seen) };
        link.publish(&recorder.start());
        seen
    }
}

impl<M: Message<Result = ()> + Send + Unpin + 'static> Actor for Recorder<M> {
    type Context = Context<Self>;
}

impl<M: Message<Result = ()> + Send + Unpin + 'static> Handler<M> for Recorder<M> {
    type Result = ();

    fn handle(&mut self, message: M, _: &mut Self::Context) {
        self.seen.lock().expect("no panics while recording").push(message);
    }
}

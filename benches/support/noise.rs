//! How punctual this machine is by itself: how much longer than asked for a thread sleeps that does
//! nothing else. What a bench measures beyond that is not the machine's doing.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::report::{percentile, rounded};

const NAP: Duration = Duration::from_millis(10);

/// A thread that sleeps and looks at the clock.
pub struct Noise {
    over: Arc<AtomicBool>,
    thread: Option<JoinHandle<Vec<f64>>>,
}

impl Noise {
    /// Begins to listen.
    pub fn listen() -> Self {
        let over = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&over);
        let thread = std::thread::spawn(move || {
            let mut late = Vec::new();
            while !told.load(Ordering::Relaxed) {
                let began = Instant::now();
                std::thread::sleep(NAP);
                late.push(began.elapsed().saturating_sub(NAP).as_secs_f64() * 1e3);
            }
            late
        });
        Self { over, thread: Some(thread) }
    }

    /// Ends, and says how late the thread woke up.
    pub fn summary(mut self) -> Value {
        self.over.store(true, Ordering::Relaxed);
        let heard = self.thread.take().and_then(|thread| thread.join().ok());
        let mut late = heard.unwrap_or_default();
        late.sort_by(f64::total_cmp);
        let at = |quantile| rounded(percentile(&late, quantile), 3);
        json!({ "p50_ms": at(0.5), "p99_ms": at(0.99), "max_ms": at(1.0) })
    }
}

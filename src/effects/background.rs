//! Tasks that adapters run for as long as they live. A panic in one must not be the silent end of
//! what it does: it is logged, told to its owner, and the task begins anew.

use std::any::Any;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::time::Duration;

use futures::FutureExt as _;

/// The first pause after a panic; it doubles up to [`LONGEST_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// No pause is longer.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// Runs what `make` makes until it ends by itself, again and again where it panics. `name` is for
/// the log; `on_panic` is told each time, with the panic's words, before the pause.
pub async fn keep_alive<F: Future<Output = ()>>(
    name: String,
    mut make: impl FnMut() -> F,
    mut on_panic: impl FnMut(&str),
) {
    let mut pause = FIRST_PAUSE;
    loop {
        let run = AssertUnwindSafe(async { make().await }).catch_unwind();
        let Err(payload) = run.await else { return };
        let reason = words(payload.as_ref());
        let again_in_s = pause.as_secs();
        tracing::error!(task = name, reason, again_in_s, "background task panicked");
        on_panic(&reason);
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

fn words(payload: &(dyn Any + Send)) -> String {
    let text = payload.downcast_ref::<&str>().map(ToString::to_string);
    let text = text.or_else(|| payload.downcast_ref::<String>().cloned());
    text.unwrap_or_else(|| "panic without a message".to_owned())
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use tokio::time::Instant;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_task_that_panics_begins_anew_after_growing_pauses_and_ends_when_it_ends() {
        let (runs, told) = (Cell::new(0), Cell::new(0));
        let begun = Instant::now();
        let make = || {
            runs.set(runs.get() + 1);
            let run = runs.get();
            assert_ne!(run, 1, "while it is made");
            async move { assert!(run > 3, "while it runs") }
        };
        keep_alive("test".to_owned(), make, |_| told.set(told.get() + 1)).await;
        assert_eq!((runs.get(), told.get()), (4, 3));
        assert_eq!(begun.elapsed().as_secs(), 1 + 2 + 4);
    }
}

//! A panic costs one call and says nothing of what the call held.

use std::panic::AssertUnwindSafe;

use futures_util::FutureExt as _;

/// The future panicked. The payload is gone: it may quote anything.
pub(crate) struct Panicked;

/// Runs `work`, whatever happens inside it.
pub(crate) async fn catch<T>(work: impl Future<Output = T>) -> Result<T, Panicked> {
    // Nothing of a call is looked at again after its panic; what calls share is published
    // whole or behind locks that recover from poison.
    AssertUnwindSafe(work)
        .catch_unwind()
        .await
        .map_err(|_| Panicked)
}

/// Replaces the panic hook of the process, which prints the payload, by one that logs only
/// where it happened. For the beginning of a program.
pub fn hide_panic_payloads() {
    std::panic::set_hook(Box::new(|panic| {
        let location = panic.location().map(ToString::to_string);
        tracing::error!(error_class = "panic", reason = location, "process.panic");
    }));
}

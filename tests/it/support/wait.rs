//! Waiting for a condition, with a deadline that is far longer than a healthy run needs.

use std::time::{Duration, Instant};

/// How long anything may take before a test gives up, on a machine that is busy with much else.
pub(crate) const LONG: Duration = Duration::from_secs(60);

/// Waits until `probe` has a value, or fails with `what` was waited for.
#[track_caller]
pub(crate) fn until<T>(what: &str, mut probe: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(value) = probe() {
            return value;
        }
        assert!(start.elapsed() < LONG, "not within {LONG:?}: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Awaits, or fails with `what` was waited for.
pub(crate) async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    match tokio::time::timeout(LONG, future).await {
        Ok(value) => value,
        Err(_) => panic!("not within {LONG:?}: {what}"),
    }
}

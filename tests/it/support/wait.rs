//! Waits for a condition. The deadline is much longer than a run without faults needs.

use std::time::{Duration, Instant};

/// How long a test waits before it fails. It is long enough for a busy machine.
pub(crate) const LONG: Duration = Duration::from_secs(60);

/// Waits until `probe` returns a value. Panics at the deadline with `what`, the name of the condition.
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

/// Awaits `future`. Panics at the deadline with `what`, the name of the condition.
pub(crate) async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    match tokio::time::timeout(LONG, future).await {
        Ok(value) => value,
        Err(_) => panic!("not within {LONG:?}: {what}"),
    }
}

//! Deadlines from durations that users set. `Duration::MAX` is one of them.

use std::time::Duration;

use tokio::time::Instant;

/// Returns `start + wait`. If that is too late for a timer, returns a time that is 30 years after `start`.
pub(crate) fn after(start: Instant, wait: Duration) -> Instant {
    const FAR: Duration = Duration::from_secs(30 * 365 * 24 * 60 * 60);
    start.checked_add(wait).unwrap_or_else(|| start + FAR)
}

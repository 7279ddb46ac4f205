//! Releases the sources of streams that have to end while nobody polls their bodies.
//!
//! A server that is not ours does not poll the body of a client that does not read. The lifetime of such a stream, or the
//! policy of its topic, would then end it only after the client has read. One task for all streams of a `Streams` looks
//! at them from time to time. It does not cut the connection: only our server can do that.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::time::{Instant, MissedTickBehavior, interval_at};

use crate::stream::drain::Drain;

/// How often the task looks at the streams.
pub(super) const INTERVAL: Duration = Duration::from_secs(1);

/// Starts the task, unless it runs. It ends when no stream is open.
pub(super) fn start(drain: &Arc<Drain>) {
    let Ok(runtime) = Handle::try_current() else {
        return;
    };
    if !drain.is_swept.swap(true, Ordering::AcqRel) {
        runtime.spawn(sweep(Arc::downgrade(drain)));
    }
}

async fn sweep(drain: Weak<Drain>) {
    // The runtime may end before the streams: then another one runs the next task.
    let mut running = Running(drain);
    let mut interval = interval_at(Instant::now() + INTERVAL, INTERVAL);
    interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        interval.tick().await;
        let goes_on = running.0.upgrade().is_some_and(|drain| drain.sweep());
        if !goes_on {
            running.0 = Weak::new();
            return;
        }
    }
}

struct Running(Weak<Drain>);

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(drain) = self.0.upgrade() {
            drain.is_swept.store(false, Ordering::Release);
        }
    }
}

#[cfg(test)]
mod tests;

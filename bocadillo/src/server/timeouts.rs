//! Time-outs for what a client has to send: the head of a request, its body, and the next request. Time-outs of writes are
//! elsewhere.

pub(crate) mod body;
pub(crate) mod http1;
pub(crate) mod http2;

use std::time::Duration;

use tokio::time::Instant;

/// How long a client that still has to send something may be silent while the server shuts down.
const SHUTDOWN: Duration = Duration::from_secs(2);

/// The time-outs of one server.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Timeouts {
    pub(crate) header: Duration,
    pub(crate) idle: Duration,
    pub(crate) body: Duration,
    /// In bytes per second. Zero is no minimum.
    pub(crate) min_body_rate: u32,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            header: Duration::from_secs(10),
            // Longer than the 60 seconds after which nginx and the load balancers of AWS close an idle connection: the
            // side that sends requests has to close first, or a request meets a connection that is being closed.
            idle: Duration::from_secs(75),
            body: Duration::from_secs(30),
            min_body_rate: 240,
        }
    }
}

/// The time-outs for a client that does not read or does not acknowledge.
#[derive(Clone, Copy, Debug)]
pub(crate) struct WriteTimeouts {
    /// How long it may take to write the rest of a stream after the server has decided to end it.
    pub(crate) end: Duration,
    /// How long a client may acknowledge nothing.
    pub(crate) ack: Duration,
}

impl Default for WriteTimeouts {
    fn default() -> Self {
        Self {
            end: Duration::from_millis(500),
            ack: Duration::from_secs(30),
        }
    }
}

/// Returns the time `wait` after `start`. If that is too far away for a timer, returns the latest possible time.
fn after(start: Instant, wait: Duration) -> Instant {
    const FAR: Duration = Duration::from_secs(30 * 365 * 24 * 60 * 60);
    start.checked_add(wait).unwrap_or_else(|| start + FAR)
}

/// Watches the bytes that the client sends.
pub(crate) trait Observer {
    /// Called with each piece that the client has sent.
    fn read(&mut self, bytes: &[u8]);
}

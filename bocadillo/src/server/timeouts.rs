//! Time-outs of reads: for the head of a request, for its body, and for the next request. `connection` uses the
//! time-outs of writes.

pub(crate) mod body;
pub(crate) mod http1;
pub(crate) mod http2;

use std::time::Duration;

/// Time-out of each read while the server shuts down.
const SHUTDOWN: Duration = Duration::from_secs(2);

/// The time-outs of one server.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Timeouts {
    pub(crate) header: Duration,
    pub(crate) idle: Duration,
    pub(crate) body: Duration,
    /// In bytes per second. Zero means no minimum.
    pub(crate) min_body_rate: u32,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            header: Duration::from_secs(10),
            // nginx and the load balancers of AWS close an idle connection after 60 seconds. This time-out is longer,
            // so that they close first. If the server closed first, it could close while they send a request.
            idle: Duration::from_secs(75),
            body: Duration::from_secs(30),
            min_body_rate: 240,
        }
    }
}

/// The time-outs for a client that does not read or does not acknowledge.
#[derive(Clone, Copy, Debug)]
pub(crate) struct WriteTimeouts {
    /// Time-out of writing the rest of a stream after the server has decided to end it.
    pub(crate) end: Duration,
    /// Time-out for a client that acknowledges no bytes.
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

/// Watches the bytes that the client sends.
pub(crate) trait Observer {
    /// Called with each piece that the client has sent.
    fn read(&mut self, bytes: &[u8]);
}

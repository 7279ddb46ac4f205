//! `KeepAlive`: what a silent event stream sends.

use std::time::Duration;

use bytes::{Bytes, BytesMut};

use crate::event::{EventName, ServerEvent, wire};

/// What an event stream sends when it has been silent for an interval.
///
/// The default is a comment line. Clients have to ignore it, and most do. Some clients need another form:
///
/// - A parser that splits the stream at blank lines loses the event after a comment line: use
///   [`blank_line`](Self::blank_line). Other clients report an empty event for a comment with a blank line, so it is not
///   the default.
/// - A client that measures how long the stream is silent needs an event: use [`event_named`](Self::event_named) or
///   [`event`](Self::event).
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use bocadillo::{EventName, EventStream, KeepAlive, StreamOptions};
///
/// const PING: EventName = EventName::from_static("ping");
/// let keep_alive = KeepAlive::every(Duration::from_secs(5)).event_named(PING);
/// let events = EventStream::new(futures_util::stream::pending::<String>())
///     .with(StreamOptions::new().keep_alive(keep_alive));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use = "a keep-alive does nothing until it is set in `StreamOptions`"]
pub struct KeepAlive {
    pub(crate) interval: Duration,
    /// The bytes to send.
    pub(crate) bytes: Bytes,
}

impl KeepAlive {
    /// A comment line after each `interval` of silence: `: keep-alive` and a line end.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// let keep_alive = bocadillo::KeepAlive::every(Duration::from_secs(5));
    /// ```
    pub fn every(interval: Duration) -> Self {
        Self {
            interval,
            bytes: Bytes::from_static(wire::KEEP_ALIVE),
        }
    }

    /// Sends a comment line and a blank line.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// let keep_alive = bocadillo::KeepAlive::every(Duration::from_secs(5)).blank_line();
    /// ```
    pub fn blank_line(self) -> Self {
        Self {
            bytes: Bytes::from_static(b": keep-alive\n\n"),
            ..self
        }
    }

    /// Sends an event of this name with empty data.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    /// use bocadillo::{EventName, KeepAlive};
    ///
    /// const PING: EventName = EventName::from_static("ping");
    /// let keep_alive = KeepAlive::every(Duration::from_secs(5)).event_named(PING);
    /// ```
    pub fn event_named(self, name: EventName) -> Self {
        self.event(ServerEvent::new("").with_name(name))
    }

    /// Sends this event.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    /// use bocadillo::{KeepAlive, ServerEvent};
    ///
    /// let keep_alive = KeepAlive::every(Duration::from_secs(5)).event(ServerEvent::new("still here"));
    /// ```
    pub fn event(self, event: ServerEvent) -> Self {
        let mut bytes = BytesMut::new();
        wire::encode(&event, &mut bytes);
        Self {
            bytes: bytes.freeze(),
            ..self
        }
    }
}

impl From<Duration> for KeepAlive {
    fn from(interval: Duration) -> Self {
        Self::every(interval)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_keep_alive_has_four_forms() {
        let ping = EventName::from_static("ping");
        let every = || KeepAlive::every(SECOND);
        assert_eq!(every().bytes, ": keep-alive\n");
        assert_eq!(every().blank_line().bytes, ": keep-alive\n\n");
        assert_eq!(every().event_named(ping).bytes, "event: ping\ndata: \n\n");
        let event = ServerEvent::new("here").with_comment("still");
        assert_eq!(every().event(event).bytes, ": still\ndata: here\n\n");
    }
}

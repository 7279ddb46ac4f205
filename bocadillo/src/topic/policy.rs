//! What happens to a subscriber that does not keep up.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::event::ServerEvent;

/// What happens to a subscriber that does not keep up with its topic.
///
/// No subscriber has a queue. All read from the topic's one ring of encoded events, each from its own place. The ring
/// holds the [`History`](super::History). Beyond it the ring holds what a subscriber has yet to be sent, up to
/// [`max_buffered_bytes`](Self::max_buffered_bytes). The default is 1 MiB. So:
///
/// - a subscriber that reads in the history is never too slow, however large the history is: those events are kept anyway;
/// - a subscriber that never reads makes the topic hold the bound more than the history, plus one event. A hundred such
///   subscribers make it hold no more than one does;
/// - when the ring has dropped an event that a subscriber had yet to be sent, the policy decides what happens to it.
///
/// # Examples
///
/// ```
/// use bocadillo::topic::{Hub, SlowPolicy};
///
/// let hub = Hub::builder()
///     .slow_clients(SlowPolicy::disconnect().max_buffered_bytes(256 * 1024))
///     .topics("prices", |topic| topic.slow_clients(SlowPolicy::conflate_by_name()))
///     .memory();
/// ```
#[derive(Clone, Debug)]
pub struct SlowPolicy {
    pub(crate) action: SlowAction,
    pub(crate) max_buffered_bytes: usize,
}

#[derive(Clone)]
pub(crate) enum SlowAction {
    Disconnect,
    DropOldest,
    Conflate(KeyOf),
    Block(Duration),
}

pub(crate) type KeyOf = Arc<dyn Fn(&ServerEvent) -> Option<String> + Send + Sync>;

impl SlowPolicy {
    /// The stream ends. The client comes back with the id of the last event it has read, and goes on from there as
    /// far as the history reaches; beyond that it gets a `reset`. This is the default.
    ///
    /// In a generator the subscription ends, and not the stream. The generator notices it after its `yield`: when the
    /// client reads again, or at the [`write_timeout`](crate::StreamOptions::write_timeout).
    ///
    /// # Examples
    ///
    /// ```
    /// use bocadillo::topic::SlowPolicy;
    ///
    /// let policy = SlowPolicy::disconnect();
    /// ```
    #[must_use]
    pub const fn disconnect() -> Self {
        Self::new(SlowAction::Disconnect)
    }

    /// The stream goes on with the oldest event that is left, after one `gap` event that says how many were dropped.
    ///
    /// # Examples
    ///
    /// ```
    /// use bocadillo::topic::SlowPolicy;
    ///
    /// let policy = SlowPolicy::drop_oldest().max_buffered_bytes(64 * 1024);
    /// ```
    #[must_use]
    pub const fn drop_oldest() -> Self {
        Self::new(SlowAction::DropOldest)
    }

    /// An event takes the place of an earlier one with the same key that a subscriber has not been sent yet. Who
    /// keeps up gets all of them, who does not gets the newest for each key; so does a client that comes back, for a
    /// replaced event is out of the history too.
    ///
    /// An event whose key is `None` replaces nothing. Should the newest of all keys be more than fits, the oldest are
    /// dropped with a `gap`, whose number counts those that had been replaced as well.
    ///
    /// The function runs once for each event that is published, on the node that publishes it.
    ///
    /// # Examples
    ///
    /// ```
    /// use bocadillo::topic::SlowPolicy;
    ///
    /// #[derive(serde::Deserialize)]
    /// struct Price { symbol: String }
    ///
    /// let policy = SlowPolicy::conflate(|event| {
    ///     let price: Price = serde_json::from_str(event.data()?).ok()?;
    ///     Some(price.symbol)
    /// });
    /// ```
    #[must_use]
    pub fn conflate(key: impl Fn(&ServerEvent) -> Option<String> + Send + Sync + 'static) -> Self {
        Self::new(SlowAction::Conflate(Arc::new(key)))
    }

    /// [`conflate`](Self::conflate) with an event's name as its key.
    ///
    /// # Examples
    ///
    /// ```
    /// use bocadillo::topic::SlowPolicy;
    ///
    /// let policy = SlowPolicy::conflate_by_name();
    /// ```
    #[must_use]
    pub fn conflate_by_name() -> Self {
        Self::conflate(|event| event.name().map(|name| name.as_str().to_owned()))
    }

    /// The publisher waits, up to this long, as long as its event would push out another that a subscriber has yet to
    /// be sent. After that the subscriber is disconnected. The publisher counts up to 64 bytes for the id of its event, so it may
    /// wait a little before the bound is reached.
    ///
    /// With a broker it is the node's own subscribers that its publishers wait for.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    /// use bocadillo::topic::SlowPolicy;
    ///
    /// let policy = SlowPolicy::block(Duration::from_millis(250));
    /// ```
    #[must_use]
    pub const fn block(up_to: Duration) -> Self {
        Self::new(SlowAction::Block(up_to))
    }

    /// How many bytes the topic holds for a subscriber beyond its history, as they go over the wire. The default is 1 MiB.
    ///
    /// Events in the history do not count. An event that leaves the history, because others came or because it is too
    /// old, counts from then on for each subscriber that has yet to be sent it. The event that a subscriber gets next does not
    /// count, so that an event larger than the bound can be sent.
    ///
    /// # Examples
    ///
    /// ```
    /// use bocadillo::topic::SlowPolicy;
    ///
    /// let policy = SlowPolicy::disconnect().max_buffered_bytes(4 << 20);
    /// ```
    #[must_use]
    pub fn max_buffered_bytes(mut self, bytes: usize) -> Self {
        self.max_buffered_bytes = bytes;
        self
    }

    const fn new(action: SlowAction) -> Self {
        Self {
            action,
            max_buffered_bytes: 1 << 20,
        }
    }

    pub(crate) fn key(&self, event: &ServerEvent) -> Option<Arc<str>> {
        match &self.action {
            SlowAction::Conflate(key) => key(event).map(Arc::from),
            _ => None,
        }
    }

    pub(crate) fn conflates(&self) -> bool {
        matches!(self.action, SlowAction::Conflate(_))
    }

    pub(crate) fn blocks(&self) -> Option<Duration> {
        match self.action {
            SlowAction::Block(up_to) => Some(up_to),
            _ => None,
        }
    }

    /// Whether a subscriber that has lost events goes on, with a `gap`.
    pub(crate) fn goes_on(&self) -> bool {
        matches!(
            self.action,
            SlowAction::DropOldest | SlowAction::Conflate(_)
        )
    }
}

impl Default for SlowPolicy {
    fn default() -> Self {
        Self::disconnect()
    }
}

impl fmt::Debug for SlowAction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Disconnect => "disconnect",
            Self::DropOldest => "drop_oldest",
            Self::Conflate(_) => "conflate",
            Self::Block(up_to) => return write!(f, "block({up_to:?})"),
        })
    }
}

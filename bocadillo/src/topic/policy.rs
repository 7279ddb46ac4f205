//! What happens to a subscriber that does not keep up.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::event::ServerEvent;

/// What happens to a subscriber that does not keep up with its topic.
///
/// Subscribers have no queues. They all read from the topic's ring of encoded events, each from its own position. The ring
/// holds the [`History`](super::History). Beyond the history it holds the events that subscribers still need, up to
/// [`max_buffered_bytes`](Self::max_buffered_bytes). The default is 1 MiB. So:
///
/// - A subscriber that reads from the history is never too slow, because these events are kept in any case.
/// - A subscriber that never reads makes the topic hold up to `max_buffered_bytes` more than the history, and one event. A
///   hundred such subscribers need no more memory than one.
/// - When the ring drops an event that a subscriber still needs, the policy decides what happens.
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
    /// The stream ends. The client reconnects with the id of its last event, and continues from there. If the history does not
    /// reach back to it, the client gets a `reset`. This is the default.
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

    /// The stream continues with the oldest event that is left, after one `gap` event with the number of dropped events.
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

    /// A new event replaces an earlier event with the same key. A subscriber that keeps up gets all events. A subscriber that does
    /// not keep up gets the newest event of each key. So does a client that reconnects, because a replaced event is
    /// removed from the history too.
    ///
    /// An event whose key is `None` replaces nothing. If the newest events of all keys exceed the limit, the oldest are
    /// dropped with a `gap`. The number in the `gap` includes events that were replaced.
    ///
    /// The function is called once for each published event, on the node that publishes it.
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

    /// [`conflate`](Self::conflate) with the name of the event as its key.
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

    /// The publisher waits while the ring has no room: while its event would drop an event that a subscriber still needs. After
    /// this time it publishes, and the subscriber is disconnected.
    ///
    /// The publisher counts up to 64 bytes for the id of its event, so it may wait a little before the limit is reached.
    /// With a broker, publishers wait only for subscribers on their own node.
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

    /// How many bytes of encoded events the topic holds for slow subscribers beyond its history. The default is 1 MiB.
    ///
    /// Events in the history do not count. An event counts when it has left the history, because it is too old or newer events
    /// came. The next event of the slowest subscriber does not count, so that an event larger than the limit can be sent.
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

    /// Whether a subscriber that has lost events continues, with a `gap`.
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

//! How many events a topic keeps for clients that reconnect.

use std::time::Duration;

/// How many events a topic keeps for clients that reconnect: a number of events, a number of bytes and an age. The limit that is
/// reached first counts.
///
/// The default is 1,000 events, 1 MiB and five minutes.
///
/// A client that reconnects gets all events that it missed if they are still in the history. If your clients watch something that
/// takes longer than five minutes, such as a job, set a longer [`max_age`](Self::max_age). A topic without handles,
/// subscribers and history is removed from memory.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use bocadillo::topic::{History, Hub};
///
/// let hub = Hub::builder()
///     .history(History::new().max_events(200).max_age(Duration::from_secs(60)))
///     .topics("audit/*", |topic| topic.history(History::new().max_events(100_000).max_bytes(64 << 20).unlimited_age()))
///     .topics("typing/*", |topic| topic.history(History::none()))
///     .memory();
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct History {
    pub(crate) max_events: usize,
    pub(crate) max_bytes: usize,
    pub(crate) max_age: Option<Duration>,
}

impl History {
    /// The default: 1,000 events, 1 MiB and five minutes.
    ///
    /// # Examples
    ///
    /// ```
    /// use bocadillo::topic::History;
    ///
    /// assert_eq!(History::new(), History::default());
    /// ```
    #[must_use]
    pub const fn new() -> Self {
        Self {
            max_events: 1_000,
            max_bytes: 1 << 20,
            max_age: Some(Duration::from_secs(300)),
        }
    }

    /// No history. A client that reconnects gets a `reset` if events were published meanwhile.
    ///
    /// # Examples
    ///
    /// ```
    /// use bocadillo::topic::History;
    ///
    /// assert_eq!(History::none(), History::new().max_events(0));
    /// ```
    #[must_use]
    pub const fn none() -> Self {
        Self::new().max_events(0)
    }

    /// The maximum number of events. The default is 1,000.
    ///
    /// # Examples
    ///
    /// ```
    /// use bocadillo::topic::History;
    ///
    /// let last_fifty = History::new().max_events(50);
    /// ```
    #[must_use]
    pub const fn max_events(mut self, max_events: usize) -> Self {
        self.max_events = max_events;
        self
    }

    /// The maximum number of bytes of the encoded events. The default is 1 MiB. Each event needs about 200 bytes of memory more.
    ///
    /// # Examples
    ///
    /// ```
    /// use bocadillo::topic::History;
    ///
    /// let small = History::new().max_bytes(64 * 1024);
    /// ```
    #[must_use]
    pub const fn max_bytes(mut self, max_bytes: usize) -> Self {
        self.max_bytes = max_bytes;
        self
    }

    /// The age at which events are removed. The default is five minutes.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    /// use bocadillo::topic::History;
    ///
    /// let recent = History::new().max_age(Duration::from_secs(30));
    /// ```
    #[must_use]
    pub const fn max_age(mut self, max_age: Duration) -> Self {
        self.max_age = Some(max_age);
        self
    }

    /// Keeps events of any age. A topic that has had an event then stays in memory until the hub ends.
    ///
    /// # Examples
    ///
    /// ```
    /// use bocadillo::topic::History;
    ///
    /// let last_word = History::new().max_events(1).unlimited_age();
    /// ```
    #[must_use]
    pub const fn unlimited_age(mut self) -> Self {
        self.max_age = None;
        self
    }
}

impl Default for History {
    fn default() -> Self {
        Self::new()
    }
}

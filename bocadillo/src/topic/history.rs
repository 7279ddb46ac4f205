//! How much of a topic is kept for those who come back.

use std::time::Duration;

/// How much of a topic is kept: so many events, so many bytes, so long; whichever is reached first.
///
/// It decides how long a client may be away and still lose nothing. A topic's history is also what keeps it in memory:
/// once the last subscriber and the history are gone, so is the topic.
///
/// The default is 1,000 events, 1 MiB and five minutes.
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
    /// The default: 1,000 events, 1 MiB, five minutes.
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

    /// No history: who was away has missed what was published meanwhile, and is told so by a `reset`.
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

    /// At most so many events.
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

    /// At most so many bytes, counted as they go over the wire. An event takes about 200 bytes of memory besides.
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

    /// Nothing that is as old as this, or older.
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

    /// However old. A topic that has had one event then stays in memory for good.
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

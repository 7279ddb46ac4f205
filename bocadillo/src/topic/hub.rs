//! The hub: all topics of an application.

use std::fmt;
use std::sync::Arc;

use super::cursor::Cursor;
use super::handle::Topic;
use super::name;
use super::position::MAX_TOPICS;
use super::registry::{Inner, TopicRef};
use super::subscription::Subscription;
use crate::error::{Error, ErrorKind, Result};

/// All topics of an application. A clone is cheap, and it is the same hub.
///
/// Put it into the application's state. [The module](super) describes its guarantees.
///
/// # Examples
///
/// ```
/// use bocadillo::topic::Hub;
/// use futures_util::StreamExt;
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> bocadillo::Result<()> {
/// let hub = Hub::memory();
/// let mut news = hub.topic("news")?.subscribe();
///
/// hub.topic("news")?.publish("Lunch is served").await?;
///
/// let event = news.next().await.expect("the stream continues");
/// assert_eq!(event.data(), Some("Lunch is served"));
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct Hub {
    pub(super) inner: Arc<Inner>,
}

/// What a hub holds now. See [`Hub::stats`].
///
/// # Examples
///
/// ```
/// use bocadillo::topic::Hub;
///
/// let hub = Hub::memory();
/// let topic = hub.topic("news")?;
/// let subscription = topic.subscribe();
/// assert_eq!((hub.stats().topics, hub.stats().subscribers), (1, 1));
/// # Ok::<(), bocadillo::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// The number of topics that have a handle, a subscriber or a history.
    pub topics: usize,
    /// The number of subscribers. A subscription to several topics counts once for each topic. A client that vanished
    /// counts until the server closes its connection.
    pub subscribers: usize,
    /// The number of events in memory on this node.
    pub events: usize,
    /// The bytes of these events.
    pub bytes: usize,
}

impl Hub {
    /// The topic with this name.
    ///
    /// A topic is created when it is first used. It is removed when its last handle, its last subscriber and its history
    /// are gone. To get a handle is cheap. If you publish very often, keep the handle.
    ///
    /// # Examples
    ///
    /// ```
    /// use bocadillo::topic::Hub;
    ///
    /// let hub = Hub::memory();
    /// let user = 7;
    /// let notifications = hub.topic(format!("users/{user}"))?;
    /// assert_eq!(notifications.name(), "users/7");
    /// # Ok::<(), bocadillo::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// When the name is empty, is longer than 200 bytes, or has a control character: [`Error::is_topic`].
    pub fn topic(&self, name: impl AsRef<str>) -> Result<Topic> {
        let name = name.as_ref();
        name::check(name)?;
        Ok(Topic::new(TopicRef::new(&self.inner, name)))
    }

    /// Subscribes to several topics in one stream, from now on.
    ///
    /// For a client that reconnects, use [`subscribe_from`](Self::subscribe_from).
    ///
    /// - The id of each event holds the client's position in all of the topics. A client that reconnects with it continues
    ///   in all of them.
    /// - The events of one topic are in order. Events of different topics are sent in the order in which they reached this
    ///   node, as far as they are there when the client is ready for them.
    /// - The data of a `reset` or a `gap` names its topics, as `"topics":[…]`.
    /// - The order of the names does not matter, and repeated names count once. An id of another set of topics gives a
    ///   `reset`.
    /// - Over a broker, a topic whose subscription the broker refuses or has not yet answered does not delay the others. It
    ///   joins when the broker has answered. A client that reconnects earlier has an id without a position in that
    ///   topic. It gets a `reset` for that topic alone, with the reason `missed`.
    ///
    /// The bytes of such a stream are written for each client, because the ids differ.
    ///
    /// # Examples
    ///
    /// ```
    /// use bocadillo::topic::Hub;
    /// use futures_util::StreamExt;
    ///
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> bocadillo::Result<()> {
    /// let hub = Hub::memory();
    /// let mut both = hub.subscribe(["news", "weather"])?;
    ///
    /// hub.topic("weather")?.publish("rain").await?;
    /// hub.topic("news")?.publish("The street is wet").await?;
    ///
    /// assert_eq!(both.next().await.unwrap().data(), Some("rain"));
    /// assert_eq!(both.next().await.unwrap().data(), Some("The street is wet"));
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    ///
    /// When there is no topic, when there are more than eight, or when a name is invalid: [`Error::is_topic`].
    pub fn subscribe<N: AsRef<str>>(
        &self,
        topics: impl IntoIterator<Item = N>,
    ) -> Result<Subscription> {
        self.subscribe_from(topics, Cursor::live())
    }

    /// Subscribes to several topics in one stream, from a cursor on.
    ///
    /// As [`subscribe`](Self::subscribe), but with the cursor of a client, as in
    /// [`Topic::subscribe_from`](super::Topic::subscribe_from).
    ///
    /// # Examples
    ///
    /// ```
    /// use bocadillo::topic::Hub;
    /// use futures_util::StreamExt;
    ///
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> bocadillo::Result<()> {
    /// let hub = Hub::memory();
    /// let mut both = hub.subscribe(["news", "weather"])?;
    /// hub.topic("weather")?.publish("rain").await?;
    /// let last = both.next().await.unwrap();
    /// drop(both);
    ///
    /// hub.topic("news")?.publish("The street is wet").await?;
    /// let mut later = hub.subscribe_from(["news", "weather"], last.id())?;
    /// assert_eq!(later.next().await.unwrap().data(), Some("The street is wet"));
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    ///
    /// As [`subscribe`](Self::subscribe).
    pub fn subscribe_from<N: AsRef<str>>(
        &self,
        topics: impl IntoIterator<Item = N>,
        cursor: impl Into<Cursor>,
    ) -> Result<Subscription> {
        let mut names: Vec<N> = topics.into_iter().collect();
        names
            .iter()
            .try_for_each(|name| name::check(name.as_ref()))?;
        names.sort_by(|a, b| a.as_ref().cmp(b.as_ref()));
        names.dedup_by(|a, b| a.as_ref() == b.as_ref());
        if names.is_empty() || names.len() > MAX_TOPICS {
            let text = format!(
                "a stream has one to {MAX_TOPICS} topics, not {}",
                names.len()
            );
            return Err(Error::new(ErrorKind::Topic, text));
        }
        let refs = names
            .iter()
            .map(|name| TopicRef::new(&self.inner, name.as_ref()))
            .collect();
        Ok(Subscription::new(refs, cursor.into()))
    }

    /// What the hub holds now. The time that it takes grows with the number of topics.
    ///
    /// # Examples
    ///
    /// ```
    /// use bocadillo::topic::Hub;
    ///
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> bocadillo::Result<()> {
    /// let hub = Hub::memory();
    /// hub.topic("news")?.publish("Lunch is served").await?;
    /// assert_eq!(hub.stats().topics, 1);
    /// assert_eq!(hub.stats().events, 1);
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn stats(&self) -> Stats {
        let mut stats = Stats::default();
        for channel in self.inner.all() {
            let state = channel.lock();
            stats.topics += 1;
            stats.subscribers += state.subscribers;
            stats.events += state.ring.events();
            stats.bytes += state.ring.bytes();
        }
        stats
    }
}

impl fmt::Debug for Hub {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hub")
            .field("broker", &self.inner.broker)
            .field("defaults", &self.inner.defaults)
            .finish_non_exhaustive()
    }
}

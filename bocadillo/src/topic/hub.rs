//! The hub: which topics there are, and how they are set up.

use std::fmt;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, RwLock};
use std::time::Duration;

use super::cursor::Cursor;
use super::engine::Broker;
use super::history::History;
use super::memory::Memory;
use super::notice::Names;
use super::options::TopicOptions;
use super::policy::SlowPolicy;
use super::position::MAX_TOPICS;
use super::registry::{Engine, Inner, Lease};
use super::subscription::Subscription;
use super::{Topic, check_name};
use crate::error::{Error, Kind, Result};
use crate::event::EventName;

/// All topics of an application. Cloning it is cheap, and gives the same hub.
///
/// Put it into the application's state. [The module](super) says what it guarantees.
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
/// let event = news.next().await.expect("the stream goes on");
/// assert_eq!(event.data(), Some("Lunch is served"));
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct Hub {
    pub(super) inner: Arc<Inner>,
}

/// How much a hub holds at a moment: see [`Hub::stats`].
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
    /// Topics that have a handle, a subscriber or a history.
    pub topics: usize,
    /// Subscriptions; one to several topics counts for each. A client that vanished counts until the server finds its
    /// connection dead.
    pub subscribers: usize,
    /// Events that are kept.
    pub events: usize,
    /// Their bytes.
    pub bytes: usize,
}

impl Hub {
    /// A hub within this process. Its topics end with it.
    ///
    /// # Examples
    ///
    /// ```
    /// use bocadillo::topic::Hub;
    ///
    /// let hub = Hub::memory();
    /// let topic = hub.topic("rooms/7")?;
    /// # Ok::<(), bocadillo::Error>(())
    /// ```
    #[must_use]
    pub fn memory() -> Self {
        Self::builder().memory()
    }

    /// A hub with other than the default options.
    ///
    /// # Examples
    ///
    /// ```
    /// use bocadillo::topic::{History, Hub, SlowPolicy};
    ///
    /// let hub = Hub::builder()
    ///     .history(History::new().max_events(200))
    ///     .slow_clients(SlowPolicy::drop_oldest())
    ///     .memory();
    /// ```
    pub fn builder() -> HubBuilder {
        HubBuilder::default()
    }

    /// The topic with this name. It appears when it is used, and goes when its last handle, its last subscriber and its
    /// history are gone.
    ///
    /// A handle is cheap to get and to clone. Hold on to one where there is a hot path.
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
    /// When the name is empty, longer than 200 bytes, or has a control character. [`Error::is_topic`] is true.
    pub fn topic(&self, name: impl AsRef<str>) -> Result<Topic> {
        let name = name.as_ref();
        check_name(name)?;
        Ok(Topic::new(Lease::new(&self.inner, name)))
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
    /// When there is no topic, when there are more than eight, or when a name is invalid.
    /// [`Error::is_topic`] is true.
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
            .try_for_each(|name| check_name(name.as_ref()))?;
        names.sort_by(|a, b| a.as_ref().cmp(b.as_ref()));
        names.dedup_by(|a, b| a.as_ref() == b.as_ref());
        if names.is_empty() || names.len() > MAX_TOPICS {
            let text = format!(
                "a stream has from one to {MAX_TOPICS} topics, not {}",
                names.len()
            );
            return Err(Error::new(Kind::Topic, text));
        }
        let leases = names
            .iter()
            .map(|name| Lease::new(&self.inner, name.as_ref()))
            .collect();
        Ok(Subscription::new(leases, cursor.into()))
    }

    /// How much the hub holds now. It looks at each topic in turn.
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
            .field("engine", &self.inner.engine)
            .field("defaults", &self.inner.defaults)
            .finish_non_exhaustive()
    }
}

/// Sets up a [`Hub`].
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use bocadillo::EventName;
/// use bocadillo::topic::{History, Hub, SlowPolicy};
///
/// let hub = Hub::builder()
///     .history(History::new().max_events(500).max_age(Duration::from_secs(120)))
///     .slow_clients(SlowPolicy::disconnect().max_buffered_bytes(512 * 1024))
///     .topics("prices/*", |topic| topic.slow_clients(SlowPolicy::conflate_by_name()))
///     .reset_name(EventName::from_static("start-over"))
///     .memory();
/// ```
#[derive(Default)]
#[must_use = "a builder does nothing until it is asked for the hub"]
pub struct HubBuilder {
    defaults: TopicOptions,
    overrides: Vec<(String, Override)>,
    names: Names,
    #[cfg_attr(
        not(any(feature = "nats", feature = "redis")),
        allow(dead_code, reason = "read by the features that bring a broker")
    )]
    pub(super) wait_for_broker: Duration,
    #[cfg_attr(
        not(any(feature = "nats", feature = "redis")),
        allow(dead_code, reason = "read by the features that bring a broker")
    )]
    pub(super) prefix: Option<String>,
}

type Override = Box<dyn FnOnce(TopicOptions) -> TopicOptions + Send>;

impl HubBuilder {
    /// How much of each topic is kept for those who come back.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    /// use bocadillo::topic::{History, Hub};
    ///
    /// let hub = Hub::builder().history(History::new().max_events(50).max_age(Duration::from_secs(60))).memory();
    /// ```
    pub fn history(mut self, history: History) -> Self {
        self.defaults.history = history;
        self
    }

    /// What happens to subscribers that do not keep up.
    ///
    /// # Examples
    ///
    /// ```
    /// use bocadillo::topic::{Hub, SlowPolicy};
    ///
    /// let hub = Hub::builder().slow_clients(SlowPolicy::drop_oldest()).memory();
    /// ```
    pub fn slow_clients(mut self, policy: SlowPolicy) -> Self {
        self.defaults.slow = policy;
        self
    }

    /// Other options for the topics whose names fit `pattern`, in which `*` stands for any text, slashes too. What is
    /// not set there is as for all. Of several patterns that fit, the first counts.
    ///
    /// # Examples
    ///
    /// ```
    /// use bocadillo::topic::{History, Hub, SlowPolicy};
    ///
    /// let hub = Hub::builder()
    ///     .topics("rooms/*/typing", |topic| topic.history(History::none()))
    ///     .topics("rooms/*", |topic| topic.slow_clients(SlowPolicy::drop_oldest()))
    ///     .memory();
    /// ```
    pub fn topics(
        mut self,
        pattern: impl Into<String>,
        options: impl FnOnce(TopicOptions) -> TopicOptions + Send + 'static,
    ) -> Self {
        self.overrides.push((pattern.into(), Box::new(options)));
        self
    }

    /// The name of the event that says: what you have is not enough to go on from. `reset` unless you say otherwise.
    ///
    /// # Examples
    ///
    /// ```
    /// use bocadillo::EventName;
    /// use bocadillo::topic::Hub;
    ///
    /// let hub = Hub::builder().reset_name(EventName::from_static("start-over")).memory();
    /// ```
    pub fn reset_name(mut self, name: impl Into<EventName>) -> Self {
        self.names.reset = name.into();
        self
    }

    /// The name of the event that says how many events were dropped. `gap` unless you say otherwise.
    ///
    /// # Examples
    ///
    /// ```
    /// use bocadillo::EventName;
    /// use bocadillo::topic::Hub;
    ///
    /// let hub = Hub::builder().gap_name(EventName::from_static("missing")).memory();
    /// ```
    pub fn gap_name(mut self, name: impl Into<EventName>) -> Self {
        self.names.gap = name.into();
        self
    }

    /// How long a publish waits for a broker that cannot be reached, before it fails. Not at all unless you say otherwise; an attempt to connect
    /// that is under way is waited for in any case. A memory hub has no use for it.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    /// use bocadillo::topic::Hub;
    ///
    /// let hub = Hub::builder().wait_for_broker(Duration::from_secs(2)).memory();
    /// ```
    pub fn wait_for_broker(mut self, up_to: Duration) -> Self {
        self.wait_for_broker = up_to;
        self
    }

    /// What the names of all begin with that the hub keeps in a broker, so that several applications can share one. `bocadillo:` in Redis
    /// unless you say otherwise. A memory hub has no use for it.
    ///
    /// # Examples
    ///
    /// ```
    /// let hub = bocadillo::topic::Hub::builder().prefix("shop").memory();
    /// ```
    pub fn prefix(mut self, prefix: impl Into<String>) -> Self {
        self.prefix = Some(prefix.into());
        self
    }

    /// A hub within this process.
    ///
    /// # Examples
    ///
    /// ```
    /// use bocadillo::topic::Hub;
    ///
    /// let hub = Hub::builder().memory();
    /// ```
    #[must_use]
    pub fn memory(self) -> Hub {
        self.build(Engine::Memory(Memory::new()))
    }

    /// A hub over a broker.
    #[cfg_attr(
        not(test),
        allow(dead_code, reason = "called by the features that bring a broker")
    )]
    pub(super) fn broker(self, broker: Arc<dyn Broker>) -> Hub {
        self.build(Engine::Broker(broker))
    }

    /// The histories of all topics that there may be.
    #[cfg(feature = "nats")]
    pub(super) fn histories(&mut self) -> Vec<History> {
        let mut histories = vec![self.defaults.history];
        for (_, options) in &mut self.overrides {
            let settle = std::mem::replace(options, Box::new(|options| options));
            let settled = settle(self.defaults.clone());
            histories.push(settled.history);
            // `build` finds it as it is now.
            *options = Box::new(|_| settled);
        }
        histories
    }

    fn build(self, engine: Engine) -> Hub {
        let defaults = self.defaults;
        let overrides: Vec<_> = self
            .overrides
            .into_iter()
            .map(|(pattern, options)| (pattern, Arc::new(options(defaults.clone()))))
            .collect();
        let all = std::iter::once(&defaults).chain(overrides.iter().map(|(_, options)| &**options));
        let youngest = all.filter_map(|options| options.history.max_age).min();
        let inner = Inner {
            engine,
            names: self.names,
            sweep_every: youngest
                .map(|age| (age / 4).clamp(Duration::from_millis(20), Duration::from_secs(5))),
            defaults: Arc::new(defaults),
            overrides,
            channels: RwLock::default(),
            is_sweeping: AtomicBool::new(false),
        };
        Hub {
            inner: Arc::new(inner),
        }
    }
}

impl fmt::Debug for HubBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let patterns: Vec<_> = self.overrides.iter().map(|(pattern, _)| pattern).collect();
        f.debug_struct("HubBuilder")
            .field("defaults", &self.defaults)
            .field("patterns", &patterns)
            .finish_non_exhaustive()
    }
}

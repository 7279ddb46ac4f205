//! The options of a hub.

use std::fmt;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, RwLock};
use std::time::Duration;

use super::broker::Broker;
use super::history::History;
use super::hub::Hub;
use super::memory::Memory;
use super::notice::Names;
use super::options::TopicOptions;
use super::policy::SlowPolicy;
use super::registry::Inner;
use crate::event::EventName;

impl Hub {
    /// A hub in this process. Its topics and their histories end with the process.
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

    /// Sets options of a hub.
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
}

/// Options of a [`Hub`]. Made by [`Hub::builder`].
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
    pub(super) wait_for_broker: Duration,
    pub(super) prefix: Option<String>,
}

type Override = Box<dyn FnOnce(TopicOptions) -> TopicOptions + Send>;

impl HubBuilder {
    /// How many events each topic keeps for clients that reconnect. The default is [`History::new`].
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

    /// What happens to subscribers that do not keep up. The default is [`SlowPolicy::disconnect`].
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

    /// Other options for the topics whose names match `pattern`. In the pattern, `*` matches any text, including slashes.
    ///
    /// Options that are not set there are those of the hub. If several patterns match, the first one counts.
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

    /// The name of the event that tells a client to load its state again. The default is `reset`.
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

    /// The name of the event that tells a client how many events were dropped. The default is `gap`.
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

    /// How long a publish waits for a broker that cannot be reached. The default is zero: the publish fails at once.
    ///
    /// If the hub is just connecting, a publish waits for the result in any case. A memory hub ignores this option.
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

    /// The prefix of every key, subject and stream that this hub uses in a broker, so that several applications can share
    /// the broker.
    ///
    /// The default is `bocadillo:` for Redis and `bocadillo` for NATS, where a colon at the end is left out. A memory hub
    /// ignores this option.
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

    /// A hub in this process. See [`Hub::memory`].
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
        self.build(Arc::new(Memory::new()))
    }

    /// A hub with a broker.
    #[cfg(any(test, feature = "nats", feature = "redis"))]
    pub(super) fn broker(self, broker: Arc<dyn Broker>) -> Hub {
        self.build(broker)
    }

    /// The histories of the hub and of all patterns.
    #[cfg(feature = "nats")]
    pub(super) fn histories(&mut self) -> Vec<History> {
        let mut histories = vec![self.defaults.history];
        for (_, options) in &mut self.overrides {
            let settle = std::mem::replace(options, Box::new(|options| options));
            let settled = settle(self.defaults.clone());
            histories.push(settled.history);
            // `build` uses the same options.
            *options = Box::new(|_| settled);
        }
        histories
    }

    fn build(self, broker: Arc<dyn Broker>) -> Hub {
        let defaults = self.defaults;
        let overrides: Vec<_> = self
            .overrides
            .into_iter()
            .map(|(pattern, options)| (pattern, Arc::new(options(defaults.clone()))))
            .collect();
        let all = std::iter::once(&defaults).chain(overrides.iter().map(|(_, options)| &**options));
        let youngest = all.filter_map(|options| options.history.max_age).min();
        let inner = Inner {
            broker,
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
            .field("wait_for_broker", &self.wait_for_broker)
            .field("prefix", &self.prefix)
            .finish_non_exhaustive()
    }
}

//! The handle of one topic: publishing, subscribing, and who is there.

use std::fmt;

use super::broker;
use super::cursor::Cursor;
use super::encoded::EventWithoutId;
use super::presence::Presence;
use super::registry::TopicRef;
use super::subscription::Subscription;
use crate::error::{Error, ErrorKind, Result};
use crate::event::{EventId, IntoEvent};

/// A handle of one topic, from [`Hub::topic`](super::Hub::topic). A clone is cheap.
///
/// # Examples
///
/// ```
/// use bocadillo::topic::Hub;
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> bocadillo::Result<()> {
/// let prices = Hub::memory().topic("prices")?;
/// let id = prices.publish("42").await?;
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct Topic {
    pub(super) topic: TopicRef,
}

impl Topic {
    pub(super) fn new(topic: TopicRef) -> Self {
        Self { topic }
    }

    /// The topic's name.
    ///
    /// # Examples
    ///
    /// ```
    /// # use bocadillo::topic::Hub;
    /// assert_eq!(Hub::memory().topic("prices")?.name(), "prices");
    /// # Ok::<(), bocadillo::Error>(())
    /// ```
    #[must_use]
    pub fn name(&self) -> &str {
        self.topic.name()
    }

    /// Publishes an event, and returns its id when the hub has confirmed it.
    ///
    /// It does not wait for subscribers, unless the topic's policy is [`SlowPolicy::block`](super::SlowPolicy::block). With a
    /// broker it waits for the broker's answers to earlier subscriptions of this hub, for at most 2 seconds. [`Subscription`]
    /// explains why.
    ///
    /// # Examples
    ///
    /// ```
    /// use bocadillo::{EventName, ServerEvent};
    /// use bocadillo::topic::Hub;
    ///
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> bocadillo::Result<()> {
    /// let topic = Hub::memory().topic("news")?;
    /// topic.publish("Lunch is served").await?;
    /// topic.publish(ServerEvent::json(&[1, 2, 3])?.with_name(EventName::from_static("numbers"))).await?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    ///
    /// - The value is an error.
    /// - The event has an id of its own, or it has neither data nor a name: [`Error::is_event`].
    /// - The broker cannot be reached: [`Error::is_unavailable`].
    /// - The broker refuses the event: [`Error::is_refused`].
    /// - The broker was lost before it confirmed: [`Error::is_unconfirmed`]. The event may have been published or not.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped before it is ready, the event may be published or not.
    pub async fn publish(&self, event: impl IntoEvent) -> Result<EventId> {
        let encoded = self.encode(event)?;
        let mut ids = broker::publish(&self.topic, vec![encoded]).await?;
        ids.pop().ok_or_else(|| {
            let text = "the broker did not say which position the event has";
            Error::new(ErrorKind::Unconfirmed, text)
        })
    }

    /// Publishes several events: all or none, with no other event between them.
    ///
    /// No subscriber gets one of them before all of them are in the topic. So their size should be less than the
    /// [`History`](super::History) and the limit of the [`SlowPolicy`](super::SlowPolicy) together.
    ///
    /// # Examples
    ///
    /// ```
    /// use bocadillo::topic::Hub;
    ///
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> bocadillo::Result<()> {
    /// let topic = Hub::memory().topic("game/7")?;
    /// let ids = topic.publish_all(["white moves", "clock stops"]).await?;
    /// assert_eq!(ids.len(), 2);
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    ///
    /// As [`publish`](Self::publish). If one event cannot be published, none is.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped before it is ready, all events are published or none.
    pub async fn publish_all<E: IntoEvent>(
        &self,
        events: impl IntoIterator<Item = E>,
    ) -> Result<Vec<EventId>> {
        let events: Vec<EventWithoutId> = events
            .into_iter()
            .map(|event| self.encode(event))
            .collect::<Result<_>>()?;
        if events.is_empty() {
            return Ok(Vec::new());
        }
        broker::publish(&self.topic, events).await
    }

    fn encode(&self, event: impl IntoEvent) -> Result<EventWithoutId> {
        EventWithoutId::new(&event.into_event()?, &self.topic.options().slow)
    }

    /// Subscribes to the events that are published from now on.
    ///
    /// For a client that reconnects, use [`subscribe_from`](Self::subscribe_from).
    ///
    /// # Examples
    ///
    /// ```
    /// use bocadillo::topic::Hub;
    ///
    /// let topic = Hub::memory().topic("news")?;
    /// let subscription = topic.subscribe();
    /// # Ok::<(), bocadillo::Error>(())
    /// ```
    pub fn subscribe(&self) -> Subscription {
        self.subscribe_from(Cursor::live())
    }

    /// Subscribes to the events after a cursor.
    ///
    /// The cursor is a [`Cursor`], the [`LastEventId`](crate::LastEventId) of a request, or the text of an id. If there is
    /// no id, the subscription gets the events that are published from now on, as with [`subscribe`](Self::subscribe).
    ///
    /// # Examples
    ///
    /// ```
    /// use bocadillo::topic::{Cursor, Hub};
    ///
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> bocadillo::Result<()> {
    /// let topic = Hub::memory().topic("news")?;
    /// let id = topic.publish("Lunch is served").await?;
    ///
    /// let after_lunch = topic.subscribe_from(id);
    /// let from_the_start = topic.subscribe_from(Cursor::start());
    /// # Ok(()) }
    /// ```
    pub fn subscribe_from(&self, cursor: impl Into<Cursor>) -> Subscription {
        Subscription::new(vec![self.topic.clone()], cursor.into())
    }

    /// The number of subscribers on this node.
    ///
    /// A client that vanished without closing its connection counts until the server closes the connection.
    ///
    /// # Examples
    ///
    /// ```
    /// # use bocadillo::topic::Hub;
    /// let topic = Hub::memory().topic("news")?;
    /// let subscription = topic.subscribe();
    /// assert_eq!(topic.subscribers(), 1);
    /// # Ok::<(), bocadillo::Error>(())
    /// ```
    #[must_use]
    pub fn subscribers(&self) -> usize {
        self.topic.channel().subscribers()
    }

    /// Waits for the first subscriber to come and for the last one to go.
    ///
    /// # Examples
    ///
    /// See [`Presence`]. For its most common use there is [`while_subscribed`](Self::while_subscribed).
    #[must_use]
    pub fn presence(&self) -> Presence {
        Presence::new(self.topic.clone(), self.topic.channel().watch())
    }

    /// Runs `source` while the topic has subscribers on this node.
    ///
    /// `source` is called when the first subscriber comes, and its future is dropped when the last one goes. If the future
    /// ends by itself, `source` is called again for the next first subscriber.
    ///
    /// It never returns, so spawn it. If its future is dropped, the future of `source` is dropped too.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// use std::time::Duration;
    /// use bocadillo::topic::Hub;
    ///
    /// # fn picture() -> String { String::new() }
    /// # async fn run() -> bocadillo::Result<()> {
    /// let camera = Hub::memory().topic("camera")?;
    /// tokio::spawn(async move {
    ///     camera
    ///         .while_subscribed(async || {
    ///             loop {
    ///                 let _ = camera.publish(picture()).await;
    ///                 tokio::time::sleep(Duration::from_millis(40)).await;
    ///             }
    ///         })
    ///         .await
    /// });
    /// # Ok(()) }
    /// ```
    pub async fn while_subscribed<F>(
        &self,
        mut source: impl FnMut() -> F,
    ) -> std::convert::Infallible
    where
        F: Future<Output = ()>,
    {
        let mut presence = self.presence();
        loop {
            presence.occupied().await;
            tokio::select! {
                () = source() => presence.vacant().await,
                () = presence.vacant() => {}
            }
        }
    }
}

impl fmt::Debug for Topic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Topic")
            .field("name", &self.name())
            .field("subscribers", &self.subscribers())
            .finish()
    }
}

//! The handle of one topic: publishing, subscribing, and who is there.

use std::fmt;

use super::broker;
use super::cursor::Cursor;
use super::encoded::Draft;
use super::presence::Presence;
use super::registry::TopicRef;
use super::subscription::Subscription;
use crate::error::{Error, Kind, Result};
use crate::event::{EventId, IntoEvent};

/// A handle of one topic: made by [`Hub::topic`], cheap to clone.
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

    /// Publishes an event, and gives its id once the hub has it.
    ///
    /// Subscribers are never waited for, unless the topic's policy is [`SlowPolicy::block`]. Over a broker it waits, for at most 2
    /// seconds, until the broker has answered the subscriptions that this hub made before: [`Subscription`] says why.
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
    /// Dropped before it is ready, the event is published or it is not.
    pub async fn publish(&self, event: impl IntoEvent) -> Result<EventId> {
        let draft = self.draft(event)?;
        let mut ids = broker::publish(&self.topic, vec![draft]).await?;
        ids.pop().ok_or_else(|| {
            let text = "the broker did not say which position the event has";
            Error::new(Kind::Unconfirmed, text)
        })
    }

    /// Publishes several events: all of them or none, one after the other with nothing in between, and no subscriber
    /// sees some of them before the others are there.
    ///
    /// Subscribers are sent them after they have all been added. So they should come to fewer bytes than the topic's
    /// [`History`] and the bound of its [`SlowPolicy`] together.
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
    /// As [`publish`](Self::publish); when one event is wrong none is published.
    ///
    /// # Cancel safety
    ///
    /// Dropped before it is ready, all events are published or none is.
    pub async fn publish_all<E: IntoEvent>(
        &self,
        events: impl IntoIterator<Item = E>,
    ) -> Result<Vec<EventId>> {
        let drafts: Vec<Draft> = events
            .into_iter()
            .map(|event| self.draft(event))
            .collect::<Result<_>>()?;
        if drafts.is_empty() {
            return Ok(Vec::new());
        }
        broker::publish(&self.topic, drafts).await
    }

    fn draft(&self, event: impl IntoEvent) -> Result<Draft> {
        Draft::new(&event.into_event()?, &self.topic.options().slow)
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

    /// How many subscribers the topic has on this node.
    ///
    /// A client that vanished without closing its connection counts until the server finds the connection dead.
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

    /// Tells when the first subscriber comes and the last one goes.
    ///
    /// # Examples
    ///
    /// See [`Presence`], and [`while_subscribed`](Self::while_subscribed) for what it is mostly for.
    #[must_use]
    pub fn presence(&self) -> Presence {
        Presence::new(self.clone(), self.topic.channel().watch())
    }

    /// Runs a source whenever somebody listens: `source` is called when the first subscriber comes, and what it
    /// returns is dropped when the last one goes. A source that ends by itself is called again when a subscriber
    /// comes after there was none.
    ///
    /// It never returns: spawn it. Dropping the future drops the source with it.
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

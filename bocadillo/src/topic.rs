//! Topics: publish once, deliver to everyone, lose nothing.
//!
//! A [`Hub`] has topics; a topic has subscribers and a history. What is published is encoded once, and every
//! subscriber is sent the same bytes. Each event has an id, which is a cursor: a client that comes back with the id
//! of the last event it has got is sent what it has missed, then what comes, with no gap, no duplicate, in order.
//! Where that cannot be done it is told so.
//!
//! ```
//! use bocadillo::topic::{Cursor, Hub};
//! use futures_util::StreamExt;
//!
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> bocadillo::Result<()> {
//! let hub = Hub::memory();
//! let room = hub.topic("rooms/7")?;
//!
//! let first = room.publish("hello").await?;
//! room.publish("anybody here?").await?;
//!
//! // In a handler: `room.subscribe(last_event_id)`, whatever the client has sent.
//! let mut events = room.subscribe(Cursor::after(first.as_str()));
//! assert_eq!(events.next().await.unwrap().get_data(), Some("anybody here?"));
//! # Ok(()) }
//! ```
//!
//! A hub is cheap to clone, and stands in the app's state. A subscription turns into the
//! [`EventStream`](crate::EventStream) that a handler answers with:
//!
#![cfg_attr(feature = "server", doc = "```")]
#![cfg_attr(not(feature = "server"), doc = "```text")]
//! use bocadillo::{App, EventStream, LastEventId, Problem, State, route, routes};
//! use bocadillo::topic::Hub;
//!
//! #[route("/rooms/{room}")]
//! async fn listen(room: String, State(hub): State<Hub>, last: LastEventId) -> Result<EventStream, Problem> {
//!     Ok(hub.topic(&room)?.subscribe(last).into())
//! }
//!
//! #[route("/rooms/{room}", methods = [POST])]
//! async fn say(room: String, State(hub): State<Hub>, text: String) -> Result<String, Problem> {
//!     Ok(hub.topic(&room)?.publish(text).await?.to_string())
//! }
//!
//! # fn main() {
//! let app = App::with_state(Hub::memory()).routes(routes![listen, say]);
//! # }
//! ```
//!
//! # The contract for clients
//!
//! Besides the application's own events there are two, whose names are [`HubBuilder::reset_name`] and
//! [`HubBuilder::gap_name`]:
//!
//! - `reset`, with `{"reason":"evicted"}` and the like: *what you have is not enough to go on from.* Load the state
//!   anew. It comes before the first event of its topic, at most once for each topic of a connection, unless a broker loses
//!   events meanwhile. Its id is the new position: what the application does from here on follows. The reason is
//!   - `evicted`: the history does not reach back to the client's id;
//!   - `epoch`: the id is of another life of the hub (a restart, a broker that came back empty), of another topic or
//!     other set of topics, or was never given;
//!   - `unreadable`: it is no id of a hub;
//!   - `missed`: the client came without an id while the broker could not be reached, or refused, so that
//!     events may have passed before the broker answered ([`Subscription`] says when). In a stream of several topics also: the
//!     id says nothing of this topic, because the broker had not answered for it before.
//! - `gap`, with `{"dropped":17}`: so many events were dropped here, because the client did not keep up.
//!
//! After a `reset` the stream goes on as for a client that comes without an id: with new events, or, after
//! [`Cursor::or_start`], with the whole history. With that, and with a [`Cursor`] as an argument of the handler, this is
//! all that a page needs:
//!
//! ```js
//! const url = new URL('/rooms/7', location);
//! let last = '';  // the id of the newest event
//! function connect() {
//!   url.searchParams.set('lastEventId', last);  // `append` would add one more each time
//!   const events = new EventSource(url);
//!   const on = (name, take) => events.addEventListener(name, (event) => {
//!     last = event.lastEventId;
//!     take(JSON.parse(event.data));
//!   });
//!   on('message', append);
//!   on('reset', clear);  // what is sent next is all that there is
//!   on('gap', ({ dropped }) => note(`${dropped} messages are missing here`));
//!   events.onerror = () => { if (events.readyState === EventSource.CLOSED) setTimeout(connect, 3_000) };
//! }
//! connect();
//! ```
//!
//! The browser reconnects by itself, with the last id, after a lost connection. It gives up after an answer that is no
//! stream, such as the 502 of a proxy: hence the last id in the URL.
//!
//! A page that shows a state, of which the topic has the changes, loads that state when it gets a `reset` or a `gap`. What
//! it loads then is at least as new as the `reset`, so that a change may come that it has already: give the state and
//! each change a version, or make changes that may be applied twice.
//!
//! A client that has got no event yet has no id. If it does not begin with the history, what is published while it
//! is away for the first time passes it by, unless you send it an event of yours first, with the id of
//! [`Subscription::last_id`].
//!
//! # What is held in memory
//!
//! Each topic has one ring of encoded events on each node: the [`History`], and beyond it what a slow subscriber has
//! yet to be sent, up to the bound of the [`SlowPolicy`]. A subscriber itself holds no events, only its place in the
//! ring. A subscriber to several topics holds up to one batch of them on its way out.

use std::fmt;

use crate::error::{Error, Kind, Result};
use crate::event::{EventId, IntoEvent};

mod channel;
mod cursor;
mod encoded;
#[cfg_attr(
    not(test),
    allow(dead_code, reason = "used by the features that bring a broker")
)]
mod engine;
mod history;
mod hub;
mod memory;
#[cfg(feature = "nats")]
mod nats;
mod notice;
mod options;
mod policy;
mod position;
mod presence;
mod reader;
#[cfg(feature = "redis")]
mod redis;
mod registry;
mod ring;
mod several;
mod shape;
mod subscription;
mod waiting;

pub use cursor::Cursor;
pub use history::History;
pub use hub::{Hub, HubBuilder, Stats};
#[cfg(feature = "nats")]
pub use nats::Nats;
pub use options::TopicOptions;
pub use policy::SlowPolicy;
pub use presence::Presence;
#[cfg(feature = "redis")]
pub use redis::Redis;
pub use subscription::Subscription;

use encoded::Draft;
use position::{Position, Tag, write_one};
use registry::{Engine, Lease};

/// The longest name of a topic, in bytes.
const MAX_NAME: usize = 200;

fn check_name(name: &str) -> Result<()> {
    let problem = if name.is_empty() {
        "the name of a topic is empty".to_owned()
    } else if name.len() > MAX_NAME {
        format!(
            "the name of a topic has {} bytes: {MAX_NAME} are the most",
            name.len()
        )
    } else if let Some((at, char)) = name.char_indices().find(|(_, char)| char.is_control()) {
        format!("the name of a topic has the control character {char:?} at byte {at}")
    } else {
        return Ok(());
    };
    Err(Error::new(Kind::Topic, problem))
}

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
    lease: Lease,
}

impl Topic {
    fn new(lease: Lease) -> Self {
        Self { lease }
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
        self.lease.name()
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
    /// topic.publish(ServerEvent::json(&[1, 2, 3])?.name(EventName::from_static("numbers"))).await?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    ///
    /// When the value is an error; when the event has an id of its own, or neither data nor name
    /// ([`Error::is_topic`]); when the broker cannot be reached ([`Error::is_unavailable`]), or refuses. After an
    /// error of a broker that had been reached the event may be there nevertheless.
    ///
    /// # Cancel safety
    ///
    /// Dropped before it is ready, the event is published or it is not.
    pub async fn publish(&self, event: impl IntoEvent) -> Result<EventId> {
        let draft = self.draft(event)?;
        match &self.lease.hub().engine {
            Engine::Memory(_) => {
                yield_now_and_then().await;
                let (tag, sequence) = memory::publish(&self.lease, [draft]).await;
                self.lease.hub().keep_swept();
                Ok(id(tag, Position::new(sequence, 0)))
            }
            Engine::Broker(_) => {
                let id = self.publish_to_broker(vec![draft]).await?.pop();
                id.ok_or_else(|| {
                    Error::new(
                        Kind::Unavailable,
                        "the broker did not say where the event is",
                    )
                })
            }
        }
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
        match &self.lease.hub().engine {
            Engine::Memory(_) => {
                yield_now_and_then().await;
                let events = drafts.len() as u64;
                let (tag, first) = memory::publish(&self.lease, drafts).await;
                self.lease.hub().keep_swept();
                Ok((first..first + events)
                    .map(|sequence| id(tag, Position::new(sequence, 0)))
                    .collect())
            }
            Engine::Broker(_) => self.publish_to_broker(drafts).await,
        }
    }

    fn draft(&self, event: impl IntoEvent) -> Result<Draft> {
        Draft::new(&event.into_event()?, &self.lease.options().slow)
    }

    async fn publish_to_broker(&self, drafts: Vec<Draft>) -> Result<Vec<EventId>> {
        let Some(broker) = self.lease.broker() else {
            return Ok(Vec::new());
        };
        self.lease.followed(&**broker).await;
        memory::wait_for_room(&self.lease, &drafts).await;
        let published = broker
            .publish(
                self.lease.name(),
                self.lease.channel().shared_options(),
                drafts,
            )
            .await?;
        let tag = Tag::new(published.epoch, self.name());
        Ok(published
            .positions
            .into_iter()
            .map(|position| id(tag, position))
            .collect())
    }

    /// Subscribes, from a cursor on: what a client has sent as its last id, as it is, or a [`Cursor`].
    ///
    /// # Examples
    ///
    /// ```
    /// use bocadillo::topic::{Cursor, Hub};
    ///
    /// let topic = Hub::memory().topic("news")?;
    /// let live = topic.subscribe(None::<&str>);
    /// let from_the_start = topic.subscribe(Cursor::start());
    /// # Ok::<(), bocadillo::Error>(())
    /// ```
    pub fn subscribe(&self, cursor: impl Into<Cursor>) -> Subscription {
        Subscription::new(vec![self.lease.clone()], cursor.into())
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
    /// let subscription = topic.subscribe(None::<&str>);
    /// assert_eq!(topic.subscribers(), 1);
    /// # Ok::<(), bocadillo::Error>(())
    /// ```
    #[must_use]
    pub fn subscribers(&self) -> usize {
        self.lease.channel().subscribers()
    }

    /// Tells when the first subscriber comes and the last one goes.
    ///
    /// # Examples
    ///
    /// See [`Presence`], and [`while_subscribed`](Self::while_subscribed) for what it is mostly for.
    #[must_use]
    pub fn presence(&self) -> Presence {
        Presence::new(self.clone(), self.lease.channel().watch())
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

fn id(tag: Tag, position: Position) -> EventId {
    let mut text = Vec::with_capacity(32);
    write_one(tag, position, &mut text);
    let text = std::str::from_utf8(&text).expect("ids are letters, digits and hyphens");
    EventId::try_from(text).expect("ids are letters, digits and hyphens")
}

/// So that a loop that only publishes lets subscribers run now and then, where they share its thread.
async fn yield_now_and_then() {
    tokio::task::coop::consume_budget().await;
}

impl fmt::Debug for Topic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Topic")
            .field("name", &self.name())
            .field("subscribers", &self.subscribers())
            .finish()
    }
}

#[cfg(test)]
mod tests {
    mod begin;
    mod bound;
    mod broker;
    mod hostile;
    mod lifetimes;
    mod limits;
    mod model;
    mod policies;
    mod threads;
    mod wakers;
}

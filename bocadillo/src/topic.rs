//! Topics: publish an event once, and every subscriber gets it.
//!
//! A [`Hub`] holds topics. A topic has subscribers and a [`History`]. An event is encoded once, and all subscribers get
//! the same bytes. Each event has an id. A client that reconnects with the id of its last event gets the events that it
//! missed, then the new ones: no gap, no duplicate, in order. If that is not possible, the client is told so.
//!
//! ```
//! use bocadillo::topic::Hub;
//! use futures_util::StreamExt;
//!
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> bocadillo::Result<()> {
//! let hub = Hub::memory();
//! let room = hub.topic("rooms/7")?;
//!
//! let first = room.publish("hello").await?;
//! room.publish("anybody here?").await?;
//!
//! // A client that reconnects. In a handler, a `LastEventId` or a `Cursor` takes the place of `first`.
//! let mut events = room.subscribe_from(first);
//! assert_eq!(events.next().await.unwrap().data(), Some("anybody here?"));
//! # Ok(()) }
//! ```
//!
//! Put the hub into the state of the app; a clone is cheap. A handler returns the subscription as an
//! [`EventStream`](crate::EventStream):
//!
#![cfg_attr(feature = "server", doc = "```")]
#![cfg_attr(not(feature = "server"), doc = "```text")]
//! use bocadillo::{App, EventStream, LastEventId, Problem, State, route, routes};
//! use bocadillo::topic::Hub;
//!
//! #[route("/rooms/{room}")]
//! async fn listen(room: String, State(hub): State<Hub>, last: LastEventId) -> Result<EventStream, Problem> {
//!     Ok(hub.topic(&room)?.subscribe_from(last).into())
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
//! # What clients have to handle
//!
//! A stream has two events besides those of the application. [`HubBuilder::reset_name`] and [`HubBuilder::gap_name`]
//! change their names.
//!
//! - `reset`: the client may have missed events, so it has to load its state again. The data has the reason, as in
//!   `{"reason":"evicted"}`. The event comes before the first event of its topic. It comes at most once for each topic of a
//!   connection, unless a broker loses events later. Its id is the position from which the stream continues. The reasons
//!   are:
//!   - `evicted`: events after the client's id are no longer in the history.
//!   - `epoch`: the id is from before a restart of the hub, or from before the broker lost its data. It may also belong to another
//!     topic or another set of topics, or no hub has ever given it.
//!   - `unreadable`: the text is not an id of a hub.
//!   - `missed`: the client came without an id while the broker was away or refused. Events may have passed before
//!     the broker answered; see [`Subscription`]. In a stream of several topics, it also means that the id has
//!     no position in this topic, because the broker had not answered for the topic before.
//! - `gap`, with `{"dropped":17}`: 17 events were dropped here, because the client did not keep up.
//!
//! After a `reset` the stream continues as for a client without an id: with new events, or with the whole history after
//! [`Cursor::or_start`]. If the handler uses [`Cursor::or_start`], this is all that a page needs:
//!
//! ```js
//! const url = new URL('/rooms/7', location);
//! let last = '';  // the id of the last event
//! function connect() {
//!   url.searchParams.set('lastEventId', last);  // not `append`, which adds one more each time
//!   const events = new EventSource(url);
//!   const on = (name, take) => events.addEventListener(name, (event) => {
//!     last = event.lastEventId;
//!     take(JSON.parse(event.data));
//!   });
//!   on('message', append);
//!   on('reset', clear);  // the whole history follows
//!   on('gap', ({ dropped }) => note(`${dropped} messages are missing here`));
//!   events.onerror = () => { if (events.readyState === EventSource.CLOSED) setTimeout(connect, 3_000) };
//! }
//! connect();
//! ```
//!
//! A browser reconnects by itself after a lost connection, with the last id. It does not reconnect after an answer
//! that is not an event stream, such as the 502 of a proxy. So the page has to reconnect itself, with the last id in the URL.
//!
//! If a page shows a state and the topic has the changes of it, the page loads the state when it gets a `reset` or a
//! `gap`. The loaded state may already contain a change that comes later in the stream. Give the state and each change a
//! version, or use changes that can be applied twice.
//!
//! A client that has not received an event has no id. It misses what is published until it reconnects, unless it
//! begins with the history, or you send it a first event with the id of [`Subscription::last_id`].
//!
//! # Memory
//!
//! Each topic has one ring of encoded events on each node. The ring holds the [`History`], and the events that slow
//! subscribers still need, up to the limit of the [`SlowPolicy`]. A subscriber of one topic holds no events. A
//! subscriber of several topics holds up to one batch of them.

mod broker;
mod builder;
mod channel;
mod cursor;
mod encoded;
mod handle;
mod hash;
mod history;
mod hub;
mod memory;
mod name;
#[cfg(feature = "nats")]
mod nats;
mod notice;
mod options;
mod policy;
mod position;
mod presence;
mod random;
mod reader;
#[cfg(feature = "redis")]
mod redis;
mod registry;
#[cfg(any(feature = "nats", feature = "redis"))]
mod remote;
mod ring;
mod several;
mod shape;
mod single;
mod subscription;
mod waker_list;

pub use builder::HubBuilder;
pub use cursor::Cursor;
pub use handle::Topic;
pub use history::History;
pub use hub::{Hub, Stats};
#[cfg(feature = "nats")]
pub use nats::Nats;
pub use options::TopicOptions;
pub use policy::SlowPolicy;
pub use presence::Presence;
#[cfg(feature = "redis")]
pub use redis::Redis;
pub use subscription::Subscription;

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

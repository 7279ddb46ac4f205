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
//! // In a handler: `room.subscribe_from(last_event_id)`, whatever the client has sent.
//! let mut events = room.subscribe_from(Cursor::after(first.as_str()));
//! assert_eq!(events.next().await.unwrap().data(), Some("anybody here?"));
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

mod broker;
mod builder;
mod channel;
mod cursor;
mod encoded;
mod handle;
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
mod ring;
mod several;
mod shape;
mod single;
mod subscription;
mod waiting;

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

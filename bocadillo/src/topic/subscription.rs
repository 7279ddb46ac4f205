//! A subscription: what a generator loops over, and what a handler returns.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use futures_core::Stream;
use tracing::Span;

use super::cursor::Cursor;
use super::encoded::read;
use super::reader::Reader;
use super::registry::TopicRef;
use super::several::Several;
use super::single::Single;
use crate::error::Result;
use crate::event::{EventId, ServerEvent};
use crate::stream::EventStream;
use crate::stream::source::{FrameBuffer, Source};

/// The events of one topic, or of several, for one subscriber.
///
/// A handler returns it as an [`EventStream`](crate::EventStream), by `.into()`. The stream then sends the bytes that all
/// subscribers share. A generator can loop over it, because it is a [`Stream`] of events.
///
/// It counts as a subscriber from the moment it is made, even if it is not polled. It ends only if the policy of the topic
/// disconnects subscribers that are too slow.
///
/// # Which events a subscription gets
///
/// - With [`Hub::memory`](super::Hub::memory) it gets every event that is published after it was made.
/// - With a broker it gets every event that this hub publishes after it was made. For this, a publish waits for the broker's
///   answer to earlier subscriptions of the topic, for at most 2 seconds. If there is no answer in that time, or the broker
///   refuses the subscription or cannot be reached, the publish continues, and the subscription tries again. When
///   it succeeds, a subscription without an id gets one `reset` with the reason `missed`.
/// - Other nodes do not wait. A subscription without an id gets the events of other nodes from the moment at which the broker
///   has answered. [`ready`](Self::ready) waits for that. With [`Cursor::start`] it begins with the history of that
///   moment.
/// - With an id it begins after the event with that id, whichever node published the events. If the events cannot all be
///   sent, it gets a `reset`.
///
/// # Examples
///
/// ```
/// use bocadillo::topic::Hub;
/// use futures_util::StreamExt;
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> bocadillo::Result<()> {
/// let topic = Hub::memory().topic("news")?;
/// let mut subscription = topic.subscribe();
/// topic.publish("Lunch is served").await?;
///
/// let event = subscription.next().await.expect("the stream continues");
/// assert_eq!(event.data(), Some("Lunch is served"));
/// # Ok(()) }
/// ```
///
/// # Cancel safety
///
/// If the future of `next` is dropped before it is ready, as in a `select!`, no event is lost.
#[must_use = "a subscription that is dropped has ended"]
pub struct Subscription {
    readers: Readers,
    has_ended: bool,
}

enum Readers {
    Single(Single),
    Several(Several),
}

impl Subscription {
    pub(super) fn new(refs: Vec<TopicRef>, cursor: Cursor) -> Self {
        let mut readers: Vec<_> = refs
            .into_iter()
            .map(|topic| Reader::new(topic, cursor.fallback))
            .collect();
        let readers = match readers.pop() {
            Some(reader) if readers.is_empty() => Readers::Single(Single::new(reader, cursor)),
            last => {
                readers.extend(last);
                Readers::Several(Several::new(readers, cursor.after))
            }
        };
        let mut subscription = Self {
            readers,
            has_ended: false,
        };
        // With a memory hub the subscription begins here. With a broker it begins when it is polled after the broker's answer.
        let _ = subscription.poll_begin(&mut Context::from_waker(std::task::Waker::noop()));
        subscription
    }

    /// Ready once all topics have begun.
    fn poll_begin(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        match &mut self.readers {
            Readers::Single(single) => single.poll_begin(cx),
            Readers::Several(several) => several.poll_begin(cx),
        }
    }

    /// Waits until the broker has answered. Then the subscription gets all later events of all nodes.
    ///
    /// With several topics it waits for all of them. With [`Hub::memory`](super::Hub::memory) it returns at once. It waits as long
    /// as the broker cannot be reached or refuses the subscription, so put a time-out around it if you cannot wait. A
    /// subscriber that is too slow may still lose events, as the [`SlowPolicy`](super::SlowPolicy) says.
    ///
    /// # Examples
    ///
    /// ```
    /// use bocadillo::topic::Hub;
    /// use futures_util::StreamExt;
    ///
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> bocadillo::Result<()> {
    /// let hub = Hub::memory();
    /// let mut answers = hub.subscribe(["answers", "errors"])?;
    /// answers.ready().await;
    ///
    /// // Now another node may be asked for something that it answers on these topics.
    /// hub.topic("answers")?.publish("42").await?;
    /// assert_eq!(answers.next().await.unwrap().data(), Some("42"));
    /// # Ok(()) }
    /// ```
    ///
    /// # Cancel safety
    ///
    /// It can be dropped and called again at any time.
    pub async fn ready(&mut self) {
        std::future::poll_fn(|cx| self.poll_begin(cx)).await;
    }

    /// The next events as they go over the wire: about `limit` bytes where there is more than one. `None` once it has
    /// ended.
    pub(crate) fn poll_wire(&mut self, cx: &mut Context<'_>, limit: usize) -> Poll<Option<Bytes>> {
        if self.has_ended {
            return Poll::Ready(None);
        }
        let bytes = ready!(match &mut self.readers {
            Readers::Single(single) => single.poll_wire(cx, limit),
            Readers::Several(several) => several.poll_wire(cx, limit),
        });
        self.has_ended = bytes.is_none();
        Poll::Ready(bytes)
    }

    /// Ready when the policy for slow clients will end the subscription.
    fn poll_lost(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        match &mut self.readers {
            Readers::Single(single) => single.reader.poll_lost(cx),
            Readers::Several(several) => {
                let mut readers = several.readers.iter_mut();
                if readers.any(|reader| reader.poll_lost(cx).is_ready()) {
                    Poll::Ready(())
                } else {
                    Poll::Pending
                }
            }
        }
    }

    /// The next event.
    pub(crate) fn poll_event(&mut self, cx: &mut Context<'_>) -> Poll<Option<ServerEvent>> {
        // With a limit of one byte, the result is always one event.
        let wire = ready!(self.poll_wire(cx, 1));
        Poll::Ready(wire.map(|wire| read(&wire).expect("what this crate has encoded it can read")))
    }

    /// The id of the last event that this subscription returned. A client that reconnects with it continues after that event.
    ///
    /// Before the first event it is the id of the position at which the subscription began. It is `None` before the
    /// broker has answered, and before a `reset` at the beginning of the stream.
    ///
    /// # Examples
    ///
    /// ```
    /// use bocadillo::ServerEvent;
    /// use bocadillo::topic::Hub;
    /// use futures_util::StreamExt;
    ///
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> bocadillo::Result<()> {
    /// let topic = Hub::memory().topic("news")?;
    /// let subscription = topic.subscribe();
    ///
    /// // A first event with an id, so that a client that reconnects before the next event misses nothing.
    /// let mut hello = ServerEvent::new("welcome");
    /// if let Some(id) = subscription.last_id() {
    ///     hello = hello.with_id(id);
    /// }
    ///
    /// topic.publish("Lunch is served").await?;
    /// let mut later = topic.subscribe_from(hello.id());
    /// assert_eq!(later.next().await.unwrap().data(), Some("Lunch is served"));
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn last_id(&self) -> Option<EventId> {
        match &self.readers {
            Readers::Single(single) => single.last_id(),
            Readers::Several(several) => several.last_id(),
        }
    }
}

/// A subscription as the source of an event stream. It sends the shared bytes.
struct Sending {
    subscription: Subscription,
    span: Span,
}

impl Source<ServerEvent> for Sending {
    fn poll_item(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<ServerEvent>>> {
        self.subscription.poll_event(cx).map(|event| event.map(Ok))
    }

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        batch: &mut FrameBuffer,
        limit: usize,
    ) -> Poll<()> {
        match ready!(self.subscription.poll_wire(cx, limit)) {
            Some(bytes) => batch.shared = Some(bytes),
            None => batch.end = Some(Ok(())),
        }
        Poll::Ready(())
    }

    fn poll_lost(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        self.subscription.poll_lost(cx)
    }

    fn span(&self) -> &Span {
        &self.span
    }
}

/// The fast path: the stream sends the bytes of the topic, many events at a time, without a generator.
///
/// # Examples
///
#[cfg_attr(feature = "server", doc = "```")]
#[cfg_attr(not(feature = "server"), doc = "```text")]
/// use bocadillo::topic::{Cursor, Hub};
/// use bocadillo::{EventStream, LastEventId, Problem, State, StatusCode, route};
///
/// #[route("/rooms/{room}")]
/// async fn room(room: String, State(hub): State<Hub>, last: LastEventId) -> Result<EventStream, Problem> {
///     let room = hub.topic(format!("rooms/{room}")).map_err(|_| Problem::new(StatusCode::NOT_FOUND))?;
///     Ok(room.subscribe_from(Cursor::from(last).or_start()).into())
/// }
/// # fn main() {}
/// ```
impl From<Subscription> for EventStream {
    fn from(subscription: Subscription) -> Self {
        Self::from_source(Sending {
            subscription,
            span: Span::current(),
        })
    }
}

impl Stream for Subscription {
    type Item = ServerEvent;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<ServerEvent>> {
        // A topic that always has events must not block other tasks of its thread.
        let budget = ready!(tokio::task::coop::poll_proceed(cx));
        let event = self.poll_event(cx);
        if event.is_ready() {
            budget.made_progress();
        }
        event
    }
}

impl fmt::Debug for Subscription {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut f = f.debug_struct("Subscription");
        match &self.readers {
            Readers::Single(single) => f.field("reader", &single.reader),
            Readers::Several(several) => f.field("readers", &several.readers),
        };
        f.field("has_ended", &self.has_ended).finish()
    }
}

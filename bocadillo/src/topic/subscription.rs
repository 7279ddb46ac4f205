//! A subscription: one or several readers, and what the client is told about its cursor.

use std::collections::VecDeque;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::{Bytes, BytesMut};
use futures_core::Stream;
use tokio::time::Instant;
use tracing::Span;

use super::cursor::Cursor;
use super::encoded::{Encoded, read};
use super::hub::Lease;
use super::notice::{Notice, Reason};
use super::position::{Position, Tag, read_one, read_several, write_one, write_several};
use super::reader::{Next, Reader};
use crate::error::Result;
use crate::event::{EventId, ServerEvent};
use crate::feed::{Batch, Source};
use crate::stream::EventStream;
use crate::wire;

/// The events of a topic, or of several, for one subscriber.
///
/// It is a [`Stream`] of events for a generator to loop over, and turns into an [`EventStream`](crate::EventStream), which sends
/// the shared bytes as they are. It ends only where the topic's policy disconnects clients that are too slow.
///
/// It counts as a subscriber, and is sent what comes, from its making on, whether it is polled or not.
///
/// # Examples
///
/// ```
/// use bocadillo::topic::Hub;
/// use futures_util::StreamExt;
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> bocadillo::Result<()> {
/// let topic = Hub::memory().topic("news")?;
/// let mut subscription = topic.subscribe(None::<&str>);
/// topic.publish("Lunch is served").await?;
///
/// let event = subscription.next().await.expect("the stream goes on");
/// assert_eq!(event.get_data(), Some("Lunch is served"));
/// # Ok(()) }
/// ```
///
/// # Cancel safety
///
/// Nothing is lost when `next` is dropped before it is ready, or when it loses in a `select!`.
#[must_use = "a subscription that is dropped has ended"]
pub struct Subscription {
    readers: Readers,
    /// Where it is to begin, until it has begun.
    cursor: Option<Cursor>,
    /// A `reset` at the very beginning, and the topics that it is about.
    opening: Option<(Notice, Vec<Arc<str>>)>,
    has_ended: bool,
}

enum Readers {
    One(Reader),
    Several(Several),
}

/// Readers of several topics, by name.
struct Several {
    readers: Vec<Reader>,
    tag: Tag,
    /// What the client has got of each topic.
    sent: Vec<Position>,
    /// What has been taken, on its way out.
    queue: VecDeque<(usize, Item)>,
    has_ended: bool,
}

enum Item {
    Event(Encoded),
    Notice(Notice),
}

impl Subscription {
    pub(super) fn new(leases: Vec<Lease>, cursor: Cursor) -> Self {
        let mut readers: Vec<_> = leases
            .into_iter()
            .map(|lease| Reader::new(lease, cursor.otherwise))
            .collect();
        let readers = match readers.pop() {
            Some(reader) if readers.is_empty() => Readers::One(reader),
            last => {
                readers.extend(last);
                let sent = vec![Position::default(); readers.len()];
                let queue = VecDeque::new();
                Readers::Several(Several {
                    readers,
                    tag: Tag::of_all(std::iter::empty()),
                    sent,
                    queue,
                    has_ended: false,
                })
            }
        };
        let mut subscription = Self {
            readers,
            cursor: Some(cursor),
            opening: None,
            has_ended: false,
        };
        // In memory that is all; a broker may have to be asked first, which happens when it is polled.
        let _ = subscription.poll_open(&mut Context::from_waker(std::task::Waker::noop()));
        subscription
    }

    /// Finds out what the cursor means, once all topics know where they stand.
    fn poll_open(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(cursor) = &self.cursor else {
            return Poll::Ready(());
        };
        let reset = match &mut self.readers {
            Readers::One(reader) => {
                ready!(reader.poll_ready(cx));
                let outcome = match cursor.after.as_deref() {
                    None => {
                        reader.begin();
                        Ok(())
                    }
                    Some(text) => match known(read_one(text), reader.tag()) {
                        Ok(position) => reader.begin_after(position),
                        Err(reason) => {
                            reader.begin();
                            Err(reason)
                        }
                    },
                };
                outcome
                    .err()
                    .map(|reason| (Notice::Reset(reason), Vec::new()))
            }
            Readers::Several(several) => {
                for reader in &mut several.readers {
                    ready!(reader.poll_ready(cx));
                }
                several.open(cursor.after.as_deref())
            }
        };
        self.opening = reset;
        self.cursor = None;
        Poll::Ready(())
    }

    /// The next events as they go over the wire: about `limit` bytes where there is more than one. `None` once it has ended.
    pub(crate) fn poll_wire(&mut self, cx: &mut Context<'_>, limit: usize) -> Poll<Option<Bytes>> {
        ready!(self.poll_open(cx));
        if self.has_ended {
            return Poll::Ready(None);
        }
        if let Some((notice, topics)) = self.opening.take() {
            return Poll::Ready(Some(self.notice(notice, &topics)));
        }
        match &mut self.readers {
            Readers::One(reader) => match ready!(reader.poll::<Bytes>(cx, limit)) {
                Next::Events(bytes) => Poll::Ready(Some(bytes)),
                Next::Notice(notice) => Poll::Ready(Some(self.notice(notice, &[]))),
                Next::End => {
                    self.has_ended = true;
                    Poll::Ready(None)
                }
            },
            Readers::Several(several) => {
                let bytes = ready!(several.poll_wire(cx, limit));
                self.has_ended = bytes.is_none();
                Poll::Ready(bytes)
            }
        }
    }

    /// The next event.
    pub(crate) fn poll_event(&mut self, cx: &mut Context<'_>) -> Poll<Option<ServerEvent>> {
        // With a limit of one byte there is one event: more than one would be more than that.
        let wire = ready!(self.poll_wire(cx, 1));
        Poll::Ready(wire.map(|wire| read(&wire).expect("what this crate has encoded it can read")))
    }

    fn notice(&self, notice: Notice, topics: &[Arc<str>]) -> Bytes {
        let mut event = notice.event(&self.lease().hub().names, topics);
        event.id = self.last_id();
        let mut bytes = BytesMut::new();
        wire::encode(&event, &mut bytes);
        bytes.freeze()
    }

    fn lease(&self) -> &Lease {
        match &self.readers {
            Readers::One(reader) => reader.lease(),
            Readers::Several(several) => several.readers[0].lease(),
        }
    }

    /// The id from which a client would go on that has got all that has come out of this subscription so far.
    ///
    /// It is that of the last event; before the first event it says where the subscription has begun. `None` with a broker that
    /// has not been reached yet.
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
    /// let subscription = topic.subscribe(None::<&str>);
    ///
    /// // A first event with an id, so that who leaves before anything has happened misses nothing either.
    /// let mut hello = ServerEvent::data("welcome");
    /// if let Some(id) = subscription.last_id() {
    ///     hello = hello.id(id);
    /// }
    ///
    /// topic.publish("Lunch is served").await?;
    /// let mut later = topic.subscribe(hello.get_id());
    /// assert_eq!(later.next().await.unwrap().get_data(), Some("Lunch is served"));
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn last_id(&self) -> Option<EventId> {
        if self.cursor.is_some() {
            return None;
        }
        let mut id = Vec::new();
        match &self.readers {
            Readers::One(reader) => write_one(reader.tag()?, reader.position(), &mut id),
            Readers::Several(several) => several.write_id(&mut id),
        }
        event_id(id)
    }
}

fn event_id(text: Vec<u8>) -> Option<EventId> {
    EventId::try_from(String::from_utf8(text).ok()?).ok()
}

/// What a cursor says, if it is one for what has this tag.
fn known<T>(cursor: Option<(Tag, T)>, tag: Option<Tag>) -> Result<T, Reason> {
    match cursor {
        None => Err(Reason::Unreadable),
        Some((other, _)) if Some(other) != tag => Err(Reason::Epoch),
        Some((_, position)) => Ok(position),
    }
}

impl Several {
    fn tag(&self) -> Tag {
        Tag::of_all(self.readers.iter().filter_map(Reader::tag))
    }

    fn open(&mut self, after: Option<&str>) -> Option<(Notice, Vec<Arc<str>>)> {
        self.tag = self.tag();
        let cursor = match after.map(|text| known(read_several(text), Some(self.tag))) {
            None => None,
            Some(Ok(positions)) if positions.len() == self.readers.len() => Some(Ok(positions)),
            Some(Ok(_)) => Some(Err(Reason::Unreadable)),
            Some(Err(reason)) => Some(Err(reason)),
        };
        let mut reset: Option<(Notice, Vec<Arc<str>>)> = None;
        for (at, reader) in self.readers.iter_mut().enumerate() {
            let outcome = match &cursor {
                Some(Ok(positions)) => reader.begin_after(positions[at]),
                Some(Err(reason)) => {
                    reader.begin();
                    Err(*reason)
                }
                None => {
                    reader.begin();
                    Ok(())
                }
            };
            self.sent[at] = reader.position();
            if let Err(reason) = outcome {
                let (_, topics) = reset.get_or_insert((Notice::Reset(reason), Vec::new()));
                topics.push(Arc::clone(reader.lease().name()));
            }
        }
        reset
    }

    fn write_id(&self, out: &mut Vec<u8>) {
        write_several(self.tag, &self.sent, out);
    }

    fn poll_wire(&mut self, cx: &mut Context<'_>, limit: usize) -> Poll<Option<Bytes>> {
        if self.queue.is_empty() && !self.has_ended {
            self.fill(cx, limit);
        }
        if self.queue.is_empty() {
            return if self.has_ended {
                Poll::Ready(None)
            } else {
                Poll::Pending
            };
        }
        let mut bytes = BytesMut::new();
        let mut id = Vec::new();
        while let Some((at, item)) = self.queue.pop_front() {
            self.write(at, item, &mut id, &mut bytes);
            if self
                .queue
                .front()
                .is_none_or(|(_, next)| bytes.len() + next.size() > limit)
            {
                break;
            }
        }
        Poll::Ready(Some(bytes.freeze()))
    }

    /// Takes from each topic what is there, and puts it into the order in which it came.
    fn fill(&mut self, cx: &mut Context<'_>, limit: usize) {
        let limit = limit / self.readers.len();
        let mut taken: Vec<(Option<Instant>, usize, Item)> = Vec::new();
        for (at, reader) in self.readers.iter_mut().enumerate() {
            match reader.poll::<Vec<(Instant, Encoded)>>(cx, limit) {
                Poll::Pending => {}
                Poll::Ready(Next::Events(events)) => {
                    taken.extend(
                        events
                            .into_iter()
                            .map(|(time, event)| (Some(time), at, Item::Event(event))),
                    );
                }
                Poll::Ready(Next::Notice(notice)) => taken.push((None, at, Item::Notice(notice))),
                Poll::Ready(Next::End) => self.has_ended = true,
            }
        }
        // Stable, so that each topic stays in order. A notice comes before the events that it explains: it is alone of its topic.
        taken.sort_by_key(|(time, ..)| *time);
        self.queue
            .extend(taken.into_iter().map(|(_, at, item)| (at, item)));
    }

    fn write(&mut self, at: usize, item: Item, id: &mut Vec<u8>, out: &mut BytesMut) {
        id.clear();
        match item {
            Item::Event(event) => {
                self.sent[at] = event.position;
                self.write_id(id);
                out.reserve(event.payload().len() + id.len() + "id: \n".len());
                out.extend_from_slice(b"id: ");
                out.extend_from_slice(id);
                out.extend_from_slice(b"\n");
                out.extend_from_slice(event.payload());
            }
            Item::Notice(notice) => {
                let reader = &self.readers[at];
                self.sent[at] = reader.position();
                let mut topics = vec![Arc::clone(reader.lease().name())];
                // A broker that comes back empty does so for all of its topics: one `reset` speaks for those that are known by now.
                while let Some((other, Item::Notice(next))) = self.queue.front()
                    && *next == notice
                    && matches!(notice, Notice::Reset(_))
                {
                    let reader = &self.readers[*other];
                    self.sent[*other] = reader.position();
                    topics.push(Arc::clone(reader.lease().name()));
                    self.queue.pop_front();
                }
                self.tag = self.tag();
                self.write_id(id);
                let mut event = notice.event(&self.readers[at].lease().hub().names, &topics);
                event.id = event_id(std::mem::take(id));
                wire::encode(&event, out);
            }
        }
    }
}

impl Item {
    /// About how many bytes it takes.
    fn size(&self) -> usize {
        match self {
            Self::Event(event) => event.wire.len(),
            Self::Notice(_) => 0,
        }
    }
}

/// A subscription on its way to one client: the shared bytes go out as they are.
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

    fn poll_batch(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        batch: &mut Batch,
        limit: usize,
    ) -> Poll<()> {
        match ready!(self.subscription.poll_wire(cx, limit)) {
            Some(bytes) => batch.shared = Some(bytes),
            None => batch.end = Some(Ok(())),
        }
        Poll::Ready(())
    }

    fn span(&self) -> &Span {
        &self.span
    }
}

/// The fast path: what is sent is the topic's own bytes, many events at a time, with no generator between.
///
/// # Examples
///
/// ```
/// use bocadillo::topic::{Cursor, Hub};
/// use bocadillo::{EventStream, LastEventId, Problem, State, StatusCode, route};
///
/// #[route("/rooms/{room}")]
/// async fn room(room: String, State(hub): State<Hub>, last: LastEventId) -> Result<EventStream, Problem> {
///     let room = hub.topic(format!("rooms/{room}")).map_err(|_| Problem::new(StatusCode::NOT_FOUND))?;
///     Ok(room.subscribe(Cursor::from(last).or_start()).into())
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
        // A topic that always has more must not keep a task from others.
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
            Readers::One(reader) => f.field("reader", reader),
            Readers::Several(several) => f.field("readers", &several.readers),
        };
        f.field("has_ended", &self.has_ended).finish()
    }
}

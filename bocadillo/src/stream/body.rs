//! The `http_body::Body` of a stream: one frame for all that is ready, keep-alive comments, the ends.

use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::mem;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError, Weak};
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http_body::{Body as HttpBody, Frame, SizeHint};
use tokio::time::{Instant, Sleep};

use crate::error::Error;
use crate::event::ServerEvent;
use crate::event::wire;
use crate::stream::drain::Drainable;
use crate::stream::feed::{Batch, Feed, Payload};
use crate::stream::options::KeepAlive;
use crate::stream::outgoing::{self, Outgoing};
use crate::stream::streams::{StreamsLookup, StreamsSlot};

/// About how much goes into one frame: what hyper gathers before it writes.
const FRAME: usize = 16 * 1024;

/// The last line of an event stream in HTTP/2 that its lifetime or the policy for slow clients has ended: an empty
/// comment, which clients ignore.
const LAST: &[u8] = b":\n";

/// A buffer that was larger than this is released when the stream is idle, because most streams are idle most of the
/// time.
const KEPT: usize = 1024;

/// The body of a response that this crate serves.
///
/// [`AppService`](crate::AppService) answers with it. An event stream that no layer has wrapped keeps its own type in
/// here. Everything else is axum's body.
///
/// # Examples
///
/// ```
/// use bocadillo::Body;
///
/// let body = Body::from(axum_core::body::Body::from("hello"));
/// assert_eq!(http_body::Body::size_hint(&body).exact(), Some(5));
/// ```
#[derive(Debug)]
pub struct Body(Kind);

#[derive(Debug)]
enum Kind {
    Events(StreamBody<ServerEvent>),
    Other(axum_core::body::Body),
}

impl Body {
    pub(crate) fn events(body: StreamBody<ServerEvent>) -> Self {
        Self(Kind::Events(body))
    }

    /// A body of no bytes.
    ///
    /// # Examples
    ///
    /// ```
    /// use http_body::Body as _;
    ///
    /// assert_eq!(bocadillo::Body::empty().size_hint().exact(), Some(0));
    /// ```
    #[must_use]
    pub fn empty() -> Self {
        axum_core::body::Body::empty().into()
    }

    /// The body as axum's type, which axum's layers know.
    ///
    /// For an answer of the app that goes on to a service of axum's.
    ///
    /// # Examples
    ///
    /// ```
    /// use bocadillo::Body;
    ///
    /// let body: axum_core::body::Body = Body::empty().into_axum();
    /// ```
    pub fn into_axum(self) -> axum_core::body::Body {
        match self.0 {
            Kind::Events(body) => axum_core::body::Body::new(body),
            Kind::Other(body) => body,
        }
    }
}

impl From<axum_core::body::Body> for Body {
    fn from(body: axum_core::body::Body) -> Self {
        Self(Kind::Other(body))
    }
}

impl HttpBody for Body {
    type Data = Bytes;
    type Error = axum_core::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum_core::Error>>> {
        match &mut self.0 {
            Kind::Events(body) => Pin::new(body).poll_frame(cx).map_err(axum_core::Error::new),
            Kind::Other(body) => Pin::new(body).poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.0 {
            Kind::Events(body) => body.is_end_stream(),
            Kind::Other(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Kind::Events(body) => body.size_hint(),
            Kind::Other(body) => body.size_hint(),
        }
    }
}

/// What only one of the two kinds of streams does.
pub(crate) trait Framing: Payload {
    /// Whether the stream carries comments and a `retry` of ours, and may end early. A client of events comes back for
    /// the rest. A client of bytes must not take a part for the whole.
    const EVENTS: bool;
    /// How a drain ends the stream.
    fn drained() -> End;
    /// How an error ends the stream, after what it adds to `out`.
    fn failed(error: Error, feed: &Feed<Self>, out: &mut BytesMut) -> End;
}

impl Framing for ServerEvent {
    const EVENTS: bool = true;

    fn drained() -> End {
        End::InOrder
    }

    fn failed(error: Error, feed: &Feed<Self>, out: &mut BytesMut) -> End {
        if let Some(event) = feed.options.shown(&error) {
            wire::encode(&event, out);
        }
        End::InOrder
    }
}

impl Framing for Bytes {
    const EVENTS: bool = false;

    fn drained() -> End {
        End::Broken(Error::draining())
    }

    fn failed(error: Error, _: &Feed<Self>, _: &mut BytesMut) -> End {
        End::Broken(error)
    }
}

/// A feed on its way out.
///
/// The connection shares it: it can end the stream while hyper does not poll the body.
pub(crate) struct StreamBody<T: Framing>(Arc<Shared<T>>);

// Boxed once more because the timers inside are pinned.
struct Shared<T: Framing>(Mutex<Pin<Box<Core<T>>>>);

pin_project_lite::pin_project! {
    struct Core<T: Framing> {
        feed: Feed<T>,
        batch: Batch,
        // What is left of a frame that was too large for one piece.
        rest: Bytes,
        // The size of the largest buffer since the stream was idle. The capacity after a frame was taken does not show
        // it: a small rest keeps the whole buffer alive.
        largest: usize,
        end: Option<End>,
        // Whether the server has ended it, and not its source.
        is_told: bool,
        keep_alive: Option<KeepAlive>,
        last_write: Option<Instant>,
        expires: Option<Instant>,
        // One timer for the two above. An event does not touch it: it is set anew when it fires too early.
        #[pin]
        timer: Option<Sleep>,
        // Wakes the task that polls the body, or the connection.
        waker: Option<Waker>,
        // Until the stream starts.
        lookup: Option<StreamsLookup>,
        // Whether hyper had the time to write all that came before a broken end.
        flushed: bool,
        // Frames handed out, and whether another frame has been asked for since.
        frames: u64,
        is_waiting: bool,
        // Whether it goes out in a stream of HTTP/2, with a window of its own.
        is_http2: bool,
        // Whether `LAST` has been handed out.
        has_passed: bool,
    }
}

/// How a body ends.
pub(crate) enum End {
    InOrder,
    /// The client must not take this for the end.
    Broken(Error),
}

impl End {
    fn into_frame(self) -> Option<Result<Frame<Bytes>, Error>> {
        match self {
            Self::InOrder => None,
            Self::Broken(error) => Some(Err(error)),
        }
    }
}

impl<T: Framing> fmt::Debug for StreamBody<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StreamBody")
            .field("feed", &self.lock().feed)
            .finish_non_exhaustive()
    }
}

impl<T: Framing> StreamBody<T> {
    /// A body of `feed`. It belongs to the app whose request is handled here, or to the one that adopts it.
    pub(crate) fn new(feed: Feed<T>) -> Self {
        let core = Core {
            feed,
            batch: Batch::default(),
            rest: Bytes::new(),
            largest: 0,
            end: None,
            is_told: false,
            keep_alive: None,
            last_write: None,
            expires: None,
            timer: None,
            waker: None,
            lookup: Some(StreamsLookup::new()),
            flushed: false,
            frames: 0,
            is_waiting: false,
            is_http2: false,
            has_passed: false,
        };
        let body = Self(Arc::new(Shared(Mutex::new(Box::pin(core)))));
        body.register();
        body
    }

    fn register(&self) {
        let shared: Weak<Shared<T>> = Arc::downgrade(&self.0);
        let shared: Weak<dyn outgoing::Stream> = shared;
        *self.lock().as_mut().project().is_http2 |= Outgoing::register(&shared);
    }

    /// An extension for the response with this body, if the body does not belong to an app yet.
    pub(crate) fn slot(&self) -> Option<StreamsSlot> {
        self.lock().lookup.as_ref().and_then(StreamsLookup::slot)
    }

    fn lock(&self) -> MutexGuard<'_, Pin<Box<Core<T>>>> {
        self.0.lock()
    }
}

impl<T: Framing> Shared<T> {
    /// A poisoned lock is used on: the panic of a source has broken the connection already.
    fn lock(&self) -> MutexGuard<'_, Pin<Box<Core<T>>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T: Framing> outgoing::Stream for Shared<T> {
    fn poll_state(&self, cx: &mut Context<'_>) -> outgoing::State {
        // A layer may poll the body in another task. That poll then sees that the stream has to end.
        let Ok(mut core) = self.0.try_lock() else {
            return outgoing::State::Waiting;
        };
        core.as_mut().poll_state(cx)
    }

    fn end(&self) {
        self.lock().as_mut().leave(End::InOrder);
    }

    fn write_timeout(&self) -> Option<Duration> {
        self.lock().feed.options.write_timeout_or_default(T::EVENTS)
    }
}

impl<T: Framing> Drainable for Shared<T> {
    fn drain(&self) -> bool {
        let mut core = match self.0.try_lock() {
            Ok(core) => core,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => return false,
        };
        if core.end.is_some() {
            return true;
        }
        core.as_mut().leave(T::drained());
        let waker = core.as_mut().project().waker.take();
        drop(core);
        if let Some(waker) = waker {
            waker.wake();
        }
        true
    }
}

impl<T: Framing> Core<T> {
    /// Takes the options of the app that the stream belongs to.
    fn start(self: Pin<&mut Self>, stream: Weak<dyn Drainable>) {
        let this = self.project();
        if let Some(streams) = this.lookup.take().and_then(StreamsLookup::get) {
            let options = mem::take(&mut this.feed.options);
            this.feed.options = options.or(streams.options());
            this.feed.registration = Some(streams.drain_state().register(stream));
        }
        let options = &this.feed.options;
        let now = Instant::now();
        *this.last_write = Some(now);
        if !T::EVENTS {
            return;
        }
        *this.keep_alive = options.keep_alive_or_default();
        *this.expires = options
            .lifetime()
            .and_then(|lifetime| now.checked_add(jittered(lifetime)));
        if let Some(delay) = options.retry_delay() {
            wire::encode(&ServerEvent::retry_only(delay), &mut this.batch.own);
        }
    }

    /// Returns what the connection sees of the stream. Does not poll the source.
    fn poll_state(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> outgoing::State {
        if self.is_told {
            return outgoing::State::Told;
        }
        if self.is_waiting {
            // Its last `poll_frame` has registered the waker everywhere.
            return outgoing::State::Waiting;
        }
        self.as_mut().set_waker(cx);
        if self.end.is_none() && self.as_mut().poll_told(cx) {
            return outgoing::State::Told;
        }
        outgoing::State::HandedOut(self.frames)
    }

    /// Ends the stream if it has to end although nobody asks for its next frame.
    fn poll_told(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> bool {
        if self.feed.is_draining() {
            self.leave(T::drained());
            return true;
        }
        if self.as_mut().poll_timer(cx, None).is_ready()
            || self.as_mut().project().feed.poll_lost(cx).is_ready()
        {
            self.leave(End::InOrder);
            return true;
        }
        false
    }

    /// Returns what is ready to go out: the head of the stream, or a batch of its source.
    fn poll_source(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Bytes> {
        let this = self.project();
        if this.batch.own.is_empty() && this.batch.shared.is_none() {
            if this.end.is_some() {
                return Poll::Ready(Bytes::new());
            }
            let budget = ready!(tokio::task::coop::poll_proceed(cx));
            ready!(this.feed.poll_batch(cx, this.batch, FRAME));
            budget.made_progress();
            match this.batch.end.take() {
                None => {}
                Some(Ok(())) => *this.end = Some(End::InOrder),
                Some(Err(error)) if error.is_panic() => *this.end = Some(End::Broken(error)),
                Some(Err(error)) => {
                    *this.end = Some(T::failed(error, this.feed, &mut this.batch.own));
                }
            }
        }
        if this.batch.own.is_empty() {
            return Poll::Ready(this.batch.shared.take().unwrap_or_default());
        }
        *this.largest = (*this.largest).max(this.batch.own.capacity());
        Poll::Ready(this.batch.own.split().freeze())
    }

    /// Remembers who has to be woken when a drain ends the stream.
    fn set_waker(self: Pin<&mut Self>, cx: &Context<'_>) {
        let waker = self.project().waker;
        match waker {
            Some(known) if known.will_wake(cx.waker()) => {}
            _ => *waker = Some(cx.waker().clone()),
        }
    }

    /// Ends the stream from this side. To its source it looks as if the client had left.
    fn leave(self: Pin<&mut Self>, end: End) {
        let this = self.project();
        this.feed.disconnect();
        *this.end = Some(end);
        *this.is_told = true;
    }

    /// Ready when the stream has been silent for `keep_alive`, or when its lifetime is over.
    fn poll_timer(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        interval: Option<Duration>,
    ) -> Poll<Timer> {
        let mut this = self.project();
        loop {
            let silent = interval
                .zip(*this.last_write)
                .and_then(|(interval, last)| last.checked_add(interval));
            let Some(due) = silent.into_iter().chain(*this.expires).min() else {
                return Poll::Pending;
            };
            match this.timer.as_mut().as_pin_mut() {
                None => this.timer.set(Some(tokio::time::sleep_until(due))),
                Some(timer) if timer.is_elapsed() || due < timer.deadline() => timer.reset(due),
                Some(_) => {}
            }
            let timer = this.timer.as_mut().as_pin_mut().expect("set above");
            ready!(timer.poll(cx));
            let now = Instant::now();
            if this.expires.is_some_and(|at| at <= now) {
                return Poll::Ready(Timer::Expired);
            }
            if silent.is_some_and(|at| at <= now) {
                *this.last_write = Some(now);
                return Poll::Ready(Timer::Silent);
            }
        }
    }
}

enum Timer {
    Silent,
    Expired,
}

impl<T: Framing> Core<T> {
    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        if !self.rest.is_empty() {
            return Poll::Ready(Some(Ok(self.piece(Bytes::new()))));
        }
        if self.end.is_none() && self.feed.is_draining() {
            self.as_mut().leave(T::drained());
        }
        if self.end.is_none() && self.expires.is_some_and(|at| at <= Instant::now()) {
            self.as_mut().leave(End::InOrder);
        }
        if let Poll::Ready(bytes) = self.as_mut().poll_source(cx) {
            if bytes.is_empty() {
                return self.poll_end(cx);
            }
            let this = self.as_mut().project();
            if this.keep_alive.is_some() {
                *this.last_write = Some(Instant::now());
            }
            return Poll::Ready(Some(Ok(self.piece(bytes))));
        }
        if self.largest > KEPT {
            let this = self.as_mut().project();
            this.batch.own = BytesMut::new();
            *this.largest = 0;
        }
        let interval = self
            .keep_alive
            .as_ref()
            .map(|keep_alive| keep_alive.interval);
        match ready!(self.as_mut().poll_timer(cx, interval)) {
            Timer::Silent => {
                let bytes = self
                    .keep_alive
                    .as_ref()
                    .map(|keep_alive| keep_alive.bytes.clone());
                Poll::Ready(Some(Ok(Frame::data(bytes.unwrap_or_default()))))
            }
            Timer::Expired => {
                self.as_mut().leave(End::InOrder);
                self.poll_end(cx)
            }
        }
    }

    /// The next piece of `bytes`, or of what is left of those before.
    ///
    /// In HTTP/2, h2 accepts a whole frame as soon as the client's window has room for one byte. The rest then waits in
    /// h2, where the write time-out does not see it. Of small frames the next one waits in hyper, where it does.
    fn piece(self: Pin<&mut Self>, bytes: Bytes) -> Frame<Bytes> {
        let is_split = self.is_http2
            && self
                .feed
                .options
                .write_timeout_or_default(T::EVENTS)
                .is_some();
        let this = self.project();
        let mut piece = if this.rest.is_empty() {
            bytes
        } else {
            mem::take(this.rest)
        };
        if is_split && piece.len() > 2 * FRAME {
            *this.rest = piece.split_off(FRAME);
        }
        Frame::data(piece)
    }

    fn poll_end(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let this = self.project();
        if matches!(this.end, Some(End::Broken(_))) && !mem::replace(this.flushed, true) {
            // The error would overtake what hyper has not written yet. hyper writes when the body is pending.
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        if T::EVENTS
            && *this.is_told
            && *this.is_http2
            && *this.frames > 0
            && !mem::replace(this.has_passed, true)
            // A shutdown cuts the whole connection if its client does not read.
            && !this.feed.is_draining()
        {
            // h2 accepts the end of a stream at once. The end then stands behind bytes for which the client's window
            // has no room, hyper is done with the stream, and nothing can reset it any more. h2 accepts this comment
            // when there is room. Until then the stream can be reset.
            return Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(LAST)))));
        }
        Poll::Ready(this.end.replace(End::InOrder).and_then(End::into_frame))
    }
}

impl<T: Framing> HttpBody for StreamBody<T> {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let is_first = self.lock().last_write.is_none();
        if is_first {
            self.register();
        }
        let mut core = self.lock();
        if is_first {
            let shared: Weak<Shared<T>> = Arc::downgrade(&self.0);
            core.as_mut().start(shared);
        }
        core.as_mut().set_waker(cx);
        let polled = core.as_mut().poll_frame(cx);
        let this = core.as_mut().project();
        let id = Arc::as_ptr(&self.0).cast();
        if is_first {
            Outgoing::started(id, this.feed.options.write_timeout_or_default(T::EVENTS));
        }
        if *this.is_told {
            Outgoing::told(id);
        }
        *this.is_waiting = polled.is_pending();
        *this.frames += u64::from(polled.is_ready());
        polled
    }

    fn is_end_stream(&self) -> bool {
        false
    }
}

/// A time between nine tenths of `lifetime` and the whole.
fn jittered(lifetime: Duration) -> Duration {
    let random = RandomState::new().hash_one(());
    lifetime - (lifetime / 10).mul_f64(random as f64 / u64::MAX as f64)
}

#[cfg(test)]
mod tests;

//! The `http_body::Body` of a stream: one frame for all that is ready, keep-alives, and the ends.

use std::fmt;
use std::mem;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError, Weak};
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http_body::{Body as HttpBody, Frame};

use crate::error::Error;
use crate::event::{ServerEvent, wire};
use crate::stream::drain::Drainable;
use crate::stream::framing::{End, Framing};
use crate::stream::membership::{StreamsLookup, StreamsSlot};
#[cfg(feature = "server")]
use crate::stream::outgoing::Outgoing;
use crate::stream::source::{FrameBuffer, RunningSource};
use crate::stream::sweep;
use crate::stream::timer::{StreamTimer, Tick};

/// About how much goes into one frame: what hyper gathers before it writes.
const FRAME: usize = 16 * 1024;

/// The last line of an event stream in HTTP/2 that its lifetime or the policy for slow clients has ended: an empty
/// comment, which clients ignore.
const LAST: &[u8] = b":\n";

/// The body of a stream.
///
/// The connection and the drain share it: they can end the stream while hyper does not poll the body.
pub(crate) struct StreamBody<T: Framing>(Arc<Shared<T>>);

struct Shared<T: Framing>(Mutex<Core<T>>);

struct Core<T: Framing> {
    source: RunningSource<T>,
    /// The buffer of the next frame. It has room only while the stream is busy: most streams are idle most of the time.
    buffer: BytesMut,
    /// What goes out before the next frame of the source.
    rest: Bytes,
    end: Option<End>,
    timer: StreamTimer,
    /// Wakes the task that polls the body, or the connection.
    waker: Option<Waker>,
    /// `None` once the stream has started.
    lookup: Option<StreamsLookup>,
    /// How many frames were handed out.
    frames: u64,
    /// Whether another frame has been asked for since.
    is_waiting: bool,
    /// Whether the server has ended the stream, and not its source.
    is_ending: bool,
    /// Whether hyper had the time to write all that came before a broken end.
    is_flushed: bool,
    /// Whether its connection looks at it.
    is_observed: bool,
    /// Whether it goes out in a stream of HTTP/2, with a window of its own.
    is_http2: bool,
    /// Whether `LAST` has been handed out.
    has_passed: bool,
}

impl<T: Framing> fmt::Debug for StreamBody<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StreamBody")
            .field("source", &self.lock().source)
            .finish_non_exhaustive()
    }
}

impl<T: Framing> StreamBody<T> {
    /// The stream belongs to the `Streams` whose request is handled here, or to the one that the response comes to.
    pub(crate) fn new(source: RunningSource<T>) -> Self {
        let core = Core {
            source,
            buffer: BytesMut::new(),
            rest: Bytes::new(),
            end: None,
            timer: StreamTimer::default(),
            waker: None,
            lookup: Some(StreamsLookup::new()),
            frames: 0,
            is_waiting: false,
            is_ending: false,
            is_flushed: false,
            is_observed: false,
            is_http2: false,
            has_passed: false,
        };
        let body = Self(Arc::new(Shared(Mutex::new(core))));
        #[cfg(feature = "server")]
        body.register();
        body
    }

    /// An extension for the response with this body, if the stream does not belong to a `Streams` yet.
    pub(crate) fn slot(&self) -> Option<StreamsSlot> {
        self.lock().lookup.as_ref().and_then(StreamsLookup::slot)
    }

    fn lock(&self) -> MutexGuard<'_, Core<T>> {
        self.0.lock()
    }
}

impl<T: Framing> Shared<T> {
    /// A poisoned lock is used on: the panic of a source has broken the connection already.
    fn lock(&self) -> MutexGuard<'_, Core<T>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
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
        core.end_early(T::drained());
        let waker = core.waker.take();
        drop(core);
        if let Some(waker) = waker {
            waker.wake();
        }
        true
    }

    fn end_if_due(&self) {
        let Ok(mut core) = self.0.try_lock() else {
            // It is being polled.
            return;
        };
        if core.is_observed || core.is_waiting || core.end.is_some() {
            return;
        }
        let Some(waker) = core.waker.clone() else {
            return;
        };
        // The same waker as in the last poll, so that it stays registered.
        if core.poll_early_end(&mut Context::from_waker(&waker)) {
            drop(core);
            waker.wake();
        }
    }
}

/// What the client of a stream is told that is opened during a shutdown, if nothing else is set. Chrome waits as long by
/// default.
const RETRY_AT_SHUTDOWN: Duration = Duration::from_secs(3);

impl<T: Framing> Core<T> {
    /// Takes the options of the `Streams` that the stream belongs to, and registers with its drain.
    fn start(&mut self, stream: Weak<dyn Drainable>) {
        let mut retry = None;
        if let Some(streams) = self.lookup.take().and_then(StreamsLookup::get) {
            self.source.set_defaults(streams.options());
            let drain = streams.drain_state();
            retry = drain.is_draining().then_some(RETRY_AT_SHUTDOWN);
            self.source.registration = Some(drain.register(stream));
            if !self.is_observed {
                sweep::start(drain);
            }
        }
        let options = self.source.options();
        self.timer.start(options.lifetime().filter(|_| T::EVENTS));
        if T::EVENTS
            && let Some(delay) = options.retry_delay().or(retry)
        {
            let mut bytes = BytesMut::new();
            wire::encode(&ServerEvent::retry_only(delay), &mut bytes);
            self.rest = bytes.freeze();
        }
    }

    fn write_timeout(&self) -> Option<Duration> {
        self.source.options().write_timeout_or_default(T::EVENTS)
    }

    fn keep_alive_interval(&self) -> Option<Duration> {
        let interval = self.source.options().keep_alive_interval();
        interval.filter(|_| T::EVENTS)
    }

    /// Ends the stream if it has to end although nobody asks for its next frame.
    fn poll_early_end(&mut self, cx: &mut Context<'_>) -> bool {
        if self.source.is_draining() {
            self.end_early(T::drained());
        } else if self.timer.poll(cx, None).is_ready() || self.source.poll_lost(cx).is_ready() {
            self.end_early(End::InOrder);
        }
        self.is_ending
    }

    /// Remembers the task to wake when a drain ends the stream.
    fn set_waker(&mut self, cx: &Context<'_>) {
        match &self.waker {
            Some(known) if known.will_wake(cx.waker()) => {}
            _ => self.waker = Some(cx.waker().clone()),
        }
    }

    /// Ends the stream from this side. To its source it looks as if the client had left.
    fn end_early(&mut self, end: End) {
        self.source.disconnect();
        self.end = Some(end);
        self.is_ending = true;
    }

    /// The next frame of the source. It is empty at the source's end.
    fn poll_source(&mut self, cx: &mut Context<'_>) -> Poll<Bytes> {
        if self.end.is_some() {
            return Poll::Ready(Bytes::new());
        }
        let budget = ready!(tokio::task::coop::poll_proceed(cx));
        let mut frame = FrameBuffer {
            own: mem::take(&mut self.buffer),
            ..FrameBuffer::default()
        };
        // An idle stream keeps no buffer.
        ready!(self.source.poll_frame(cx, &mut frame, FRAME));
        budget.made_progress();
        match frame.end.take() {
            None => {}
            Some(Ok(())) => self.end = Some(End::InOrder),
            Some(Err(error)) if error.is_panic() => self.end = Some(End::Broken(error)),
            Some(Err(error)) => {
                self.end = Some(T::failed(error, self.source.options(), &mut frame.own));
            }
        }
        let shared = frame.shared.unwrap_or_default();
        let own = frame.own.split().freeze();
        self.buffer = frame.own;
        if own.is_empty() {
            return Poll::Ready(shared);
        }
        self.rest = shared;
        Poll::Ready(own)
    }

    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        if !self.rest.is_empty() {
            let rest = mem::take(&mut self.rest);
            return Poll::Ready(Some(Ok(self.piece(rest))));
        }
        if self.end.is_none() && self.source.is_draining() {
            self.end_early(T::drained());
        }
        if self.end.is_none() && self.timer.has_expired() {
            self.end_early(End::InOrder);
        }
        if let Poll::Ready(bytes) = self.poll_source(cx) {
            if bytes.is_empty() {
                return self.poll_end(cx);
            }
            if self.keep_alive_interval().is_some() {
                self.timer.restart_silence();
            }
            return Poll::Ready(Some(Ok(self.piece(bytes))));
        }
        match ready!(self.timer.poll(cx, self.keep_alive_interval())) {
            Tick::Silent => {
                let bytes = self.source.options().keep_alive_bytes();
                Poll::Ready(Some(Ok(Frame::data(bytes))))
            }
            Tick::Expired => {
                self.end_early(End::InOrder);
                self.poll_end(cx)
            }
        }
    }

    /// The next piece of `bytes`. What is left of them goes out before the next frame.
    ///
    /// In HTTP/2, h2 accepts a whole frame as soon as the client's window has room for one byte. The rest then waits in
    /// h2, where the write time-out does not see it. Of small frames the next one waits in hyper, where it does.
    fn piece(&mut self, mut bytes: Bytes) -> Frame<Bytes> {
        if self.is_http2 && bytes.len() > 2 * FRAME && self.write_timeout().is_some() {
            let rest = bytes.split_off(FRAME);
            if self.rest.is_empty() {
                self.rest = rest;
            } else {
                // Bytes of the stream's own before bytes that other streams send as well.
                self.rest = [rest, mem::take(&mut self.rest)].concat().into();
            }
        }
        Frame::data(bytes)
    }

    fn poll_end(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        if matches!(self.end, Some(End::Broken(_))) && !mem::replace(&mut self.is_flushed, true) {
            // The error would overtake what hyper has not written yet. hyper writes when the body is pending.
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        if T::EVENTS
            && self.is_ending
            && self.is_http2
            && self.frames > 0
            && !mem::replace(&mut self.has_passed, true)
            // A shutdown cuts the whole connection if its client does not read.
            && !self.source.is_draining()
        {
            // h2 accepts the end of a stream at once. The end then stands behind bytes for which the client's window
            // has no room, hyper is done with the stream, and nothing can reset it any more. h2 accepts this comment
            // when there is room. Until then the stream can be reset.
            return Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(LAST)))));
        }
        Poll::Ready(self.end.replace(End::InOrder).and_then(End::into_frame))
    }
}

impl<T: Framing> HttpBody for StreamBody<T> {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let mut core = self.lock();
        let is_first = core.lookup.is_some();
        if is_first {
            #[cfg(feature = "server")]
            {
                // The connection locks itself before the stream, so this must not hold the lock of the stream.
                drop(core);
                self.register();
                core = self.lock();
            }
            let shared: Weak<Shared<T>> = Arc::downgrade(&self.0);
            core.start(shared);
        }
        core.set_waker(cx);
        let polled = core.poll_frame(cx);
        #[cfg(feature = "server")]
        {
            let id = Arc::as_ptr(&self.0).cast();
            if is_first {
                Outgoing::started(id, core.write_timeout());
            }
            if core.is_ending {
                Outgoing::set_ending(id);
            }
        }
        core.is_waiting = polled.is_pending();
        core.frames += u64::from(polled.is_ready());
        polled
    }

    fn is_end_stream(&self) -> bool {
        false
    }
}

#[cfg(feature = "server")]
mod connection;
#[cfg(test)]
mod tests;

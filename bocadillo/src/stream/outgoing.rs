//! The link between a stream's body and the connection that it goes out on.
//!
//! hyper does not poll a body while an earlier chunk of it waits to be written. A stream that has to end (by its lifetime,
//! by a shutdown, or by the policy for slow clients) would then wait until its client reads. So the future around hyper's
//! looks at the stream itself. A task-local connects the two, because layers and axum's types may stand between them.
//! Only the server of this crate uses it.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::Context;
use std::time::Duration;

tokio::task_local! {
    static CURRENT: Arc<Outgoing>;
}

/// A stream as its connection sees it.
pub(crate) trait Stream: Send + Sync {
    /// Whether the stream waits for its source or for its client, or is ending. Registers `cx` for the moment at which
    /// the server decides to end it.
    fn poll_state(&self, cx: &mut Context<'_>) -> State;

    /// Ends the stream, and releases its source now.
    fn end(&self);

    /// How long its client may take nothing. `None` means that there is no limit.
    fn write_timeout(&self) -> Option<Duration>;
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// It waits for its source.
    Waiting,
    /// The number of frames that were handed out. No other has been asked for.
    HandedOut(u64),
    /// The server has ended it. The rest of it has to be written.
    Ending,
}

/// The responses on one HTTP/1 connection, or in one HTTP/2 stream.
pub(crate) struct Outgoing {
    is_http2: bool,
    last: Mutex<Last>,
    /// Whether the handler may still read the request's body.
    request: Arc<AtomicBool>,
}

/// The last stream that was sent, or is being sent.
#[derive(Default)]
struct Last {
    stream: Option<Weak<dyn Stream>>,
    is_ending: bool,
    write_timeout: Option<Duration>,
}

/// What a connection sees of its last stream.
pub(crate) struct StreamView {
    /// `None` once the body is dropped.
    pub(crate) stream: Option<Arc<dyn Stream>>,
    pub(crate) state: Option<State>,
    pub(crate) is_ending: bool,
    pub(crate) write_timeout: Option<Duration>,
}

impl Outgoing {
    pub(crate) fn new(is_http2: bool) -> Arc<Self> {
        Arc::new(Self {
            is_http2,
            last: Mutex::default(),
            request: Arc::default(),
        })
    }

    pub(crate) fn request(&self) -> &Arc<AtomicBool> {
        &self.request
    }

    pub(crate) fn is_request_read(&self) -> bool {
        self.request.load(Ordering::Relaxed)
    }

    /// Runs `poll`. The streams whose bodies it makes or polls register here.
    pub(crate) fn scope<R>(self: &Arc<Self>, poll: impl FnOnce() -> R) -> R {
        CURRENT.sync_scope(Arc::clone(self), poll)
    }

    /// Registers a stream with what is polled now. Returns whether it goes out over HTTP/2, or `None` under a server that
    /// is not ours.
    ///
    /// If a stream reads another stream in the same task, the first stream is the one that goes out.
    pub(crate) fn register(stream: &Weak<dyn Stream>) -> Option<bool> {
        let registered = CURRENT.try_with(|outgoing| {
            let mut last = outgoing.lock();
            let is_free = last
                .stream
                .as_ref()
                .is_none_or(|known| known.strong_count() == 0);
            if is_free {
                *last = Last {
                    stream: Some(Weak::clone(stream)),
                    ..Last::default()
                };
            }
            outgoing.is_http2
        });
        registered.ok()
    }

    /// Sets how long the client of `stream` may take nothing. The body may be dropped before the connection looks at it.
    pub(crate) fn started(stream: *const (), write_timeout: Option<Duration>) {
        Self::with(stream, |last| last.write_timeout = write_timeout);
    }

    /// Records that the server has decided to end `stream`.
    pub(crate) fn set_ending(stream: *const ()) {
        Self::with(stream, |last| last.is_ending = true);
    }

    /// Does nothing for a stream that goes out elsewhere.
    fn with(stream: *const (), f: impl FnOnce(&mut Last)) {
        let _ = CURRENT.try_with(|outgoing| {
            let mut last = outgoing.lock();
            let known = last.stream.as_ref().map(|known| known.as_ptr().cast());
            if known == Some(stream) {
                f(&mut last);
            }
        });
    }

    fn lock(&self) -> MutexGuard<'_, Last> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The stream whose body goes out, until the body is dropped.
    fn stream(&self) -> Option<Arc<dyn Stream>> {
        self.lock().stream.as_ref()?.upgrade()
    }

    /// The state of the last stream.
    pub(crate) fn view(&self, cx: &mut Context<'_>) -> StreamView {
        let stream = self.stream();
        let state = stream.as_ref().map(|stream| stream.poll_state(cx));
        let mut last = self.lock();
        if let Some(stream) = &stream {
            last.write_timeout = stream.write_timeout();
            last.is_ending |= state == Some(State::Ending);
        }
        StreamView {
            is_ending: last.is_ending,
            write_timeout: last.write_timeout,
            state,
            stream,
        }
    }

    /// Forgets the last stream, all of which has been written.
    pub(crate) fn forget(&self) {
        *self.lock() = Last::default();
    }
}

impl fmt::Debug for Outgoing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Outgoing")
            .field("is_http2", &self.is_http2)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Endless;

    impl Stream for Endless {
        fn poll_state(&self, _: &mut Context<'_>) -> State {
            State::Waiting
        }

        fn end(&self) {}

        fn write_timeout(&self) -> Option<Duration> {
            None
        }
    }

    fn known(outgoing: &Outgoing) -> Option<*const ()> {
        outgoing.stream().map(|stream| Arc::as_ptr(&stream).cast())
    }

    #[test]
    fn the_first_stream_stays_as_long_as_its_body() {
        let outgoing = Outgoing::new(false);
        let streams = [(); 2].map(|()| Arc::new(Endless));
        let pointers = streams.each_ref().map(|stream| Arc::as_ptr(stream).cast());
        let register = |stream: &Arc<Endless>| {
            let weak: Weak<Endless> = Arc::downgrade(stream);
            let weak: Weak<dyn Stream> = weak;
            let _ = outgoing.scope(|| Outgoing::register(&weak));
        };
        let [first, second] = streams;
        register(&first);
        register(&second);
        assert_eq!(known(&outgoing), Some(pointers[0]));
        drop(first);
        assert_eq!(known(&outgoing), None);
        register(&second);
        assert_eq!(known(&outgoing), Some(pointers[1]));
    }

    #[test]
    fn what_was_said_of_another_stream_is_not_kept() {
        let outgoing = Outgoing::new(false);
        let stream: Arc<dyn Stream> = Arc::new(Endless);
        let _ = outgoing.scope(|| Outgoing::register(&Arc::downgrade(&stream)));
        let other = Arc::new(1_u8);
        outgoing.scope(|| {
            Outgoing::set_ending(Arc::as_ptr(&other).cast());
            Outgoing::started(Arc::as_ptr(&other).cast(), Some(Duration::ZERO));
        });
        let last = outgoing.lock();
        assert!(!last.is_ending && last.write_timeout.is_none());
    }
}

//! Futures around hyper's connections and HTTP/2 streams. They cut a connection or a stream in three cases: the server
//! has ended it and the client does not read; the client takes nothing for too long; the client has left.

use std::mem;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use futures_util::task::AtomicWaker;
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;
use tokio::time::{Instant, Sleep};

use crate::server::link::{HungUp, Link, Seen};
use crate::server::timeouts::WriteTimeouts;
use crate::server::unanswered;
use crate::stream::drain::Drain;
use crate::stream::outgoing::{Outgoing, State, StreamView};

/// What decides when a connection is cut.
#[derive(Clone, Debug)]
pub(crate) struct Limits {
    pub(crate) timeouts: WriteTimeouts,
    pub(crate) drain: Arc<Drain>,
}

/// A timer that is made when there is something to wait for.
#[derive(Default)]
struct Deadline(Option<Pin<Box<Sleep>>>);

impl Deadline {
    /// Whether `at` has come. Otherwise the task is woken then, or earlier.
    fn has_come(&mut self, at: Option<Instant>, cx: &mut Context<'_>) -> bool {
        let Some(at) = at else {
            if self.0.as_ref().is_some_and(|timer| timer.is_elapsed()) {
                self.0 = None;
            }
            return false;
        };
        loop {
            if at <= Instant::now() {
                return true;
            }
            let timer = self
                .0
                .get_or_insert_with(|| Box::pin(tokio::time::sleep_until(at)));
            // A timer that is due earlier is set anew when it fires. So progress costs nothing.
            if timer.is_elapsed() || at < timer.deadline() {
                timer.as_mut().reset(at);
            }
            if timer.as_mut().poll(cx).is_pending() {
                return false;
            }
        }
    }
}

/// Why a connection is cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cut {
    /// The client takes nothing.
    Stalled,
    /// The client has left.
    Left,
    /// The client acknowledges nothing any more.
    Silent,
}

/// Looks at an HTTP/1 connection after hyper has been polled.
pub(crate) struct Http1<C> {
    link: Arc<Link<C>>,
    outgoing: Arc<Outgoing>,
    limits: Limits,
    /// When the server decided to end the stream.
    told: Option<Instant>,
    deadline: Deadline,
    hung_up: Option<HungUp>,
    /// The time-out that the kernel has been told.
    ack_timeout: Option<Duration>,
    asking: Option<Box<Asking>>,
}

/// Asks the kernel from time to time whether the client acknowledges.
struct Asking {
    inode: Option<u64>,
    /// Since when it does not.
    silent: Option<Instant>,
    next: Instant,
    deadline: Deadline,
    /// The question that is under way.
    question: Option<Pin<Box<dyn Future<Output = u32> + Send>>>,
}

impl Asking {
    fn poll(&mut self, timeout: Duration, cx: &mut Context<'_>) -> Poll<Cut> {
        let Some(inode) = self.inode else {
            return Poll::Pending;
        };
        let pause = timeout / 8;
        loop {
            if let Some(question) = &mut self.question {
                let count = ready!(question.as_mut().poll(cx));
                self.question = None;
                let now = Instant::now();
                self.next = now + pause.max(Duration::from_millis(10));
                // One answer may be lost on its way.
                if count < 2 {
                    self.silent = None;
                } else if *self.silent.get_or_insert(now) + timeout <= now {
                    return Poll::Ready(Cut::Silent);
                }
            }
            if !self.deadline.has_come(Some(self.next), cx) {
                return Poll::Pending;
            }
            self.question = Some(Box::pin(unanswered::count(inode, pause / 2)));
        }
    }
}

impl<C> Http1<C> {
    pub(crate) fn new(link: Arc<Link<C>>, limits: Limits) -> Self {
        Self {
            link,
            outgoing: Outgoing::new(false),
            limits,
            told: None,
            deadline: Deadline::default(),
            hung_up: None,
            ack_timeout: None,
            asking: None,
        }
    }

    pub(crate) fn outgoing(&self) -> &Arc<Outgoing> {
        &self.outgoing
    }

    /// Polls hyper, and looks at what has become of it. An `Err` is to be followed by the drop of the connection.
    pub(crate) fn poll<T>(
        &mut self,
        cx: &mut Context<'_>,
        serve: impl FnOnce(&mut Context<'_>) -> Poll<T>,
    ) -> Poll<Result<T, Cut>> {
        if let Poll::Ready(served) = self.outgoing.scope(|| serve(cx)) {
            return Poll::Ready(Ok(served));
        }
        self.poll_cut(cx).map(Err)
    }

    fn poll_cut(&mut self, cx: &mut Context<'_>) -> Poll<Cut> {
        let Seen {
            blocked, is_read, ..
        } = self.link.look();
        let StreamView {
            stream,
            is_ending,
            write_timeout,
            ..
        } = self.outgoing.view(cx);
        if stream.is_none() && blocked.is_none() {
            self.outgoing.forget();
        }
        // A body that has ended is gone before its last bytes are written.
        let is_drained =
            stream.is_none() && write_timeout.is_some() && self.limits.drain.is_draining();
        if is_ending || is_drained {
            self.told.get_or_insert_with(Instant::now);
        } else {
            self.told = None;
        }
        let due = blocked.and_then(|since| {
            let ends = self.told.map(|told| told + self.limits.timeouts.end);
            let stalls = write_timeout.and_then(|timeout| since.checked_add(timeout));
            ends.into_iter().chain(stalls).min()
        });
        if self.deadline.has_come(due, cx) {
            if let Some(stream) = stream {
                stream.end();
            }
            self.link.discard();
            return Poll::Ready(Cut::Stalled);
        }
        // The kernel gives up clients that are gone and clients that are paused, after the same time. Where a paused
        // one may stay longer, the two have to be told apart.
        let timeout = self.limits.timeouts.ack;
        let is_kernels = write_timeout.is_some_and(|limit| limit <= timeout);
        let ack_timeout = Some(timeout).filter(|_| is_kernels && stream.is_some());
        if mem::replace(&mut self.ack_timeout, ack_timeout) != ack_timeout {
            self.link.set_ack_timeout(ack_timeout);
        }
        if is_kernels || (stream.is_none() && blocked.is_none()) {
            self.asking = None;
        } else {
            let link = &self.link;
            let asking = self.asking.get_or_insert_with(|| {
                Box::new(Asking {
                    inode: link.inode(),
                    silent: None,
                    next: Instant::now() + timeout / 8,
                    deadline: Deadline::default(),
                    question: None,
                })
            });
            if let Poll::Ready(cut) = asking.poll(timeout, cx) {
                self.link.discard();
                return Poll::Ready(cut);
            }
        }
        let is_watched = stream.is_some() && !is_read && !self.outgoing.is_request_read();
        self.poll_left(is_watched, cx)
    }

    /// hyper sees the end of a connection that it reads. It does not read while bytes stand before that end which it
    /// has no use for.
    fn poll_left(&mut self, is_watched: bool, cx: &mut Context<'_>) -> Poll<Cut> {
        if !is_watched {
            self.hung_up = None;
            return Poll::Pending;
        }
        if self.hung_up.is_none() {
            self.hung_up = self.link.hung_up();
        }
        match &mut self.hung_up {
            Some(hung_up) => hung_up.as_mut().poll(cx).map(|()| Cut::Left),
            None => Poll::Pending,
        }
    }
}

tokio::task_local! {
    /// The streams of the HTTP/2 connection that is polled.
    static STREAMS: Arc<Streams>;
}

/// The streams of one HTTP/2 connection.
#[derive(Default)]
struct Streams {
    state: Mutex<Counts>,
    connection: AtomicWaker,
}

#[derive(Clone, Copy, Debug, Default)]
struct Counts {
    open: usize,
    /// Streams that may wait for their client without a limit: requests under way, and streams of bytes.
    unlimited: usize,
    /// When the last stream was cut, as long as the reset may not have left.
    reset: Option<Instant>,
}

impl Streams {
    fn lock(&self) -> MutexGuard<'_, Counts> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Looks at an HTTP/2 connection after hyper has been polled.
pub(crate) struct Http2<C> {
    link: Arc<Link<C>>,
    streams: Arc<Streams>,
    limits: Limits,
    /// The bytes written when a drain looked last, and when they became so many.
    written: Option<(u64, Instant)>,
    deadline: Deadline,
    hung_up: Option<HungUp>,
}

impl<C> Http2<C> {
    pub(crate) fn new(link: Arc<Link<C>>, limits: Limits) -> Self {
        Self {
            link,
            streams: Arc::default(),
            limits,
            written: None,
            deadline: Deadline::default(),
            hung_up: None,
        }
    }

    /// Polls hyper, and looks at what has become of it. An `Err` is to be followed by the drop of the connection.
    pub(crate) fn poll<T>(
        &mut self,
        cx: &mut Context<'_>,
        serve: impl FnOnce(&mut Context<'_>) -> Poll<T>,
    ) -> Poll<Result<T, Cut>> {
        self.streams.connection.register(cx.waker());
        let polled = STREAMS.sync_scope(Arc::clone(&self.streams), || serve(cx));
        if let Poll::Ready(served) = polled {
            return Poll::Ready(Ok(served));
        }
        self.poll_cut(cx).map(Err)
    }

    fn poll_cut(&mut self, cx: &mut Context<'_>) -> Poll<Cut> {
        let Seen {
            blocked,
            written,
            is_read,
        } = self.link.look();
        let counts = {
            let mut counts = self.streams.lock();
            if blocked.is_none() {
                counts.reset = None;
            }
            *counts
        };
        let grace = self.limits.timeouts.end;
        // A reset cannot leave while the socket takes nothing. Streams that may wait are not cut for it.
        let resets = blocked
            .zip(counts.reset)
            .filter(|_| counts.unlimited == 0)
            .map(|(blocked, reset)| blocked.max(reset) + grace);
        let drains = (counts.open == 0 && self.limits.drain.is_draining())
            .then(|| self.quiet(written) + grace);
        if self
            .deadline
            .has_come(resets.into_iter().chain(drains).min(), cx)
        {
            self.link.discard();
            return Poll::Ready(Cut::Stalled);
        }
        // With a full socket h2 stops reading once it has something to answer.
        if blocked.is_none() || is_read {
            self.hung_up = None;
            return Poll::Pending;
        }
        if self.hung_up.is_none() {
            self.hung_up = self.link.hung_up();
        }
        match &mut self.hung_up {
            Some(hung_up) => hung_up.as_mut().poll(cx).map(|()| Cut::Left),
            None => Poll::Pending,
        }
    }

    /// Since when nothing has been written.
    fn quiet(&mut self, written: u64) -> Instant {
        match self.written {
            Some((known, since)) if known == written => since,
            _ => {
                let now = Instant::now();
                self.written = Some((written, now));
                now
            }
        }
    }
}

/// Runs the streams of HTTP/2 connections.
#[derive(Clone, Debug)]
pub(crate) struct Executor(pub(crate) Limits);

impl<F: Future<Output = ()> + Send + 'static> hyper::rt::Executor<F> for Executor {
    fn execute(&self, future: F) {
        let Ok(streams) = STREAMS.try_with(Arc::clone) else {
            tokio::spawn(future);
            return;
        };
        {
            let mut counts = streams.lock();
            counts.open += 1;
            counts.unlimited += 1;
        }
        tokio::spawn(Http2Stream {
            future,
            outgoing: Outgoing::new(true),
            open: Open {
                streams,
                is_unlimited: true,
            },
            limits: self.0.clone(),
            told: None,
            handed_out: None,
            deadline: Deadline::default(),
        });
    }
}

/// One stream's part in the counts of its connection.
struct Open {
    streams: Arc<Streams>,
    is_unlimited: bool,
}

impl Open {
    fn set_unlimited(&mut self, is_unlimited: bool) {
        if is_unlimited != self.is_unlimited {
            self.is_unlimited = is_unlimited;
            let mut counts = self.streams.lock();
            if is_unlimited {
                counts.unlimited += 1;
            } else {
                counts.unlimited -= 1;
            }
        }
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.set_unlimited(false);
        self.streams.lock().open -= 1;
        self.streams.connection.wake();
    }
}

pin_project! {
    /// A stream of HTTP/2. Its drop resets it: h2 then discards what waits for the client's window.
    struct Http2Stream<F> {
        #[pin]
        future: F,
        outgoing: Arc<Outgoing>,
        // Counted until the stream is dropped.
        open: Open,
        limits: Limits,
        told: Option<Instant>,
        handed_out: Option<(u64, Instant)>,
        deadline: Deadline,
    }
}

impl<F: Future<Output = ()>> Future for Http2Stream<F> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = self.project();
        if this.outgoing.scope(|| this.future.poll(cx)).is_ready() {
            return Poll::Ready(());
        }
        let StreamView {
            stream: Some(stream),
            state: Some(state),
            write_timeout: timeout,
            ..
        } = this.outgoing.view(cx)
        else {
            return Poll::Pending;
        };
        this.open
            .set_unlimited(timeout.is_none() && state != State::Ending);
        let due = match state {
            State::Waiting => {
                *this.handed_out = None;
                None
            }
            State::HandedOut(frames) => {
                let (_, since) = *this.handed_out.insert(match *this.handed_out {
                    Some(known) if known.0 == frames => known,
                    _ => (frames, Instant::now()),
                });
                timeout.and_then(|timeout| since.checked_add(timeout))
            }
            State::Ending => {
                let told = this.told.get_or_insert_with(Instant::now);
                Some(*told + this.limits.timeouts.end)
            }
        };
        if !this.deadline.has_come(due, cx) {
            return Poll::Pending;
        }
        tracing::debug!("a stream is reset: its client does not read");
        stream.end();
        this.open.streams.lock().reset = Some(Instant::now());
        Poll::Ready(())
    }
}

pin_project! {
    /// A request's body that records whether it may still be read. While it may, the end of the client's bytes is the end
    /// of the request, and not a sign that the client has left.
    pub(crate) struct HeldBody<B> {
        #[pin]
        body: B,
        in_use: Option<InUse>,
    }
}

struct InUse(Arc<AtomicBool>);

impl Drop for InUse {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Relaxed);
    }
}

impl<B: Body> HeldBody<B> {
    pub(crate) fn new(body: B, outgoing: Option<&Arc<Outgoing>>) -> Self {
        let in_use = outgoing.filter(|_| !body.is_end_stream()).map(|outgoing| {
            let in_use = outgoing.request();
            in_use.store(true, Ordering::Relaxed);
            InUse(Arc::clone(in_use))
        });
        Self { body, in_use }
    }
}

impl<B: Body> Body for HeldBody<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        self.project().body.poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests;

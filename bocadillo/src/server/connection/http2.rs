//! Decides when an HTTP/2 connection is cut, and when one of its streams is reset.

use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use futures_util::task::AtomicWaker;
use pin_project_lite::pin_project;
use tokio::time::Instant;

use super::{Cut, Deadline, HungUpWatch, Limits};
use crate::server::link::{Link, LinkView};
use crate::stream::deadline::after;
use crate::stream::outgoing::{Outgoing, State, StreamView};

tokio::task_local! {
    /// The counts of the HTTP/2 connection that is polled now.
    static COUNTS: Arc<StreamCounts>;
}

/// Counts the streams of one HTTP/2 connection.
#[derive(Default)]
struct StreamCounts {
    state: Mutex<Counts>,
    connection: AtomicWaker,
}

#[derive(Clone, Copy, Debug, Default)]
struct Counts {
    open: usize,
    /// Streams that may wait for their client without a limit: requests under way, and streams of bytes.
    unlimited: usize,
    /// When the last stream was reset. `None` once the reset has been written.
    reset: Option<Instant>,
}

impl StreamCounts {
    fn lock(&self) -> MutexGuard<'_, Counts> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Decides after each poll of hyper whether an HTTP/2 connection is cut.
pub(crate) struct Http2Guard<C> {
    link: Arc<Link<C>>,
    streams: Arc<StreamCounts>,
    limits: Limits,
    /// The number of bytes written so far, and since when it has not grown. It is kept during a shutdown.
    written: Option<(u64, Instant)>,
    deadline: Deadline,
    hung_up: HungUpWatch,
}

impl<C> Http2Guard<C> {
    pub(crate) fn new(link: Arc<Link<C>>, limits: Limits) -> Self {
        Self {
            link,
            streams: Arc::default(),
            limits,
            written: None,
            deadline: Deadline::default(),
            hung_up: HungUpWatch::default(),
        }
    }

    /// Polls hyper, and then decides whether to cut. The caller has to drop the connection after an `Err`.
    pub(crate) fn poll<T>(
        &mut self,
        cx: &mut Context<'_>,
        serve: impl FnOnce(&mut Context<'_>) -> Poll<T>,
    ) -> Poll<Result<T, Cut>> {
        self.streams.connection.register(cx.waker());
        let polled = COUNTS.sync_scope(Arc::clone(&self.streams), || serve(cx));
        if let Poll::Ready(served) = polled {
            return Poll::Ready(Ok(served));
        }
        self.poll_cut(cx).map(Err)
    }

    fn poll_cut(&mut self, cx: &mut Context<'_>) -> Poll<Cut> {
        let LinkView {
            blocked,
            written,
            is_read,
        } = self.link.view();
        let counts = {
            let mut counts = self.streams.lock();
            if blocked.is_none() {
                counts.reset = None;
            }
            *counts
        };
        let grace = self.limits.timeouts.end;
        // A reset cannot be written while the socket takes nothing. The connection is not cut if other streams may wait
        // without a limit.
        let resets = blocked
            .zip(counts.reset)
            .filter(|_| counts.unlimited == 0)
            .map(|(blocked, reset)| after(blocked.max(reset), grace));
        let drains = (counts.open == 0 && self.limits.drain.is_draining())
            .then(|| after(self.quiet(written), grace));
        if self
            .deadline
            .has_come(resets.into_iter().chain(drains).min(), cx)
        {
            self.link.discard();
            return Poll::Ready(Cut::Stalled);
        }
        // While the socket takes nothing, h2 stops reading once it has something to answer.
        let is_watched = blocked.is_some() && !is_read;
        self.hung_up.poll(is_watched, &self.link, cx)
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
        let Ok(streams) = COUNTS.try_with(Arc::clone) else {
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
            open: OpenStream {
                streams,
                is_unlimited: true,
            },
            limits: self.0.clone(),
            ended_at: None,
            handed_out: None,
            deadline: Deadline::default(),
        });
    }
}

/// Counts one stream until it is dropped.
struct OpenStream {
    streams: Arc<StreamCounts>,
    is_unlimited: bool,
}

impl OpenStream {
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

impl Drop for OpenStream {
    fn drop(&mut self) {
        self.set_unlimited(false);
        self.streams.lock().open -= 1;
        self.streams.connection.wake();
    }
}

pin_project! {
    /// A stream of HTTP/2. Dropping it resets the stream: h2 then discards what waits for the client's window.
    struct Http2Stream<F> {
        #[pin]
        future: F,
        outgoing: Arc<Outgoing>,
        // Counted until the stream is dropped.
        open: OpenStream,
        limits: Limits,
        ended_at: Option<Instant>,
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
                let ended_at = this.ended_at.get_or_insert_with(Instant::now);
                Some(after(*ended_at, this.limits.timeouts.end))
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

#[cfg(test)]
mod tests;

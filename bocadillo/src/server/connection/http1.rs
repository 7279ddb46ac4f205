//! Decides when an HTTP/1 connection is cut.

use std::mem;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::time::Instant;

use super::{Cut, Deadline, HungUpWatch, Limits};
use crate::server::link::{Link, LinkView};
use crate::server::tcp_table;
use crate::stream::deadline::after;
use crate::stream::outgoing::{Outgoing, StreamView};

/// Decides after each poll of hyper whether an HTTP/1 connection is cut.
pub(crate) struct Http1Guard<C> {
    link: Arc<Link<C>>,
    outgoing: Arc<Outgoing>,
    limits: Limits,
    /// When the server decided to end the stream.
    ended_at: Option<Instant>,
    deadline: Deadline,
    hung_up: HungUpWatch,
    /// The time-out that is set in the kernel.
    ack_timeout: Option<Duration>,
    ack_probe: Option<Box<AckProbe>>,
}

/// Reads in the kernel's table from time to time whether the client acknowledges.
struct AckProbe {
    inode: Option<u64>,
    /// Since when it does not acknowledge.
    silent: Option<Instant>,
    next: Instant,
    deadline: Deadline,
    /// The reading of the kernel's table that is under way.
    reading: Option<Pin<Box<dyn Future<Output = u32> + Send>>>,
}

impl AckProbe {
    /// `read` counts the unanswered segments of a socket. The answer may be so old.
    fn poll<F>(
        &mut self,
        timeout: Duration,
        cx: &mut Context<'_>,
        read: impl Fn(u64, Duration) -> F,
    ) -> Poll<Cut>
    where
        F: Future<Output = u32> + Send + 'static,
    {
        let Some(inode) = self.inode else {
            return Poll::Pending;
        };
        let pause = timeout / 8;
        loop {
            if let Some(reading) = &mut self.reading {
                let count = ready!(reading.as_mut().poll(cx));
                self.reading = None;
                let now = Instant::now();
                self.next = after(now, pause.max(Duration::from_millis(10)));
                // A single acknowledgement may get lost.
                if count < 2 {
                    self.silent = None;
                } else if after(*self.silent.get_or_insert(now), timeout) <= now {
                    return Poll::Ready(Cut::Silent);
                }
            }
            if !self.deadline.has_come(Some(self.next), cx) {
                return Poll::Pending;
            }
            self.reading = Some(Box::pin(read(inode, pause / 2)));
        }
    }
}

impl<C> Http1Guard<C> {
    pub(crate) fn new(link: Arc<Link<C>>, limits: Limits) -> Self {
        Self {
            link,
            outgoing: Outgoing::new(false),
            limits,
            ended_at: None,
            deadline: Deadline::default(),
            hung_up: HungUpWatch::default(),
            ack_timeout: None,
            ack_probe: None,
        }
    }

    pub(crate) fn outgoing(&self) -> &Arc<Outgoing> {
        &self.outgoing
    }

    /// Polls hyper, and then decides whether to cut. The caller has to drop the connection after an `Err`.
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
        let LinkView {
            blocked, is_read, ..
        } = self.link.view();
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
            self.ended_at.get_or_insert_with(Instant::now);
        } else {
            self.ended_at = None;
        }
        let due = blocked.and_then(|since| {
            let ends = self
                .ended_at
                .map(|ended_at| after(ended_at, self.limits.timeouts.end));
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
        // The kernel's time-out cuts clients that are gone and clients that are paused. Where a paused client may stay
        // longer, the kernel's table shows which of the two it is.
        let timeout = self.limits.timeouts.ack;
        let is_kernels = write_timeout.is_some_and(|limit| limit <= timeout);
        let ack_timeout = Some(timeout).filter(|_| is_kernels && stream.is_some());
        if mem::replace(&mut self.ack_timeout, ack_timeout) != ack_timeout {
            self.link.set_ack_timeout(ack_timeout);
        }
        if is_kernels || (stream.is_none() && blocked.is_none()) {
            self.ack_probe = None;
        } else {
            let link = &self.link;
            let ack_probe = self.ack_probe.get_or_insert_with(|| {
                Box::new(AckProbe {
                    inode: link.inode(),
                    silent: None,
                    next: after(Instant::now(), timeout / 8),
                    deadline: Deadline::default(),
                    reading: None,
                })
            });
            if let Poll::Ready(cut) = ack_probe.poll(timeout, cx, tcp_table::unanswered_segments) {
                self.link.discard();
                return Poll::Ready(cut);
            }
        }
        // hyper does not read while there are bytes of the client that it cannot use yet.
        let is_watched = stream.is_some() && !is_read && !self.outgoing.is_request_read();
        self.hung_up.poll(is_watched, &self.link, cx)
    }
}

#[cfg(test)]
mod tests;

//! A subscriber of one topic: a replay of what it missed, then new events, with no gap and no duplicate.

use std::fmt;
use std::task::{Context, Poll, ready};

use tokio::time::Instant;

use super::broker::TopicFeed;
use super::cursor::Fallback;
use super::notice::{Notice, Reason};
use super::position::{Position, Tag};
use super::registry::TopicRef;
use super::ring::Lookup;
use super::shape::Shape;

mod progress;
mod replay;

use progress::{Progress, Stage};

pub(super) struct Reader {
    topic: TopicRef,
    progress: Progress,
}

/// What a reader returns.
#[derive(Debug)]
pub(super) enum Next<T> {
    Events(T),
    Notice(Notice),
    /// The subscriber was too slow. The stream ends.
    End,
}

impl Reader {
    /// Subscribes. The reader starts at the end of the ring, so that it keeps all later events, until
    /// [`begin`](Self::begin) or [`begin_after`](Self::begin_after) moves it.
    pub(super) fn new(topic: TopicRef, fallback: Fallback) -> Self {
        let mut state = topic.lock();
        state.subscribers += 1;
        let is_first = state.subscribers == 1;
        if is_first {
            state.follow_number += 1;
            state.interrupted = false;
        }
        let follow_number = state.follow_number;
        let progress = Progress::new(&mut state, fallback);
        drop(state);
        if is_first {
            topic
                .broker()
                .follow(TopicFeed::new(topic.channel(), follow_number));
        }
        topic.announce();
        topic.hub().keep_swept();
        Self { topic, progress }
    }

    pub(super) fn topic(&self) -> &TopicRef {
        &self.topic
    }

    /// The current epoch of the topic. It is set once the reader is ready.
    pub(super) fn current_epoch(&self) -> u64 {
        self.topic.lock().epoch
    }

    /// The position of the last event that the reader has returned.
    pub(super) fn position(&self) -> Position {
        self.progress.position
    }

    /// The epoch of [`position`](Self::position). It is older than the topic's epoch until the reader returns the `reset`.
    pub(super) fn epoch(&self) -> u64 {
        self.progress.epoch
    }

    /// The first part of the topic's ids in that epoch.
    pub(super) fn tag(&self) -> Tag {
        Tag::new(self.epoch(), self.topic.name())
    }

    /// Waits until the topic's feed has begun.
    pub(super) fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let state = self.topic.lock();
        if state.tag.is_some() {
            return Poll::Ready(());
        }
        let waits = self.progress.wait(state, cx);
        self.topic.broker().start();
        waits
    }

    /// Begins as for a client without an id.
    ///
    /// # Errors
    ///
    /// When events may have passed since the reader was made. The reader begins all the same, and the client gets a `reset`.
    pub(super) fn begin(&mut self) -> Result<(), Reason> {
        let Self { topic, progress } = self;
        let mut state = topic.lock();
        progress.begin(topic, &mut state)
    }

    /// Begins after an event of this epoch.
    ///
    /// # Errors
    ///
    /// When that is not possible. The reader begins as for a client without an id, and the client gets a `reset`.
    pub(super) fn begin_after(&mut self, position: Position, epoch: u64) -> Result<(), Reason> {
        let Self { topic, progress } = self;
        let mut state = topic.lock();
        let reason = if state.epoch == epoch {
            topic.trim(&mut state, Instant::now());
            match state.ring.after(position) {
                Lookup::Found(index) => {
                    progress.move_to(&mut state, index);
                    progress.position = position;
                    return Ok(());
                }
                _ if !topic.broker().ring_is_history() => {
                    progress.replay(&mut state, Some(position));
                    progress.position = position;
                    return Ok(());
                }
                Lookup::TooOld => Reason::Evicted,
                Lookup::TooNew => Reason::Epoch,
            }
        } else {
            Reason::Epoch
        };
        // The client gets one `reset`, whatever else it may have missed.
        let _ = progress.begin(topic, &mut state);
        Err(reason)
    }

    /// The next events, of about `limit` bytes.
    pub(super) fn poll<T: Shape>(&mut self, cx: &mut Context<'_>, limit: usize) -> Poll<Next<T>> {
        let Self { topic, progress } = self;
        loop {
            match progress.stage {
                Stage::Ring { .. } | Stage::Ahead { .. } => {
                    return progress.poll_ring(topic, cx, limit);
                }
                Stage::Replay(_) => {
                    if let Some(next) = ready!(progress.poll_replay(topic, cx, limit)) {
                        return Poll::Ready(next);
                    }
                }
                Stage::Ended => return Poll::Ready(Next::End),
            }
        }
    }

    /// Ready when the policy for slow clients will end the subscription. For a reader whose client does not read, so that
    /// `poll` is not called.
    pub(super) fn poll_lost(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Self { topic, progress } = self;
        if topic.options().slow.goes_on() {
            return Poll::Pending;
        }
        let mut state = topic.lock();
        if progress.has_lost(&state) {
            return Poll::Ready(());
        }
        let replaced = state.unread.wait(&mut progress.unread, cx.waker());
        drop(state);
        drop(replaced);
        Poll::Pending
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        let Self { topic, progress } = self;
        let mut state = topic.lock();
        progress.leave(&mut state);
        let waker = state.waiting.forget(progress.ticket.take());
        let other = state.unread.forget(progress.unread.take());
        state.subscribers -= 1;
        let follow_number = state.follow_number;
        let is_last = state.subscribers == 0;
        if is_last && !topic.broker().ring_is_history() {
            // Nobody fills the ring from now on.
            state.follow_number += 1;
            state.tag = None;
            state.ring.restart(Position::default());
        } else if state.ring.is_over() {
            topic.trim(&mut state, Instant::now());
        }
        drop(state);
        drop((waker, other));
        topic.publishers.notify_waiters();
        if is_last {
            topic.broker().unfollow(topic.name(), follow_number);
        }
        topic.announce();
    }
}

impl fmt::Debug for Reader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reader")
            .field("topic", self.topic.name())
            .field("position", &self.progress.position)
            .finish_non_exhaustive()
    }
}

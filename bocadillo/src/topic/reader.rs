//! One subscriber's place in one topic: replay, then live, with no gap and no duplicate.

use std::collections::VecDeque;
use std::fmt;
use std::sync::MutexGuard;
use std::task::{Context, Poll, ready};

use tokio::time::Instant;

use super::broker::{BoxFuture, Replay, TopicFeed};
use super::channel::State;
use super::cursor::Fallback;
use super::encoded::Encoded;
use super::notice::{Notice, Reason};
use super::position::{Position, Tag};
use super::registry::TopicRef;
use super::ring::{Lookup, Read};
use super::shape::{Shape, fitting};
use super::waiting::Ticket;

/// How much of a broker's history a reader takes at once; all that it ever holds for itself.
const REPLAY: usize = 64 * 1024;

pub(super) struct Reader {
    topic: TopicRef,
    standing: Standing,
}

/// Where a reader stands. Apart from the topic, so that both can be held at once.
struct Standing {
    stage: Stage,
    /// What follows a `reset`.
    fallback: Fallback,
    /// The last event that it has passed.
    position: Position,
    /// Of the ring that it stands in.
    generation: u64,
    /// In which `position` is one.
    epoch: u64,
    ticket: Option<Ticket>,
    /// While its client does not read.
    unread: Option<Ticket>,
    /// Whether it came before the feed had begun.
    came_early: bool,
}

enum Stage {
    /// Stands in the ring, and is counted there: wants the event with this index.
    Ring {
        next: u64,
    },
    /// Has been sent an event that the ring has not got yet: another node was ahead of this one.
    Ahead {
        next: u64,
    },
    Replay(Replaying),
    /// Stands nowhere any more.
    Ended,
}

/// A replay from a broker's history, up to where the ring takes over.
struct Replaying {
    after: Option<Position>,
    /// Where the ring began when the broker was asked.
    floor: Position,
    answer: Option<BoxFuture<Replay>>,
    /// Whether the broker knows `after`.
    is_known: bool,
    queue: VecDeque<Encoded>,
}

/// What there is for a subscriber.
#[derive(Debug)]
pub(super) enum Next<T> {
    Events(T),
    Notice(Notice),
    /// It was too slow: the stream ends.
    End,
}

impl Reader {
    /// Subscribes. The reader stands at once where the next event will come, which is kept if it turns out to be what
    /// its cursor asks for.
    pub(super) fn new(topic: TopicRef, fallback: Fallback) -> Self {
        let mut state = topic.lock();
        state.subscribers += 1;
        let is_first = state.subscribers == 1;
        if is_first {
            state.follow_number += 1;
            state.interrupted = false;
        }
        let follow_number = state.follow_number;
        let next = state.ring.head();
        state.ring.enter(next);
        let standing = Standing {
            stage: Stage::Ring { next },
            fallback,
            position: Position::default(),
            generation: state.generation,
            epoch: state.epoch,
            ticket: None,
            unread: None,
            came_early: state.tag.is_none(),
        };
        drop(state);
        if is_first {
            topic
                .broker()
                .follow(TopicFeed::new(topic.channel(), follow_number));
        }
        topic.announce();
        topic.hub().keep_swept();
        Self { topic, standing }
    }

    pub(super) fn topic(&self) -> &TopicRef {
        &self.topic
    }

    /// The epoch of the topic now. It has one once the reader is ready.
    pub(super) fn current_epoch(&self) -> u64 {
        self.topic.lock().epoch
    }

    /// The last event that it has passed.
    pub(super) fn position(&self) -> Position {
        self.standing.position
    }

    /// The epoch of [`position`](Self::position): an earlier one than the topic's, until the reader has been told.
    pub(super) fn epoch(&self) -> u64 {
        self.standing.epoch
    }

    /// What ids of the topic begin with in that epoch.
    pub(super) fn tag(&self) -> Tag {
        Tag::new(self.epoch(), self.topic.name())
    }

    /// Waits for the engine to say where the topic stands. At once in memory.
    pub(super) fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let state = self.topic.lock();
        if state.tag.is_some() {
            return Poll::Ready(());
        }
        let waits = self.standing.wait(state, cx);
        self.topic.broker().start();
        waits
    }

    /// Begins as a client does that has no id.
    ///
    /// # Errors
    ///
    /// When events may have passed since it came. It begins nevertheless, and the client has to be told.
    pub(super) fn begin(&mut self) -> Result<(), Reason> {
        let Self { topic, standing } = self;
        let mut state = topic.lock();
        if standing.generation != state.generation {
            standing.restarted(topic, &mut state);
            return Err(state.restarted);
        }
        match (standing.fallback, standing.next()) {
            (Fallback::Live, Some(next)) => {
                // It stands there since it came.
                standing.position = state.ring.before(next);
                standing.epoch = state.epoch;
                if standing.came_early && state.interrupted {
                    return Err(Reason::Missed);
                }
            }
            _ => standing.start_over(topic, &mut state),
        }
        Ok(())
    }

    /// Begins after an event of this epoch that a client has got.
    ///
    /// # Errors
    ///
    /// When that cannot be done. Then it has begun as a client does that has no id.
    pub(super) fn begin_after(&mut self, position: Position, epoch: u64) -> Result<(), Reason> {
        let mut state = self.topic.lock();
        if state.epoch != epoch {
            drop(state);
            let _ = self.begin();
            return Err(Reason::Epoch);
        }
        self.topic.trim(&mut state, Instant::now());
        let place = state.ring.after(position);
        if let Lookup::Found(index) = place {
            self.standing.move_to(&mut state, index);
        } else if !self.topic.broker().ring_is_history() {
            self.standing.replay(&mut state, Some(position));
        } else {
            drop(state);
            // What it may have missed is part of what the client is told now.
            let _ = self.begin();
            return Err(if place == Lookup::TooOld {
                Reason::Evicted
            } else {
                Reason::Epoch
            });
        }
        self.standing.position = position;
        Ok(())
    }

    /// What comes next, of about `limit` bytes.
    pub(super) fn poll<T: Shape>(&mut self, cx: &mut Context<'_>, limit: usize) -> Poll<Next<T>> {
        let Self { topic, standing } = self;
        loop {
            match standing.stage {
                Stage::Ring { .. } | Stage::Ahead { .. } => {
                    return standing.poll_ring(topic, cx, limit);
                }
                Stage::Replay(_) => {
                    if let Some(next) = ready!(standing.poll_replay(topic, cx, limit)) {
                        return Poll::Ready(next);
                    }
                }
                Stage::Ended => return Poll::Ready(Next::End),
            }
        }
    }
}

impl Reader {
    /// Ready when the policy for slow clients is going to end the subscription. For a reader that is not polled because
    /// its client does not read.
    pub(super) fn poll_lost(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Self { topic, standing } = self;
        if topic.options().slow.goes_on() {
            return Poll::Pending;
        }
        let mut state = topic.lock();
        if let Stage::Ring { next } = standing.stage
            && standing.generation == state.generation
            && next < state.ring.lost()
        {
            return Poll::Ready(());
        }
        let replaced = state.unread.wait(&mut standing.unread, cx.waker());
        drop(state);
        drop(replaced);
        Poll::Pending
    }
}

impl Standing {
    fn next(&self) -> Option<u64> {
        match self.stage {
            Stage::Ring { next } | Stage::Ahead { next } => Some(next),
            Stage::Replay(_) | Stage::Ended => None,
        }
    }

    fn wait<T>(&mut self, mut state: MutexGuard<'_, State>, cx: &Context<'_>) -> Poll<T> {
        let replaced = state.waiting.wait(&mut self.ticket, cx.waker());
        drop(state);
        drop(replaced);
        Poll::Pending
    }

    /// No longer stands in the ring.
    fn leave(&mut self, state: &mut State) {
        if let Some(next) = self.next()
            && self.generation == state.generation
        {
            state.ring.leave(next);
        }
        self.stage = Stage::Ended;
    }

    fn move_to(&mut self, state: &mut State, next: u64) {
        self.leave(state);
        state.ring.enter(next);
        self.stage = Stage::Ring { next };
        self.set_generation(state);
    }

    fn set_generation(&mut self, state: &State) {
        self.generation = state.generation;
        self.epoch = state.epoch;
    }

    fn replay(&mut self, state: &mut State, after: Option<Position>) {
        self.leave(state);
        self.set_generation(state);
        let floor = state.ring.floor();
        self.stage = Stage::Replay(Replaying {
            after,
            floor,
            answer: None,
            is_known: false,
            queue: VecDeque::new(),
        });
    }

    /// Goes to where a client begins that has no id: behind the newest event, or to the start of the history.
    fn start_over(&mut self, topic: &TopicRef, state: &mut State) {
        match self.fallback {
            Fallback::Live => {
                let head = state.ring.head();
                self.move_to(state, head);
                self.position = state.ring.last();
            }
            Fallback::Start if !topic.broker().ring_is_history() => {
                self.replay(state, None);
                self.position = Position::default();
            }
            Fallback::Start => {
                let start = state.ring.start(&topic.options().history, Instant::now());
                self.move_to(state, start);
                self.position = state.ring.before(start);
            }
        }
    }

    /// Goes over to a ring that began anew. What has come into it since is not lost.
    fn restarted(&mut self, topic: &TopicRef, state: &mut State) -> Notice {
        match self.fallback {
            Fallback::Live => {
                let index = state.ring.lost();
                self.move_to(state, index);
                self.position = state.ring.floor();
            }
            Fallback::Start => self.start_over(topic, state),
        }
        Notice::Reset(state.restarted)
    }

    fn poll_ring<T: Shape>(
        &mut self,
        topic: &TopicRef,
        cx: &mut Context<'_>,
        limit: usize,
    ) -> Poll<Next<T>> {
        let mut state = topic.lock();
        if self.generation != state.generation {
            return Poll::Ready(Next::Notice(self.restarted(topic, &mut state)));
        }
        if let Stage::Ahead { next } = self.stage {
            match state.ring.after(self.position) {
                Lookup::Found(index) => self.move_to(&mut state, index),
                Lookup::TooOld => self.stage = Stage::Ring { next },
                Lookup::TooNew => {
                    let head = state.ring.head();
                    self.move_to(&mut state, head);
                    self.stage = Stage::Ahead { next: head };
                    return self.wait(state, cx);
                }
            }
        }
        let Some(old) = self.next() else {
            return Poll::Ready(Next::End);
        };
        match T::read(&mut state.ring, old, limit) {
            Read::Nothing => self.wait(state, cx),
            Read::Ready { value, next, last } => {
                self.move_to(&mut state, next);
                self.position = last;
                if state.ring.is_over() {
                    topic.trim(&mut state, Instant::now());
                }
                drop(state);
                if topic.options().slow.blocks().is_some() {
                    topic.publishers.notify_waiters();
                }
                Poll::Ready(Next::Events(value))
            }
            Read::Lost(dropped) if topic.options().slow.goes_on() => {
                let index = state.ring.lost();
                self.move_to(&mut state, index);
                self.position = state.ring.floor();
                Poll::Ready(Next::Notice(Notice::Gap { dropped }))
            }
            Read::Lost(dropped) => {
                self.stage = Stage::Ended;
                drop(state);
                tracing::debug!(
                    topic = &**topic.name(),
                    dropped,
                    "a subscriber is too slow: its stream ends"
                );
                Poll::Ready(Next::End)
            }
        }
    }

    /// `None` when the ring has taken over.
    fn poll_replay<T: Shape>(
        &mut self,
        topic: &TopicRef,
        cx: &mut Context<'_>,
        limit: usize,
    ) -> Poll<Option<Next<T>>> {
        loop {
            let Stage::Replay(replaying) = &mut self.stage else {
                return Poll::Ready(None);
            };
            if let Some(events) = fitting(&replaying.queue, limit) {
                self.position = replaying.queue[events - 1].position;
                return Poll::Ready(Some(Next::Events(T::replayed(
                    replaying.queue.drain(..events),
                ))));
            }
            let Some(answer) = &mut replaying.answer else {
                let mut state = topic.lock();
                if self.generation != state.generation {
                    return Poll::Ready(Some(Next::Notice(self.restarted(topic, &mut state))));
                }
                if let Some(after) = replaying.after {
                    let is_known = replaying.is_known;
                    match state.ring.after(after) {
                        Lookup::Found(index) => {
                            self.move_to(&mut state, index);
                            self.position = after;
                            return Poll::Ready(None);
                        }
                        Lookup::TooNew if is_known => {
                            let next = state.ring.head();
                            self.move_to(&mut state, next);
                            self.position = after;
                            self.stage = Stage::Ahead { next };
                            return Poll::Ready(None);
                        }
                        Lookup::TooNew | Lookup::TooOld => {}
                    }
                }
                replaying.floor = state.ring.floor();
                drop(state);
                let answer = topic
                    .broker()
                    .replay(topic.channel(), replaying.after, REPLAY);
                replaying.answer = Some(answer);
                continue;
            };
            let answer = ready!(answer.as_mut().poll(cx));
            replaying.answer = None;
            let mut state = topic.lock();
            // A ring that has been started anew meanwhile is what the next round sees first.
            let Some(tag) = state.tag.filter(|_| state.generation == self.generation) else {
                continue;
            };
            match answer {
                Ok(events) => {
                    drop(state);
                    replaying.is_known = true;
                    replaying.after = match events.last() {
                        Some((last, _)) => Some(*last),
                        // Nothing is left between it and where the ring began when the broker was asked.
                        None => replaying.after.max(Some(replaying.floor)),
                    };
                    replaying.queue = events
                        .into_iter()
                        .map(|(position, draft)| draft.seal(tag, position))
                        .collect();
                }
                Err(reason) => {
                    self.start_over(topic, &mut state);
                    return Poll::Ready(Some(Next::Notice(Notice::Reset(reason))));
                }
            }
        }
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        let Self { topic, standing } = self;
        let mut state = topic.lock();
        standing.leave(&mut state);
        let waker = state.waiting.forget(standing.ticket.take());
        let other = state.unread.forget(standing.unread.take());
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
            .field("position", &self.standing.position)
            .finish_non_exhaustive()
    }
}

//! How far a reader has come, and how it reads from the ring.

use std::collections::VecDeque;
use std::sync::MutexGuard;
use std::task::{Context, Poll};

use tokio::time::Instant;

use super::super::broker::{BoxFuture, Replay};
use super::super::channel::State;
use super::super::cursor::Fallback;
use super::super::encoded::Encoded;
use super::super::notice::{Notice, Reason};
use super::super::position::Position;
use super::super::registry::TopicRef;
use super::super::ring::{Lookup, Read};
use super::super::shape::Shape;
use super::super::waker_list::Ticket;
use super::Next;

/// How far a reader has come. Separate from the reader's topic, so that the topic can be locked while this changes.
pub(super) struct Progress {
    pub(super) stage: Stage,
    /// Where to begin without an id, and after a `reset`.
    fallback: Fallback,
    /// The position of the last event that the reader has returned.
    pub(super) position: Position,
    /// The generation of the ring that `stage` is about.
    pub(super) generation: u64,
    /// The epoch of `position`.
    pub(super) epoch: u64,
    pub(super) ticket: Option<Ticket>,
    /// Set while the client does not read.
    pub(super) unread: Option<Ticket>,
    /// Whether the reader was made before the feed had begun.
    is_early: bool,
}

pub(super) enum Stage {
    /// Reads from the ring, which counts it as a reader: the next event is the one with this index.
    Ring {
        next: u64,
    },
    /// Has returned an event that the ring does not have yet, because another node was faster. Waits at the end of the ring.
    Ahead {
        next: u64,
    },
    Replay(Replaying),
    Ended,
}

/// A replay from the history of the broker.
pub(super) struct Replaying {
    pub(super) after: Option<Position>,
    /// The floor of the ring when the broker was asked.
    pub(super) floor: Position,
    pub(super) answer: Option<BoxFuture<Replay>>,
    /// Whether the broker knows the position `after`.
    pub(super) is_known: bool,
    pub(super) queue: VecDeque<Encoded>,
}

impl Replaying {
    fn new(after: Option<Position>, floor: Position) -> Self {
        Self {
            after,
            floor,
            answer: None,
            is_known: false,
            queue: VecDeque::new(),
        }
    }
}

impl Progress {
    /// At the end of the ring.
    pub(super) fn new(state: &mut State, fallback: Fallback) -> Self {
        let next = state.ring.head();
        state.ring.enter(next);
        Self {
            stage: Stage::Ring { next },
            fallback,
            position: Position::default(),
            generation: state.generation,
            epoch: state.epoch,
            ticket: None,
            unread: None,
            is_early: state.tag.is_none(),
        }
    }

    fn next(&self) -> Option<u64> {
        match self.stage {
            Stage::Ring { next } | Stage::Ahead { next } => Some(next),
            Stage::Replay(_) | Stage::Ended => None,
        }
    }

    /// Whether the ring has dropped an event that the reader has not returned.
    pub(super) fn has_lost(&self, state: &State) -> bool {
        matches!(self.stage, Stage::Ring { next }
            if self.generation == state.generation && next < state.ring.lost())
    }

    pub(super) fn wait<T>(
        &mut self,
        mut state: MutexGuard<'_, State>,
        cx: &Context<'_>,
    ) -> Poll<T> {
        let replaced = state.waiting.wait(&mut self.ticket, cx.waker());
        drop(state);
        drop(replaced);
        Poll::Pending
    }

    /// Leaves the ring.
    pub(super) fn leave(&mut self, state: &mut State) {
        if let Some(next) = self.next()
            && self.generation == state.generation
        {
            state.ring.leave(next);
        }
        self.stage = Stage::Ended;
    }

    pub(super) fn move_to(&mut self, state: &mut State, next: u64) {
        self.leave(state);
        state.ring.enter(next);
        self.stage = Stage::Ring { next };
        self.set_generation(state);
    }

    fn set_generation(&mut self, state: &State) {
        self.generation = state.generation;
        self.epoch = state.epoch;
    }

    pub(super) fn replay(&mut self, state: &mut State, after: Option<Position>) {
        self.leave(state);
        self.set_generation(state);
        self.stage = Stage::Replay(Replaying::new(after, state.ring.floor()));
    }

    /// Begins as for a client without an id.
    pub(super) fn begin(&mut self, topic: &TopicRef, state: &mut State) -> Result<(), Reason> {
        if self.generation != state.generation {
            self.restarted(topic, state);
            return Err(state.restarted);
        }
        match (self.fallback, self.next()) {
            (Fallback::Live, Some(next)) => {
                // The reader is there since it was made.
                self.position = state.ring.before(next);
                self.epoch = state.epoch;
                if self.is_early && state.interrupted {
                    return Err(Reason::Missed);
                }
            }
            _ => self.start_over(topic, state),
        }
        Ok(())
    }

    /// Moves to the beginning for a client without an id: behind the newest event, or the start of the history.
    pub(super) fn start_over(&mut self, topic: &TopicRef, state: &mut State) {
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

    /// Moves to a ring that was restarted. Events that came after the restart are not lost.
    pub(super) fn restarted(&mut self, topic: &TopicRef, state: &mut State) -> Notice {
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

    pub(super) fn poll_ring<T: Shape>(
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
                    "a subscriber is too slow, so its stream ends"
                );
                Poll::Ready(Next::End)
            }
        }
    }
}

//! A replay from the broker's history, until the ring has the next event.

use std::task::{Context, Poll, ready};

use super::super::notice::Notice;
use super::super::registry::TopicRef;
use super::super::ring::Lookup;
use super::super::shape::{Shape, fitting};
use super::Next;
use super::progress::{Progress, Stage};

/// How many bytes of the history a reader asks for at once. It holds no more than that.
const REPLAY: usize = 64 * 1024;

impl Progress {
    /// `None` when the reader continues in the ring.
    pub(super) fn poll_replay<T: Shape>(
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
            // If the ring was restarted meanwhile, the next round of the loop sees it.
            let Some(tag) = state.tag.filter(|_| state.generation == self.generation) else {
                continue;
            };
            match answer {
                Ok(events) => {
                    drop(state);
                    replaying.is_known = true;
                    replaying.after = match events.last() {
                        Some((last, _)) => Some(*last),
                        // There are no events between `after` and the floor of the ring.
                        None => replaying.after.max(Some(replaying.floor)),
                    };
                    replaying.queue = events
                        .into_iter()
                        .map(|(position, encoded)| encoded.with_id(tag, position))
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

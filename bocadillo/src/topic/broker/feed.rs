//! The feed with which a broker fills the ring of a topic.

use std::sync::{Arc, Weak};

use super::super::channel::{Channel, State};
use super::super::position::Position;
use super::super::waker_list::TakenWakers;

/// Fills the ring of a topic, from its first subscriber on this node to its last.
#[derive(Clone, Debug)]
pub(crate) struct TopicFeed {
    topic: Arc<str>,
    channel: Weak<Channel>,
    follow_number: u64,
}

impl TopicFeed {
    pub(in super::super) fn new(channel: &Arc<Channel>, follow_number: u64) -> Self {
        Self {
            topic: Arc::clone(channel.name()),
            channel: Arc::downgrade(channel),
            follow_number,
        }
    }

    /// Sets the broker's epoch, and the position of the newest event that it has or ever had. Events after it are appended.
    /// Call it once, before the other functions. `false` when the feed has ended.
    pub(crate) fn begin(&self, epoch: u64, last: Position) -> bool {
        let begun = self.with(|_, state| {
            state.ring.begin(last);
            state.set_epoch(epoch, &self.topic);
            state.waiting.take()
        });
        self.wake(begun)
    }

    /// Wakes subscribers, and publishers that wait for the feed.
    fn wake(&self, wakers: Option<TakenWakers>) -> bool {
        let Some(wakers) = wakers else {
            return false;
        };
        wakers.wake();
        if let Some(channel) = self.channel.upgrade() {
            channel.publishers.notify_waiters();
        }
        true
    }

    /// `None` when the feed has ended.
    fn with<T>(&self, action: impl FnOnce(&Channel, &mut State) -> T) -> Option<T> {
        let channel = self.channel.upgrade()?;
        let mut state = channel.lock();
        (state.follow_number == self.follow_number).then(|| action(&channel, &mut state))
    }
}

/// For brokers that keep the history themselves.
#[cfg(any(test, feature = "nats", feature = "redis"))]
mod remote {
    use super::{Arc, Position, TakenWakers, TopicFeed};
    use crate::topic::encoded::{Encoded, EventWithoutId};
    #[cfg(any(feature = "nats", feature = "redis"))]
    use crate::topic::history::History;
    use crate::topic::notice::Reason;

    impl TopicFeed {
        pub(crate) fn topic(&self) -> &Arc<str> {
            &self.topic
        }

        /// Grows with each follow of the topic on this node.
        pub(crate) fn follow_number(&self) -> u64 {
            self.follow_number
        }

        /// The history of the topic. `None` when the feed has ended.
        #[cfg(any(feature = "nats", feature = "redis"))]
        pub(crate) fn history(&self) -> Option<History> {
            self.with(|channel, _| channel.options().history)
        }

        /// The follow was refused, or the connection was lost before the answer, or there is no connection. The
        /// broker tries again, and calls [`begin`](Self::begin) when it succeeds.
        ///
        /// Publishers no longer wait for this feed, so events may pass unseen: a subscriber without a cursor gets one
        /// `reset` when the feed begins. After `begin` it has no effect. `false` when the feed has ended.
        pub(crate) fn interrupt(&self) -> bool {
            let interrupted = self.with(|_, state| {
                state.interrupted |= state.tag.is_none();
                TakenWakers::default()
            });
            self.wake(interrupted)
        }

        /// The position of the newest event that was appended. `None` when the feed has ended.
        #[cfg(test)]
        pub(crate) fn last(&self) -> Option<Position> {
            self.with(|_, state| state.ring.last())
        }

        /// Appends events, oldest first. Events that were appended before are skipped. `false` when the feed has ended.
        pub(crate) fn append(
            &self,
            events: impl IntoIterator<Item = (Position, EventWithoutId)>,
        ) -> bool {
            let Some(Some((tag, mut last))) =
                self.with(|_, state| Some((state.tag?, state.ring.last())))
            else {
                return false;
            };
            let mut with_ids: Vec<Encoded> = Vec::new();
            for (position, encoded) in events {
                if position > last {
                    last = position;
                    with_ids.push(encoded.with_id(tag, position));
                }
            }
            let appended = self.with(|channel, state| channel.append_to(state, with_ids));
            appended.map(TakenWakers::wake).is_some()
        }

        /// The broker has lost its events (a new epoch), or events that were never appended (`Reason::Evicted`). Each
        /// subscriber gets one `reset`, and continues with what is appended after `last`. `false` when the feed has ended.
        pub(crate) fn restart(&self, epoch: u64, last: Position, reason: Reason) -> bool {
            let restarted = self.with(|_, state| {
                state.set_epoch(epoch, &self.topic);
                state.restart(last, reason)
            });
            self.wake(restarted)
        }
    }
}

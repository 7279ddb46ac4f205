//! The broker of [`Hub::memory`](super::Hub::memory): the ring of a topic is its history, and a position is a number.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError};

use super::broker::{BoxFuture, Broker, Published, TopicFeed};
use super::channel::Channel;
use super::encoded::EventWithoutId;
use super::position::{Position, Tag};
use super::random;
use crate::error::Result;

#[derive(Debug)]
pub(super) struct Memory {
    /// A random number for each hub, so that ids of another hub are recognised.
    epoch: u64,
    /// The highest position of all topics that were removed. A topic that is used again begins above it, so that an old
    /// id of the topic is never the id of a new event.
    floor: AtomicU64,
}

impl Memory {
    pub(super) fn new() -> Self {
        Self {
            epoch: random::number(),
            floor: AtomicU64::new(0),
        }
    }
}

impl Broker for Memory {
    fn open(&self, feed: &TopicFeed) {
        let floor = self.floor.load(Ordering::Acquire);
        feed.begin(self.epoch, Position::new(floor, 0));
    }

    fn close(&self, last: Position) {
        self.floor.fetch_max(last.major, Ordering::AcqRel);
    }

    fn ring_is_history(&self) -> bool {
        true
    }

    fn publish(
        &self,
        topic: &Arc<Channel>,
        events: Vec<EventWithoutId>,
    ) -> BoxFuture<Result<Published>> {
        let publishing = topic
            .publishing
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let last = topic.lock().ring.last().major;
        let tag = Tag::new(self.epoch, topic.name());
        let positions: Vec<_> = (last + 1..)
            .take(events.len())
            .map(|number| Position::new(number, 0))
            .collect();
        let events = events.into_iter().zip(&positions);
        // Collected first, so that the ids are not written while the ring is locked.
        let events: Vec<_> = events
            .map(|(encoded, position)| encoded.with_id(tag, *position))
            .collect();
        let wakers = topic.append(events);
        drop(publishing);
        wakers.wake();
        Box::pin(std::future::ready(Ok(Published {
            epoch: self.epoch,
            positions,
        })))
    }
}

//! The engine of [`Hub::memory`](super::Hub::memory): a topic's history is its ring, its sequence a number.

use std::hash::{BuildHasher, RandomState};
use std::pin::pin;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::time::Instant;

use super::channel::Channel;
use super::encoded::Draft;
use super::position::{Position, Tag};

#[derive(Debug)]
pub(super) struct Memory {
    /// Another one in each life of the hub, so that ids of the last one are known for what they are.
    epoch: u64,
    /// The highest sequence of any topic that has gone. One that comes back begins above it: an old id of it is then
    /// one of an evicted event, or of the very last one, and never one of a new event.
    floor: AtomicU64,
}

impl Memory {
    pub(super) fn new() -> Self {
        // The standard library's hasher is keyed by the system's random numbers.
        Self {
            epoch: RandomState::new().hash_one("bocadillo"),
            floor: AtomicU64::new(0),
        }
    }

    /// The epoch, and where a topic begins that was not there.
    pub(super) fn start(&self) -> (u64, Position) {
        (
            self.epoch,
            Position::new(self.floor.load(Ordering::Acquire), 0),
        )
    }

    /// A topic goes.
    pub(super) fn forget(&self, channel: &Channel) {
        self.floor
            .fetch_max(channel.lock().ring.last().major, Ordering::AcqRel);
    }
}

/// Publishes; returns the tag and the first of the events' consecutive sequences.
///
/// Waits for nobody unless the topic's policy is to block.
pub(super) async fn publish<D>(channel: &Channel, drafts: D) -> (Tag, u64)
where
    D: AsRef<[Draft]> + IntoIterator<Item = Draft>,
{
    wait_for_room(channel, drafts.as_ref()).await;
    append(channel, drafts)
}

/// Waits for slow subscribers where the topic's policy says so. Several publishers that wait may go on at once, so
/// that a subscriber may be cut off a little earlier than one alone would have done it.
pub(super) async fn wait_for_room(channel: &Channel, drafts: &[Draft]) {
    let Some(up_to) = channel.options().slow.blocks() else {
        return;
    };
    let bytes = drafts.iter().map(Draft::size).sum();
    let deadline = Instant::now() + up_to;
    loop {
        let mut room = pin!(channel.publishers.notified());
        room.as_mut().enable();
        if channel.has_room(drafts.len(), bytes)
            || tokio::time::timeout_at(deadline, room).await.is_err()
        {
            return;
        }
    }
}

fn append(channel: &Channel, drafts: impl IntoIterator<Item = Draft>) -> (Tag, u64) {
    let mut sequence = channel
        .sequence
        .lock()
        .unwrap_or_else(PoisonError::into_inner);
    let tag = channel
        .lock()
        .tag
        .expect("a topic of a memory hub has its tag from the start");
    let first = *sequence + 1;
    let events = drafts.into_iter().map(|draft| {
        *sequence += 1;
        draft.seal(tag, Position::new(*sequence, 0))
    });
    // Collected, so that the sealing is done before the ring is locked.
    let events: Vec<_> = events.collect();
    let wakes = channel.append(events);
    drop(sequence);
    wakes.wake();
    (tag, first)
}

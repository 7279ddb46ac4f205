//! The forms in which a reader returns events.

use std::collections::VecDeque;
use std::collections::vec_deque::Drain;

use bytes::{Bytes, BytesMut};
use tokio::time::Instant;

use super::encoded::Encoded;
use super::ring::{Read, Ring};

/// A form in which events are read.
pub(super) trait Shape: Sized {
    fn read(ring: &mut Ring, next: u64, limit: usize) -> Read<Self>;
    fn replayed(events: Drain<'_, Encoded>) -> Self;
}

/// One piece of bytes, which readers share.
impl Shape for Bytes {
    fn read(ring: &mut Ring, next: u64, limit: usize) -> Read<Self> {
        ring.read(next, limit)
    }

    fn replayed(mut events: Drain<'_, Encoded>) -> Self {
        if events.len() == 1 {
            return events.next().map(|event| event.wire).unwrap_or_default();
        }
        let mut bytes = BytesMut::new();
        events.for_each(|event| bytes.extend_from_slice(&event.wire));
        bytes.freeze()
    }
}

/// Single events, each with the time at which it reached this node.
impl Shape for Vec<(Instant, Encoded)> {
    fn read(ring: &mut Ring, next: u64, limit: usize) -> Read<Self> {
        ring.take(next, limit)
    }

    fn replayed(events: Drain<'_, Encoded>) -> Self {
        let now = Instant::now();
        events.map(|event| (now, event)).collect()
    }
}

/// How many events of a queue have at most `limit` bytes together, but at least one. `None` if the queue is empty.
pub(super) fn fitting(queue: &VecDeque<Encoded>, limit: usize) -> Option<usize> {
    let mut total = 0;
    let fitting = queue.iter().take_while(|event| {
        total += event.wire.len();
        total <= limit
    });
    let events = fitting.count().max(1);
    (!queue.is_empty()).then_some(events)
}

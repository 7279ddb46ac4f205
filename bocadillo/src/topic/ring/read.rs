//! Reading from the ring.

use bytes::{Bytes, BytesMut};
use tokio::time::Instant;

use super::{Entry, Ring};
use crate::topic::encoded::Encoded;
use crate::topic::position::Position;

/// The bytes that were put together for the last reader. The next reader probably needs the same.
#[derive(Debug)]
pub(super) struct CachedRead {
    pub(super) from: u64,
    to: u64,
    start: u64,
    last: Position,
    bytes: Bytes,
}

/// The result of a read.
#[derive(Debug)]
pub(crate) enum Read<T> {
    /// The reader has all events.
    Nothing,
    /// So many of the reader's events were dropped.
    Lost(u64),
    Ready {
        value: T,
        next: u64,
        last: Position,
    },
}

impl Ring {
    /// The events from `next` on as one piece: one event, or several of at most `limit` bytes. The caller moves its reader
    /// to the returned index.
    pub(crate) fn read(&mut self, next: u64, limit: usize) -> Read<Bytes> {
        if next < self.lost {
            return Read::Lost(self.lost - next);
        }
        if let Some(cache) = &self.cache
            && let Some(bytes) = self.cached(cache, next, limit)
        {
            return Read::Ready {
                value: bytes,
                next: cache.to,
                last: cache.last,
            };
        }
        let (mut total, mut events) = (0, 0);
        let mut first = None;
        let mut last = None;
        for entry in self.wanted(next) {
            if events > 0 && total + entry.event.wire.len() > limit {
                break;
            }
            total += entry.event.wire.len();
            events += 1;
            first = first.or(Some(entry));
            last = Some(entry);
        }
        let (Some(first), Some(last)) = (first, last) else {
            return Read::Nothing;
        };
        let (to, position) = (last.index + 1, last.event.position);
        if events == 1 {
            return Read::Ready {
                value: first.event.wire.clone(),
                next: to,
                last: position,
            };
        }
        let start = first.start();
        let mut bytes = BytesMut::with_capacity(total);
        for entry in self.wanted(next).take(events) {
            bytes.extend_from_slice(&entry.event.wire);
        }
        let bytes = bytes.freeze();
        self.cache = Some(CachedRead {
            from: next,
            to,
            start,
            last: position,
            bytes: bytes.clone(),
        });
        Read::Ready {
            value: bytes,
            next: to,
            last: position,
        }
    }

    /// The end of the cached bytes, from `next` on, if no other events follow or if they fill at least half of the limit.
    fn cached(&self, cache: &CachedRead, next: u64, limit: usize) -> Option<Bytes> {
        if next < cache.from || next >= cache.to {
            return None;
        }
        let skipped = if next == cache.from {
            0
        } else {
            // Superseded events have no bytes, so the sums are wrong in a topic that conflates.
            if self.newest.is_some() {
                return None;
            }
            usize::try_from(self.entries.get(self.slot(next))?.start() - cache.start).ok()?
        };
        let rest = cache.bytes.len() - skipped;
        (rest <= limit && (cache.to == self.head || rest >= limit / 2))
            .then(|| cache.bytes.slice(skipped..))
    }

    /// As [`read`](Self::read), but single events, each with the time at which it was pushed.
    pub(crate) fn take(&self, next: u64, limit: usize) -> Read<Vec<(Instant, Encoded)>> {
        if next < self.lost {
            return Read::Lost(self.lost - next);
        }
        let mut taken = Vec::new();
        let mut total = 0;
        let mut to = next;
        for entry in self.wanted(next) {
            total += entry.event.wire.len();
            if !taken.is_empty() && total > limit {
                break;
            }
            taken.push((entry.at, entry.event.clone()));
            to = entry.index + 1;
        }
        match taken.last() {
            None => Read::Nothing,
            Some((_, event)) => Read::Ready {
                next: to,
                last: event.position,
                value: taken,
            },
        }
    }

    fn wanted(&self, next: u64) -> impl Iterator<Item = &Entry> {
        self.entries
            .range(self.slot(next)..)
            .filter(|entry| !entry.event.is_superseded())
    }
}

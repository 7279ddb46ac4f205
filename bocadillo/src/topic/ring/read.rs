//! What a reader gets of the ring.

use bytes::{Bytes, BytesMut};
use tokio::time::Instant;

use super::{Entry, Ring};
use crate::topic::encoded::Encoded;
use crate::topic::position::Position;

/// The last events that were put together for a reader: the next one probably stands at the same place.
#[derive(Debug)]
pub(super) struct CachedRead {
    pub(super) from: u64,
    to: u64,
    start: u64,
    last: Position,
    bytes: Bytes,
}

/// What there is for a reader.
#[derive(Debug)]
pub(crate) enum Read<T> {
    /// It has all.
    Nothing,
    /// So many events are gone that it has not got.
    Lost(u64),
    Ready {
        value: T,
        next: u64,
        last: Position,
    },
}

impl Ring {
    /// The events from `next` on as one piece: at least one, and no more than `limit` bytes where there is more than
    /// one. The caller moves its reader to where it says.
    pub(crate) fn read(&mut self, next: u64, limit: usize) -> Read<Bytes> {
        if next < self.lost {
            return Read::Lost(self.lost - next);
        }
        if let Some(batch) = &self.batch
            && let Some(bytes) = self.cached(batch, next, limit)
        {
            return Read::Ready {
                value: bytes,
                next: batch.to,
                last: batch.last,
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
        self.batch = Some(CachedRead {
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

    /// The end of the last batch, from `next` on: worth taking if it is all there is, or most of what would fit.
    fn cached(&self, batch: &CachedRead, next: u64, limit: usize) -> Option<Bytes> {
        if next < batch.from || next >= batch.to {
            return None;
        }
        let skipped = if next == batch.from {
            0
        } else {
            // Superseded events have no bytes, so that where they are possible the sums do not hold.
            if self.newest.is_some() {
                return None;
            }
            usize::try_from(self.entries.get(self.slot(next))?.start() - batch.start).ok()?
        };
        let rest = batch.bytes.len() - skipped;
        (rest <= limit && (batch.to == self.head || rest >= limit / 2))
            .then(|| batch.bytes.slice(skipped..))
    }

    /// As [`read`](Self::read), one by one, with the time at which each came.
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

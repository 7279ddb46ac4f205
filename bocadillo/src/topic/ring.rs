//! The ring: the encoded events of one topic on this node, and the indexes of its readers. It has no locks and no wakers, and
//! it gets the time from its caller.
//!
//! Each event has an index, counted up from zero. A reader is one number: the index of its next event. Each entry counts
//! the readers whose next event it is. So the ring knows at once whether its oldest entry is still needed.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use tokio::time::Instant;

use super::encoded::Encoded;
use super::history::History;
use super::policy::SlowPolicy;
use super::position::Position;

mod limits;
mod read;
#[cfg(test)]
mod tests;

use read::CachedRead;
pub(crate) use read::Read;

#[derive(Debug)]
pub(crate) struct Ring {
    /// In ascending order of their indexes. There are no gaps, except where superseded entries were removed.
    entries: VecDeque<Entry>,
    /// The index of the next event that is pushed.
    head: u64,
    /// Events below this index were dropped.
    lost: u64,
    /// The position of the newest event that was dropped. A client can continue from here or from a later position.
    floor: Position,
    /// The position of the newest event.
    last: Position,
    /// The number and the bytes of the entries that are not superseded.
    live: usize,
    bytes: usize,
    /// The index at which the history begins. Entries before it are kept for readers only.
    start: u64,
    /// The number and the bytes of the entries before `start` that are not superseded.
    held: usize,
    held_bytes: usize,
    /// The bytes of all events that were ever pushed.
    end: u64,
    /// The readers that have all events, and all readers.
    at_head: usize,
    readers: usize,
    /// Whether a reader has lost an event since the last `take_lost`.
    has_lost: bool,
    /// Whether a reader that has lost events continues with the oldest event that is left.
    carries: bool,
    /// The newest event of each key. `None` if the topic does not conflate.
    newest: Option<HashMap<Arc<str>, u64>>,
    cache: Option<CachedRead>,
}

#[derive(Debug)]
struct Entry {
    event: Encoded,
    index: u64,
    /// The bytes of all events up to this one, included.
    end: u64,
    at: Instant,
    readers: usize,
}

impl Entry {
    fn start(&self) -> u64 {
        self.end - self.event.wire.len() as u64
    }
}

/// The result of looking for the event after a position.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Lookup {
    Found(u64),
    /// The position is older than the events of the ring.
    TooOld,
    /// The position is newer than the newest event.
    TooNew,
}

impl Ring {
    /// An empty ring, for the events after `floor`.
    pub(crate) fn new(floor: Position, policy: &SlowPolicy) -> Self {
        Self::with(floor, policy.goes_on(), policy.conflates())
    }

    fn with(floor: Position, carries: bool, conflates: bool) -> Self {
        Self {
            entries: VecDeque::new(),
            head: 0,
            lost: 0,
            floor,
            last: floor,
            live: 0,
            bytes: 0,
            start: 0,
            held: 0,
            held_bytes: 0,
            end: 0,
            at_head: 0,
            readers: 0,
            has_lost: false,
            carries,
            newest: conflates.then(HashMap::new),
            cache: None,
        }
    }

    pub(crate) fn push(&mut self, event: Encoded, at: Instant) {
        let index = self.head;
        let key = event.key.clone();
        self.head += 1;
        self.last = event.position;
        self.live += 1;
        self.bytes += event.wire.len();
        self.end += event.wire.len() as u64;
        let readers = std::mem::take(&mut self.at_head);
        self.entries.push_back(Entry {
            event,
            index,
            end: self.end,
            at,
            readers,
        });
        if let Some(newest) = &mut self.newest
            && let Some(key) = key
            && let Some(older) = newest.insert(key, index)
        {
            self.supersede(older);
        }
    }

    fn supersede(&mut self, index: u64) {
        let slot = self.slot(index);
        let Some(entry) = self
            .entries
            .get_mut(slot)
            .filter(|entry| entry.index == index)
        else {
            return;
        };
        let bytes = entry.event.wire.len();
        entry.event.supersede();
        self.live -= 1;
        self.bytes -= bytes;
        if index < self.start {
            self.held -= 1;
            self.held_bytes -= bytes;
        }
        self.cache = None;
        if self.entries.len() > 2 * self.live + 16 {
            self.compact();
        }
    }

    /// Removes the superseded entries. The newest entry is never superseded, so there is always an entry that takes over
    /// their readers.
    fn compact(&mut self) {
        let mut readers = 0;
        self.entries.retain_mut(|entry| {
            if entry.event.is_superseded() {
                readers += entry.readers;
                return false;
            }
            entry.readers += std::mem::take(&mut readers);
            true
        });
        self.at_head += readers;
    }

    /// Whether a reader has lost an event since the last call.
    pub(crate) fn take_lost(&mut self) -> bool {
        std::mem::take(&mut self.has_lost)
    }

    /// Sets the position of an empty ring.
    pub(crate) fn begin(&mut self, floor: Position) {
        if self.entries.is_empty() {
            self.floor = floor;
            self.last = floor;
        }
    }

    /// Whether the ring keeps more than the history, for a slow reader.
    pub(crate) fn is_over(&self) -> bool {
        self.held > 0
    }

    /// Drops all events, and continues after `floor`. Readers are no longer counted; each has to call `enter` again.
    pub(crate) fn restart(&mut self, floor: Position) {
        *self = Self {
            head: self.head,
            lost: self.head,
            start: self.head,
            end: self.end,
            ..Self::with(floor, self.carries, self.newest.is_some())
        };
    }

    pub(crate) fn head(&self) -> u64 {
        self.head
    }

    pub(crate) fn lost(&self) -> u64 {
        self.lost
    }

    pub(crate) fn last(&self) -> Position {
        self.last
    }

    pub(crate) fn floor(&self) -> Position {
        self.floor
    }

    pub(crate) fn events(&self) -> usize {
        self.live
    }

    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The index of the first event of the history. Events that are only kept for slow readers come before it.
    pub(crate) fn start(&mut self, history: &History, now: Instant) -> u64 {
        self.advance(history, now);
        let mut entries = self.entries.range(self.slot(self.start)..);
        let first = entries.find(|entry| !entry.event.is_superseded());
        first.map_or(self.head, |entry| entry.index)
    }

    /// Looks for the event after a position.
    pub(crate) fn after(&self, position: Position) -> Lookup {
        if position < self.floor {
            return Lookup::TooOld;
        }
        if position > self.last {
            return Lookup::TooNew;
        }
        let slot = self
            .entries
            .partition_point(|entry| entry.event.position <= position);
        let next = self
            .entries
            .range(slot..)
            .find(|entry| !entry.event.is_superseded());
        Lookup::Found(next.map_or(self.head, |entry| entry.index))
    }

    /// The position of the event before `index`.
    pub(crate) fn before(&self, index: u64) -> Position {
        let earlier = self.entries.range(..self.slot(index)).rev();
        earlier
            .map(|entry| &entry.event)
            .find(|event| !event.is_superseded())
            .map_or(self.floor, |event| event.position)
    }

    /// Counts a reader whose next event is `index`, which must not be dropped yet.
    pub(crate) fn enter(&mut self, index: u64) {
        self.readers += 1;
        *self.count(index) += 1;
    }

    /// No longer counts a reader whose next event is `index`.
    pub(crate) fn leave(&mut self, index: u64) {
        if index < self.lost && !self.carries {
            return;
        }
        self.readers -= 1;
        *self.count(index) -= 1;
        if self.at_head == self.readers {
            self.cache = None;
        }
    }

    fn count(&mut self, index: u64) -> &mut usize {
        let slot = self.slot(index);
        match self.entries.get_mut(slot) {
            Some(entry) => &mut entry.readers,
            None => &mut self.at_head,
        }
    }

    /// The first entry with this index or a higher one.
    fn slot(&self, index: u64) -> usize {
        let Some(front) = self.entries.front() else {
            return 0;
        };
        // Most readers have all events most of the time.
        if index == self.head {
            return self.entries.len();
        }
        let guess = usize::try_from(index.saturating_sub(front.index)).unwrap_or(usize::MAX);
        match self.entries.get(guess) {
            Some(entry) if entry.index == index => guess,
            _ => self.entries.partition_point(|entry| entry.index < index),
        }
    }
}

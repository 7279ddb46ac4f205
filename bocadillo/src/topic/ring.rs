//! The ring: the encoded events of one topic on this node, and where its readers stand. No locks, no wakers, no time of
//! its own: plain data.
//!
//! Every event has an index, counted up from zero. A reader is one number: the index of the event that it wants next.
//! Each entry counts the readers that stand at it, which tells the ring at once whether its oldest entry is still
//! wanted.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use tokio::time::Instant;

use super::encoded::Encoded;
use super::history::History;
use super::policy::SlowPolicy;
use super::position::Position;

mod read;
#[cfg(test)]
mod tests;

use read::CachedRead;
pub(crate) use read::Read;

#[derive(Debug)]
pub(crate) struct Ring {
    /// By index, ascending. Without gaps, unless superseded entries were taken out.
    entries: VecDeque<Entry>,
    /// The index of the event that will come next.
    head: u64,
    /// Events below this index are lost to whoever has not got them.
    lost: u64,
    /// Where the newest lost event stood. Cursors from here on can be honoured.
    floor: Position,
    /// Where the newest event stands.
    last: Position,
    /// Entries that are not superseded, and their bytes.
    live: usize,
    bytes: usize,
    /// Where the history begins. Entries before it are held for readers only, and never become history again.
    start: u64,
    /// How many of the entries before it are not superseded, and their bytes.
    held: usize,
    held_bytes: usize,
    /// The bytes of all events that ever were.
    end: u64,
    /// Readers that have all there is, and readers in all.
    at_head: usize,
    readers: usize,
    /// Whether a reader has lost an event since this was asked last.
    has_lost: bool,
    /// Whether readers that have lost events go on with the oldest that are left, which are kept for them.
    carries: bool,
    /// The newest event of each key. `None` where the topic does not conflate.
    newest: Option<HashMap<Arc<str>, u64>>,
    batch: Option<CachedRead>,
}

#[derive(Debug)]
struct Entry {
    event: Encoded,
    index: u64,
    /// The bytes of all events up to this one and with it.
    end: u64,
    at: Instant,
    readers: usize,
}

impl Entry {
    fn start(&self) -> u64 {
        self.end - self.event.wire.len() as u64
    }
}

/// Where a cursor points.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Lookup {
    Found(u64),
    /// Before what the ring holds.
    TooOld,
    /// After the newest event.
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
            batch: None,
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
        self.batch = None;
        if self.entries.len() > 2 * self.live + 16 {
            self.compact();
        }
    }

    /// Takes the superseded entries out. The newest entry is never one, so it takes over the readers of the last of
    /// them.
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

    /// Finds out where the history begins now. Each entry leaves it once.
    fn advance(&mut self, history: &History, now: Instant) {
        let mut slot = self.slot(self.start);
        while let Some(entry) = self.entries.get(slot) {
            let bytes = entry.event.wire.len();
            if !entry.event.is_superseded() {
                let (live, rest) = (self.live - self.held, self.bytes - self.held_bytes);
                if !is_outside(entry, live, rest, history, now) {
                    break;
                }
                self.held += 1;
                self.held_bytes += bytes;
            }
            self.start = entry.index + 1;
            slot += 1;
        }
    }

    /// Lets go of what is neither history nor wanted by a reader. For readers it holds `bound` bytes beyond the history, and
    /// the event that the last of them gets next.
    pub(crate) fn trim(&mut self, history: &History, bound: usize, now: Instant) {
        self.advance(history, now);
        while let Some(front) = self.entries.front() {
            if !front.event.is_superseded() {
                if front.index >= self.start {
                    break;
                }
                if front.readers > 0 && self.held_bytes - front.event.wire.len() <= bound {
                    break;
                }
            }
            self.pop();
        }
        if self
            .batch
            .as_ref()
            .is_some_and(|batch| batch.from < self.lost)
        {
            self.batch = None;
        }
        self.shrink();
    }

    /// Gives back the memory of a burst.
    fn shrink(&mut self) {
        let Self {
            entries, newest, ..
        } = self;
        if is_sparse(entries.len(), entries.capacity()) {
            entries.shrink_to(entries.len() * 2);
        }
        if let Some(newest) = newest.as_mut()
            && is_sparse(newest.len(), newest.capacity())
        {
            newest.shrink_to(newest.len() * 2);
        }
    }

    /// Whether a reader has lost an event since the last call.
    pub(crate) fn take_lost(&mut self) -> bool {
        std::mem::take(&mut self.has_lost)
    }

    fn pop(&mut self) {
        let Some(entry) = self.entries.pop_front() else {
            return;
        };
        if self.carries || entry.event.is_superseded() {
            match self.entries.front_mut() {
                Some(front) => front.readers += entry.readers,
                None => self.at_head += entry.readers,
            }
        } else {
            self.readers -= entry.readers;
            self.has_lost |= entry.readers > 0;
        }
        if entry.event.is_superseded() {
            return;
        }
        self.live -= 1;
        self.bytes -= entry.event.wire.len();
        self.held -= 1;
        self.held_bytes -= entry.event.wire.len();
        self.lost = entry.index + 1;
        self.floor = entry.event.position;
        if let Some(newest) = &mut self.newest
            && let Some(key) = &entry.event.key
            && newest.get(key) == Some(&entry.index)
        {
            newest.remove(key);
        }
    }

    /// Whether pushing so many events of so many bytes would take from a reader what it has yet to be sent. A reader that has
    /// all cannot make room, so it does not count.
    pub(crate) fn would_lose(
        &self,
        events: usize,
        bytes: usize,
        history: &History,
        bound: usize,
        now: Instant,
    ) -> bool {
        let mut live = self.live - self.held + events;
        let mut rest = self.bytes - self.held_bytes + bytes;
        // What would be held beyond the history after the event that the last reader gets next.
        let mut held = None;
        let mut is_wanted = false;
        if let Some(front) = self.entries.front().filter(|_| self.held > 0) {
            held = Some(self.held_bytes - front.event.wire.len());
        }
        for entry in self.entries.range(self.slot(self.start)..) {
            is_wanted |= entry.readers > 0;
            if entry.event.is_superseded() {
                continue;
            }
            if !is_outside(entry, live, rest, history, now) {
                return false;
            }
            let size = entry.event.wire.len();
            live -= 1;
            rest -= size;
            held = match held {
                Some(held) => Some(held + size),
                None => is_wanted.then_some(0),
            };
            if held.is_some_and(|held| held > bound) {
                return true;
            }
        }
        let fits = events <= history.max_events && bytes <= history.max_bytes;
        held.is_some_and(|held| !fits && held + bytes > bound)
    }

    /// Says where an empty ring stands.
    pub(crate) fn begin(&mut self, floor: Position) {
        if self.entries.is_empty() {
            self.floor = floor;
            self.last = floor;
        }
    }

    /// Whether it holds more than the history, for a slow reader.
    pub(crate) fn is_over(&self) -> bool {
        self.held > 0
    }

    /// Forgets all, and goes on after `floor`. Readers are no longer counted: all must enter anew.
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

    /// Where the history begins; what is only kept for slow readers comes before it.
    pub(crate) fn start(&mut self, history: &History, now: Instant) -> u64 {
        self.advance(history, now);
        let mut entries = self.entries.range(self.slot(self.start)..);
        let first = entries.find(|entry| !entry.event.is_superseded());
        first.map_or(self.head, |entry| entry.index)
    }

    /// The event after a position.
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

    /// The position after which a reader at `index` goes on.
    pub(crate) fn before(&self, index: u64) -> Position {
        let earlier = self.entries.range(..self.slot(index)).rev();
        earlier
            .map(|entry| &entry.event)
            .find(|event| !event.is_superseded())
            .map_or(self.floor, |event| event.position)
    }

    /// Counts a reader at `index`, which must not be lost.
    pub(crate) fn enter(&mut self, index: u64) {
        self.readers += 1;
        *self.count(index) += 1;
    }

    /// No longer counts a reader that stands at `index`.
    pub(crate) fn leave(&mut self, index: u64) {
        if index < self.lost && !self.carries {
            return;
        }
        self.readers -= 1;
        *self.count(index) -= 1;
        if self.at_head == self.readers {
            self.batch = None;
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
        // Where most readers stand most of the time.
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

/// Whether so much more room than is used is worth giving back.
fn is_sparse(len: usize, capacity: usize) -> bool {
    capacity > 64 && len < capacity / 8
}

/// Whether an entry is no longer history, when with it so many events of so many bytes are left.
fn is_outside(entry: &Entry, live: usize, bytes: usize, history: &History, now: Instant) -> bool {
    live > history.max_events
        || bytes > history.max_bytes
        || history
            .max_age
            .is_some_and(|age| now.saturating_duration_since(entry.at) >= age)
}

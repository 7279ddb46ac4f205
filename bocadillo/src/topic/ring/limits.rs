//! What the ring drops: events outside of the history that no reader needs, and events that slow readers would need but
//! that exceed their bound.

use tokio::time::Instant;

use super::{Entry, Ring};
use crate::topic::history::History;

impl Ring {
    /// Updates the start of the history. Each entry leaves the history once.
    pub(super) fn advance(&mut self, history: &History, now: Instant) {
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

    /// Drops the events that are outside of the history and that no reader needs. For readers the ring keeps `bound` bytes
    /// beyond the history, and the next event of the slowest reader.
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
            .cache
            .as_ref()
            .is_some_and(|cache| cache.from < self.lost)
        {
            self.cache = None;
        }
        self.shrink();
    }

    /// Frees the memory that a burst of events needed.
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

    /// Whether a reader would lose an event if these events were pushed. A reader that has all events cannot make room, so
    /// it does not count.
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
        // The bytes beyond the history, without the next event of the slowest reader.
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
}

/// Whether so little of the capacity is used that it is worth freeing.
fn is_sparse(len: usize, capacity: usize) -> bool {
    capacity > 64 && len < capacity / 8
}

/// Whether an entry is outside of the history. `live` and `bytes` count the entry and all later ones.
fn is_outside(entry: &Entry, live: usize, bytes: usize, history: &History, now: Instant) -> bool {
    live > history.max_events
        || bytes > history.max_bytes
        || history
            .max_age
            .is_some_and(|age| now.saturating_duration_since(entry.at) >= age)
}

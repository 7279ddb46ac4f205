//! The wakers of the readers that wait for the next event.

use std::task::Waker;

/// The wakers of readers that have all events. They are taken out together, and woken with no lock held.
#[derive(Debug, Default)]
pub(crate) struct WakerList {
    /// How often all wakers were taken out. A ticket of an earlier round has no slot.
    round: u64,
    slots: Vec<Option<Waker>>,
    free: Vec<usize>,
}

/// The slot of a reader. It keeps the slot until the next event, so a reader that is polled twice does not wait twice.
#[derive(Debug)]
pub(crate) struct Ticket {
    round: u64,
    slot: usize,
}

/// Wakers to wake or drop when no lock is held, because both may run user code.
#[derive(Debug, Default)]
#[must_use = "`wake` wakes the readers that wait for an event"]
pub(crate) struct TakenWakers(Vec<Option<Waker>>);

impl TakenWakers {
    pub(crate) fn wake(self) {
        self.0.into_iter().flatten().for_each(Waker::wake);
    }

    pub(crate) fn extend(&mut self, others: Self) {
        self.0.extend(others.0);
    }
}

impl WakerList {
    /// Returns the waker that was replaced. Drop it with no lock held.
    pub(crate) fn wait(&mut self, ticket: &mut Option<Ticket>, waker: &Waker) -> Option<Waker> {
        if let Some(slot) = ticket
            .as_ref()
            .filter(|ticket| ticket.round == self.round)
            .map(|ticket| ticket.slot)
        {
            let kept = &mut self.slots[slot];
            if kept.as_ref().is_some_and(|kept| kept.will_wake(waker)) {
                return None;
            }
            return kept.replace(waker.clone());
        }
        let slot = self.free.pop().unwrap_or_else(|| {
            self.slots.push(None);
            self.slots.len() - 1
        });
        *ticket = Some(Ticket {
            round: self.round,
            slot,
        });
        self.slots[slot].replace(waker.clone())
    }

    /// Frees the slot of a ticket.
    pub(crate) fn forget(&mut self, ticket: Option<Ticket>) -> Option<Waker> {
        let ticket = ticket.filter(|ticket| ticket.round == self.round)?;
        self.free.push(ticket.slot);
        let waker = self.slots[ticket.slot].take();
        if self.free.len() == self.slots.len() {
            // No ticket of this round is left.
            self.free = Vec::new();
            self.slots = Vec::new();
        }
        waker
    }

    pub(crate) fn take(&mut self) -> TakenWakers {
        self.round += 1;
        // About as many readers will wait for the event after the next one.
        let next = Vec::with_capacity(self.slots.len() - self.free.len());
        self.free = Vec::new();
        TakenWakers(std::mem::replace(&mut self.slots, next))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::Wake;

    use super::*;

    #[derive(Default)]
    struct Count(AtomicUsize);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn a_reader_that_is_polled_often_is_woken_once() {
        let mut list = WakerList::default();
        let counts: Vec<_> = (0..3).map(|_| Arc::<Count>::default()).collect();
        let mut tickets = [None, None, None];
        for _ in 0..5 {
            for (count, ticket) in counts.iter().zip(&mut tickets) {
                drop(list.wait(ticket, &Waker::from(Arc::clone(count))));
            }
        }
        drop(list.forget(tickets[1].take()));
        list.take().wake();
        list.take().wake();
        let woken: Vec<_> = counts
            .iter()
            .map(|count| count.0.load(Ordering::Relaxed))
            .collect();
        assert_eq!(woken, [1, 0, 1]);
        assert!(
            list.forget(tickets[0].take()).is_none(),
            "a ticket of an earlier round must not free a slot"
        );
    }

    #[test]
    fn readers_that_leave_free_their_memory() {
        let mut list = WakerList::default();
        for _ in 0..10_000 {
            let mut ticket = None;
            drop(list.wait(&mut ticket, Waker::noop()));
            drop(list.forget(ticket));
        }
        assert_eq!((list.slots.capacity(), list.free.capacity()), (0, 0));
    }

    #[test]
    fn a_slot_is_used_again() {
        let mut list = WakerList::default();
        let mut stays = None;
        drop(list.wait(&mut stays, Waker::noop()));
        for _ in 0..1_000 {
            let mut ticket = None;
            drop(list.wait(&mut ticket, Waker::noop()));
            drop(list.forget(ticket));
        }
        assert_eq!(list.slots.len(), 2);
    }

    #[test]
    fn the_next_event_frees_the_memory_of_readers_that_left() {
        let mut list = WakerList::default();
        let mut tickets: Vec<_> = (0..10_000).map(|_| None).collect();
        for ticket in &mut tickets {
            drop(list.wait(ticket, Waker::noop()));
        }
        for ticket in tickets.drain(10..) {
            drop(list.forget(ticket));
        }
        list.take().wake();
        assert_eq!(list.slots.capacity(), 10, "room for the remaining readers");
        assert_eq!(list.free.capacity(), 0);
    }
}

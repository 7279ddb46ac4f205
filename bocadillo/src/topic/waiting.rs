//! The wakers of the readers that wait for the next event.

use std::task::Waker;

/// The wakers of readers that have all events. They are taken out together, and woken with no lock held.
#[derive(Debug, Default)]
pub(crate) struct Waiting {
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
#[must_use = "whoever waits for an event is woken by `wake`"]
pub(crate) struct Wakes(Vec<Option<Waker>>);

impl Wakes {
    pub(crate) fn wake(self) {
        self.0.into_iter().flatten().for_each(Waker::wake);
    }
}

impl Wakes {
    pub(crate) fn and(&mut self, others: Self) {
        self.0.extend(others.0);
    }
}

impl Waiting {
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

    pub(crate) fn take(&mut self) -> Wakes {
        self.round += 1;
        // About as many readers will wait for the event after the next one.
        let next = Vec::with_capacity(self.slots.len() - self.free.len());
        self.free = Vec::new();
        Wakes(std::mem::replace(&mut self.slots, next))
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
    fn each_is_woken_once_however_often_it_was_polled() {
        let mut waiting = Waiting::default();
        let counts: Vec<_> = (0..3).map(|_| Arc::<Count>::default()).collect();
        let mut tickets = [None, None, None];
        for _ in 0..5 {
            for (count, ticket) in counts.iter().zip(&mut tickets) {
                drop(waiting.wait(ticket, &Waker::from(Arc::clone(count))));
            }
        }
        drop(waiting.forget(tickets[1].take()));
        waiting.take().wake();
        waiting.take().wake();
        let woken: Vec<_> = counts
            .iter()
            .map(|count| count.0.load(Ordering::Relaxed))
            .collect();
        assert_eq!(woken, [1, 0, 1]);
        assert!(
            waiting.forget(tickets[0].take()).is_none(),
            "a ticket of an earlier round must free nobody's slot"
        );
    }

    #[test]
    fn readers_that_come_and_go_take_no_room() {
        let mut waiting = Waiting::default();
        for _ in 0..10_000 {
            let mut ticket = None;
            drop(waiting.wait(&mut ticket, Waker::noop()));
            drop(waiting.forget(ticket));
        }
        assert_eq!((waiting.slots.capacity(), waiting.free.capacity()), (0, 0));
    }

    #[test]
    fn a_slot_is_used_again() {
        let mut waiting = Waiting::default();
        let mut stays = None;
        drop(waiting.wait(&mut stays, Waker::noop()));
        for _ in 0..1_000 {
            let mut ticket = None;
            drop(waiting.wait(&mut ticket, Waker::noop()));
            drop(waiting.forget(ticket));
        }
        assert_eq!(waiting.slots.len(), 2);
    }

    #[test]
    fn the_memory_of_those_who_left_goes_with_the_next_event() {
        let mut waiting = Waiting::default();
        let mut tickets: Vec<_> = (0..10_000).map(|_| None).collect();
        for ticket in &mut tickets {
            drop(waiting.wait(ticket, Waker::noop()));
        }
        for ticket in tickets.drain(10..) {
            drop(waiting.forget(ticket));
        }
        waiting.take().wake();
        assert_eq!(waiting.slots.capacity(), 10, "those who are left come back");
        assert_eq!(waiting.free.capacity(), 0);
    }
}

//! One topic on this node: its ring, its lock, its waiting tasks and its counters.
//!
//! Lock order: `publishing`, then `state`. Wakers are not woken or dropped while one is held, because that may run user code.

use std::fmt;
use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{Notify, watch};
use tokio::time::Instant;

use super::encoded::Encoded;
use super::notice::Reason;
use super::options::TopicOptions;
use super::position::{Position, Tag};
use super::ring::Ring;
use super::waker_list::{TakenWakers, WakerList};

pub(crate) struct Channel {
    name: Arc<str>,
    options: Arc<TopicOptions>,
    /// The number of `TopicRef`s. It grows from zero only while the hub's map is locked.
    pub(super) refs: AtomicUsize,
    state: Mutex<State>,
    /// Held by the memory broker while it takes positions and writes ids, so that it does not have to lock `state` for so long.
    pub(super) publishing: Mutex<()>,
    /// Publishers that wait for slow readers, or for a feed to begin.
    pub(super) publishers: Notify,
}

#[derive(Debug)]
pub(crate) struct State {
    pub(crate) ring: Ring,
    /// The first part of ids. `None` until the topic's feed has begun.
    pub(crate) tag: Option<Tag>,
    /// The epoch of the tag, if there is one.
    pub(crate) epoch: u64,
    /// Whether events may have passed before the feed has begun.
    pub(crate) interrupted: bool,
    pub(crate) waiting: WakerList,
    /// Readers whose clients do not read. They are woken when one of them has lost an event.
    pub(crate) unread: WakerList,
    /// Grows when the ring is restarted. A reader of an earlier generation gets a `reset`.
    pub(crate) generation: u64,
    /// The reason of the last restart.
    pub(crate) restarted: Reason,
    /// The number of subscribers on this node.
    pub(crate) subscribers: usize,
    /// Grows with each follow. A feed with a lower number has ended.
    pub(crate) follow_number: u64,
    /// Made by the first `Presence`. Most topics need none.
    presence: Option<watch::Sender<usize>>,
}

impl Channel {
    pub(super) fn new(name: Arc<str>, options: Arc<TopicOptions>) -> Self {
        Self {
            refs: AtomicUsize::new(0),
            state: Mutex::new(State {
                ring: Ring::new(Position::default(), &options.slow),
                tag: None,
                epoch: 0,
                interrupted: false,
                waiting: WakerList::default(),
                unread: WakerList::default(),
                generation: 0,
                restarted: Reason::Epoch,
                subscribers: 0,
                follow_number: 0,
                presence: None,
            }),
            name,
            options,
            publishing: Mutex::default(),
            publishers: Notify::new(),
        }
    }

    pub(crate) fn name(&self) -> &Arc<str> {
        &self.name
    }

    pub(crate) fn options(&self) -> &TopicOptions {
        &self.options
    }

    /// Ignores the poison of a panic, because no code that the user wrote runs under the lock.
    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds events. The caller wakes the readers when it holds no lock.
    pub(crate) fn append(&self, events: impl IntoIterator<Item = Encoded>) -> TakenWakers {
        self.append_to(&mut self.lock(), events)
    }

    pub(super) fn append_to(
        &self,
        state: &mut State,
        events: impl IntoIterator<Item = Encoded>,
    ) -> TakenWakers {
        let now = Instant::now();
        for event in events {
            state.ring.push(event, now);
        }
        self.trim(state, now);
        let mut wakers = state.waiting.take();
        if state.ring.take_lost() {
            wakers.extend(state.unread.take());
        }
        wakers
    }

    /// Whether these events can be added without dropping an event that a subscriber still needs.
    pub(crate) fn has_room(&self, events: usize, bytes: usize) -> bool {
        let TopicOptions { history, slow } = &*self.options;
        !self.lock().ring.would_lose(
            events,
            bytes,
            history,
            slow.max_buffered_bytes,
            Instant::now(),
        )
    }

    pub(crate) fn trim(&self, state: &mut State, now: Instant) {
        state.ring.trim(
            &self.options.history,
            self.options.slow.max_buffered_bytes,
            now,
        );
    }

    pub(crate) fn subscribers(&self) -> usize {
        self.lock().subscribers
    }

    /// Whether there are neither subscribers nor a history.
    pub(super) fn is_idle(&self) -> bool {
        let state = self.lock();
        state.subscribers == 0 && state.ring.is_empty()
    }

    pub(super) fn watch(&self) -> watch::Receiver<usize> {
        let mut state = self.lock();
        let subscribers = state.subscribers;
        state
            .presence
            .get_or_insert_with(|| watch::Sender::new(subscribers))
            .subscribe()
    }

    /// Updates `presence`. Called after `subscribers` has changed, with no lock held.
    pub(super) fn announce(&self) {
        let Some(presence) = self.lock().presence.clone() else {
            return;
        };
        // The number is read under the lock of the channel, so that the last of two updates is right.
        presence.send_if_modified(|count| {
            let before = std::mem::replace(count, self.subscribers());
            before != *count
        });
    }
}

impl State {
    pub(super) fn set_epoch(&mut self, epoch: u64, topic: &str) {
        self.epoch = epoch;
        self.tag = Some(Tag::new(epoch, topic));
    }

    /// The follow that the broker has not answered yet, if it was not interrupted.
    pub(super) fn unanswered(&self) -> Option<u64> {
        let is_unanswered = self.subscribers > 0 && self.tag.is_none() && !self.interrupted;
        is_unanswered.then_some(self.follow_number)
    }

    /// Restarts the ring after `floor`. Each reader gets a `reset`.
    #[cfg(any(test, feature = "nats", feature = "redis"))]
    pub(super) fn restart(&mut self, floor: Position, reason: Reason) -> TakenWakers {
        self.ring.restart(floor);
        self.generation += 1;
        self.restarted = reason;
        self.waiting.take()
    }
}

impl fmt::Debug for Channel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Channel")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

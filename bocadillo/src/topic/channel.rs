//! One topic on this node: its ring behind a lock, who waits, who is counted.
//!
//! Lock order: `publishing`, then `state`. Neither is held while user code runs: no waker is woken or dropped under them.

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
use super::waiting::{Waiting, Wakes};

pub(crate) struct Channel {
    name: Arc<str>,
    options: Arc<TopicOptions>,
    /// How many `TopicRef`s there are. Grows from zero only under the lock of the hub's map.
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
    /// Whether events may have passed unseen between the first subscriber and the beginning of the feed.
    pub(crate) interrupted: bool,
    pub(crate) waiting: Waiting,
    /// Readers whose clients do not read, to be woken when one of them has lost an event.
    pub(crate) unread: Waiting,
    /// Grows when the ring is restarted; a reader of an earlier one gets a `reset`.
    pub(crate) generation: u64,
    /// Why it was restarted the last time.
    pub(crate) restarted: Reason,
    /// Subscriptions on this node.
    pub(crate) subscribers: usize,
    /// Grows with each follow. A feed with a lower number has ended.
    pub(crate) follow_number: u64,
    /// Made when somebody asks first: most topics are never asked about.
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
                waiting: Waiting::default(),
                unread: Waiting::default(),
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

    /// A panic under the lock could only be one of this module's own, and leaves nothing half done that matters more
    /// than going on.
    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds events, all at once for every reader. The caller wakes, once it holds no lock.
    pub(crate) fn append(&self, events: impl IntoIterator<Item = Encoded>) -> Wakes {
        self.append_to(&mut self.lock(), events)
    }

    pub(super) fn append_to(
        &self,
        state: &mut State,
        events: impl IntoIterator<Item = Encoded>,
    ) -> Wakes {
        let now = Instant::now();
        for event in events {
            state.ring.push(event, now);
        }
        self.trim(state, now);
        let mut wakes = state.waiting.take();
        if state.ring.take_lost() {
            wakes.and(state.unread.take());
        }
        wakes
    }

    /// Whether events of so many bytes can be added without a subscriber's losing one.
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

    /// Whether neither history nor subscribers keep it.
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

    /// Tells those who watch how many there are. After `subscribers` was changed, with no lock held.
    pub(super) fn announce(&self) {
        let Some(presence) = self.lock().presence.clone() else {
            return;
        };
        // The count is read under the lock of the watch: of two that announce at once, the later says what is true.
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

    /// Starts anew after `floor`, with other ids; every reader gets a `reset`.
    #[cfg(any(test, feature = "nats", feature = "redis"))]
    pub(super) fn restart(&mut self, floor: Position, reason: Reason) -> Wakes {
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

//! The broker of [`Hub::redis`](super::Hub::redis): a topic is a Redis stream, and a position is an id of its entries.
//!
//! `hub` has the constructors, `task` holds the connections and follows topics, and `script` has the scripts of Redis.

use std::collections::VecDeque;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;

use super::broker::{BoxFuture, Broker, Published, Replay, TopicFeed};
use super::channel::Channel;
use super::encoded::EventWithoutId;
use super::position::Position;
use super::random;
use super::remote::ConnectionState;
use crate::error::Result;

mod chain;
mod connection;
mod follow;
mod hub;
mod keys;
mod publish;
mod refusals;
mod replay;
mod reply;
mod script;
mod settings;
mod task;
#[cfg(test)]
mod tests;
mod tls;

use follow::Followed;
use keys::Keys;
use publish::Session;
use replay::Replays;
pub use settings::Redis;
use settings::Server;

type State = ConnectionState<Session>;

#[derive(Debug)]
struct RedisBroker {
    shared: Arc<Shared>,
}

/// What the hub and its task share.
struct Shared {
    server: Server,
    keys: Keys,
    /// How long a publish waits for a connection.
    patience: Duration,
    state: watch::Sender<State>,
    changes: Mutex<VecDeque<Change>>,
    /// Notified when a topic is to be followed.
    has_changed: Notify,
    is_running: AtomicBool,
    /// The topics of a task whose runtime was shut down.
    parked: Mutex<Option<Followed>>,
    replays: Replays,
    ended: CancellationToken,
}

enum Change {
    Follow(TopicFeed),
    Unfollow(Arc<str>, u64),
}

impl Broker for RedisBroker {
    fn start(&self) {
        self.shared.start();
    }

    fn follow(&self, feed: TopicFeed) {
        self.shared.changes().push_back(Change::Follow(feed));
        self.shared.has_changed.notify_one();
        self.shared.start();
    }

    fn unfollow(&self, topic: &Arc<str>, following: u64) {
        // The task is not woken for this. Events without a subscriber are dropped.
        self.shared
            .changes()
            .push_back(Change::Unfollow(Arc::clone(topic), following));
    }

    fn publish(
        &self,
        topic: &Arc<Channel>,
        events: Vec<EventWithoutId>,
    ) -> BoxFuture<Result<Published>> {
        let (shared, topic) = (Arc::clone(&self.shared), Arc::clone(topic));
        let history = topic.options().history;
        Box::pin(async move { shared.publish(topic.name(), &history, &events).await })
    }

    fn replay(
        &self,
        topic: &Arc<Channel>,
        after: Option<Position>,
        limit: usize,
    ) -> BoxFuture<Replay> {
        let (shared, topic) = (Arc::clone(&self.shared), Arc::clone(topic));
        let history = topic.options().history;
        Box::pin(async move { shared.replay(topic.name(), &history, after, limit).await })
    }
}

impl Shared {
    fn changes(&self) -> std::sync::MutexGuard<'_, VecDeque<Change>> {
        self.changes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Starts the task if it does not run.
    fn start(self: &Arc<Self>) {
        // Without a runtime, the next use on a runtime starts it.
        let Ok(runtime) = Handle::try_current() else {
            return;
        };
        if self.is_running.swap(true, Ordering::AcqRel) {
            return;
        }
        let followed = self
            .parked
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        let mut running = Running {
            shared: Arc::clone(self),
            followed: followed.unwrap_or_default(),
        };
        runtime.spawn(async move {
            let Running { shared, followed } = &mut running;
            shared
                .ended
                .run_until_cancelled(task::run(shared, followed))
                .await;
        });
    }
}

/// A random epoch. Redis takes it if it has no epoch.
fn candidate() -> u64 {
    // 63 bits, because Redis has signed numbers.
    random::number() >> 1
}

/// The task that runs. If it ends, even by the shutdown of its runtime, another one can start.
struct Running {
    shared: Arc<Shared>,
    followed: Followed,
}

impl Drop for Running {
    fn drop(&mut self) {
        let Self { shared, followed } = self;
        shared.state.send_replace(State::Connecting);
        *shared.parked.lock().unwrap_or_else(PoisonError::into_inner) =
            Some(std::mem::take(followed));
        shared.is_running.store(false, Ordering::Release);
    }
}

impl Drop for RedisBroker {
    fn drop(&mut self) {
        self.shared.ended.cancel();
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match &*self.state.borrow() {
            State::Connecting => "connecting",
            State::Up(_) => "up",
            State::Down(_) => "down",
        };
        f.debug_struct("Shared")
            .field("keys", &self.keys)
            .field("state", &state)
            .finish_non_exhaustive()
    }
}

//! The broker of [`Hub::nats`](super::Hub::nats): a stream of NATS JetStream holds all topics of a hub, with a subject for each topic.

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::task::AbortHandle;

use super::broker::{BoxFuture, Broker, Published, Replay, TopicFeed};
use super::channel::Channel;
use super::encoded::EventWithoutId;
use super::position::Position;
use super::random;
use crate::error::Result;

mod connection;
mod epoch;
mod follow;
mod hub;
mod publish;
mod read;
mod read_limiter;
mod record;
mod refusals;
mod replay;
mod settings;
mod subjects;

use connection::Connection;
pub use settings::Nats;
use settings::{Settings, messages};
use subjects::Subjects;

struct NatsBroker {
    connection: Arc<Connection>,
    /// The task of the connection. `None` until the hub is used on a runtime.
    keeper: Mutex<Option<AbortHandle>>,
    following: Mutex<HashMap<Arc<str>, Following>>,
    /// The random number of this process, and the number of its next message. Together they identify a message.
    process: u64,
    messages: AtomicU64,
}

struct Following {
    feed: TopicFeed,
    /// `None` until the hub is used on a runtime.
    task: Option<AbortHandle>,
    /// The epoch of the feed.
    epoch: watch::Receiver<Option<u64>>,
    told: Option<watch::Sender<Option<u64>>>,
}

impl NatsBroker {
    fn new(settings: Settings) -> Self {
        Self {
            connection: Arc::new(Connection::new(settings)),
            keeper: Mutex::default(),
            following: Mutex::default(),
            process: random::number(),
            messages: AtomicU64::new(0),
        }
    }

    fn following(&self) -> MutexGuard<'_, HashMap<Arc<str>, Following>> {
        self.following
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Starts the tasks that do not run yet, if there is a runtime.
    fn run(&self) {
        let Ok(runtime) = Handle::try_current() else {
            return;
        };
        let mut keeper = self.keeper.lock().unwrap_or_else(PoisonError::into_inner);
        if keeper.as_ref().is_some_and(|keeper| !keeper.is_finished()) {
            return;
        }
        *keeper = Some(
            runtime
                .spawn(Arc::clone(&self.connection).run())
                .abort_handle(),
        );
        drop(keeper);
        self.following()
            .values_mut()
            .for_each(|following| following.start(&self.connection));
    }
}

impl Following {
    fn start(&mut self, connection: &Arc<Connection>) {
        let Ok(runtime) = Handle::try_current() else {
            return;
        };
        if let Some(told) = self.told.take() {
            let task = follow::follow(Arc::clone(connection), self.feed.clone(), told);
            self.task = Some(runtime.spawn(task).abort_handle());
        }
    }
}

impl Drop for Following {
    fn drop(&mut self) {
        if let Some(task) = &self.task {
            task.abort();
        }
    }
}

impl Broker for NatsBroker {
    fn start(&self) {
        self.run();
    }

    fn follow(&self, feed: TopicFeed) {
        self.run();
        let (told, epoch) = watch::channel(None);
        let topic = Arc::clone(feed.topic());
        let mut following = Following {
            feed,
            task: None,
            epoch,
            told: Some(told),
        };
        following.start(&self.connection);
        let mut all = self.following();
        if all
            .get(&topic)
            .is_none_or(|other| other.feed.follow_number() < following.feed.follow_number())
        {
            all.insert(topic, following);
        }
    }

    fn unfollow(&self, topic: &Arc<str>, following: u64) {
        let mut all = self.following();
        if all
            .get(topic)
            .is_some_and(|current| current.feed.follow_number() <= following)
        {
            all.remove(topic);
        }
        if all.len() < all.capacity() / 8 {
            all.shrink_to_fit();
        }
    }

    fn publish(
        &self,
        topic: &Arc<Channel>,
        events: Vec<EventWithoutId>,
    ) -> BoxFuture<Result<Published>> {
        self.run();
        let wait = self.connection.settings.wait;
        let number = self.messages.fetch_add(1, Ordering::Relaxed);
        let id = (!wait.is_zero()).then(|| format!("{:016x}{number:x}", self.process));
        let nonce = self.process.wrapping_add(number);
        let subjects = Subjects::new(&self.connection.settings.stream, topic.name());
        let kept = messages(topic.options().history.max_events);
        Box::pin(publish::publish(
            Arc::clone(&self.connection),
            subjects,
            events,
            id,
            nonce,
            kept,
        ))
    }

    fn replay(
        &self,
        topic: &Arc<Channel>,
        after: Option<Position>,
        limit: usize,
    ) -> BoxFuture<Replay> {
        self.run();
        let kept = messages(topic.options().history.max_events);
        let epoch = self
            .following()
            .get(topic.name())
            .map(|following| following.epoch.clone());
        let subjects = Subjects::new(&self.connection.settings.stream, topic.name());
        let connection = Arc::clone(&self.connection);
        Box::pin(async move {
            // `None` if the topic is no longer followed.
            match epoch {
                Some(epoch) => replay::replay(connection, subjects, epoch, kept, after, limit)
                    .await
                    .unwrap_or(Ok(Vec::new())),
                None => Ok(Vec::new()),
            }
        })
    }
}

impl Drop for NatsBroker {
    fn drop(&mut self) {
        if let Some(keeper) = self
            .keeper
            .get_mut()
            .unwrap_or_else(PoisonError::into_inner)
        {
            keeper.abort();
        }
    }
}

impl fmt::Debug for NatsBroker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NatsBroker")
            .field("stream", &self.connection.settings.stream)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::topic::Hub;

    #[test]
    fn the_memory_of_many_topics_is_freed() {
        let settings = Settings::new(Nats::new("a"), None, &[], std::time::Duration::ZERO).unwrap();
        let broker = Arc::new(NatsBroker::new(settings));
        let hub = Hub::builder().broker(Arc::clone(&broker) as Arc<dyn Broker>);
        let follow = |number: usize| {
            let topic = hub.topic(number.to_string()).unwrap();
            topic.subscribe()
        };
        let all: Vec<_> = (0..2_000).map(follow).collect();
        assert!(broker.following().capacity() >= 2_000);
        drop(all);
        assert_eq!(broker.following().len(), 0);
        assert!(broker.following().capacity() < 100);
    }
}

//! The engine of [`Hub::redis`]: a topic is a Redis stream, an event's position its id there.
//!
//! Here: what the hub asks for. `session` is the task behind it, which holds the connections; `script` is what Redis runs itself.

use std::collections::VecDeque;
use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use redis::RedisError;
use tokio::runtime::Handle;
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;

use super::broker::{BoxFuture, Broker, Published, Replay, TopicFeed};
use super::builder::HubBuilder;
use super::channel::Channel;
use super::encoded::Draft;
use super::history::History;
use super::hub::Hub;
use super::position::Position;
use crate::error::{Error, Kind, Result};

mod chain;
mod follow;
mod keys;
mod line;
mod replays;
mod reply;
mod script;
mod session;
mod settings;
#[cfg(test)]
mod tests;
mod tls;

use follow::Followed;
use keys::Keys;
use line::Line;
use replays::Replays;
pub use settings::Redis;
use settings::Server;

impl Hub {
    /// A hub over Redis Streams, shared by all nodes that are given the same server, database and prefix.
    ///
    /// | URL | connects to |
    /// |---|---|
    /// | `redis://host` | port 6379, database 0 |
    /// | `redis://host:port/database` | that port and database |
    /// | `redis://user:password@host` | as a user of the server's access control list |
    /// | `redis://:password@host` | with the password of `requirepass` |
    /// | `rediss://…` | the same over TLS; [`Redis::root_certificates`] names a private authority |
    /// | `redis+unix:///path`, `unix:///path` | a Unix socket; `?db=3&user=…&pass=…` for the rest |
    ///
    /// Characters with a meaning in URLs are percent-encoded, in passwords too: `p%40ss` is `p@ss`. `?protocol=resp3` chooses the
    /// protocol. The default is RESP2. [`Hub::builder`] leads to all options, [`HubBuilder::redis`] to the hub from there.
    ///
    /// Nothing is connected yet: a node may start before its Redis. The hub connects when it is used first, and again
    /// whenever it has to. It has to be used on a tokio runtime.
    ///
    /// # What it guarantees
    ///
    /// - An id that [`publish`](super::Topic::publish) returns is one that Redis has confirmed. What Redis keeps of
    ///   that through a crash is its own matter: all with `appendfsync always`, up to a second less with `everysec`, nothing without its
    ///   append-only file.
    /// - `publish_all` is all or nothing, with nothing in between: a script.
    /// - While Redis is away streams stay open, and [`publish`](super::Topic::publish) fails: at once when Redis is known to be away
    ///   ([`Error::is_unavailable`]), or after [`HubBuilder::wait_for_broker`]. If the connection is lost after an
    ///   event was sent and before it was confirmed, nobody can tell whether it is there: that is [`Error::is_unconfirmed`]. To publish it again may
    ///   make two of it.
    ///   An event that was not handed to the connection is sent on the next one: a connection that was idle for half a second is pinged
    ///   first, so a server that closes idle connections (`timeout`) costs nothing.
    /// - When Redis is back, each subscription goes on behind the last event that it was sent, with no gap and no duplicate.
    /// - Each event names the one before it, and the hub keeps the last position of each topic. So a missing event is noticed, whatever took it
    ///   away: the limits of the history, `maxmemory`, or a command such as `DEL`, `XDEL` or `XTRIM`. The subscriber gets a `reset`.
    /// - When Redis comes back empty, or with less than a node had seen already, a new epoch begins, on all nodes alike: each subscriber gets one
    ///   `reset`, then what is new. Ids of the old epoch give a `reset`.
    /// - A topic that Redis refuses (its key has another type, or the user may not use it) does not hold other topics up. It is logged once, tried
    ///   again every one to three seconds, and joins when Redis allows it.
    /// - Each node has two connections, one for commands and one on which it waits for events, however many topics and clients there are. The first
    ///   replay opens a third one, for replays alone. Four replays are read at a time, about 64 KiB each; the others wait for their turn.
    /// - A connection is given up when nothing arrives or leaves on it for five seconds while an answer is due, not when an answer takes long.
    ///
    /// # Limits
    ///
    /// Redis 7.0 or later, or what speaks like it. Redis Cluster and Sentinel are not supported: all keys have to be on the one
    /// server that the URL names. If the server's clock goes back, the age of events is wrong by as much.
    ///
    /// The last positions of 100,000 topics are kept, which takes about 10 MB of Redis's memory. With more topics, or when the key is lost,
    /// clients whose events are gone or who never had one get a `reset` that may be needless. If Redis is restored from a backup and no node has
    /// seen what the backup lacks, nobody can tell.
    ///
    /// A node names all topics that have subscribers there each time that it waits: about 2 µs of Redis's time for each. Where there
    /// are many it waits a moment between, to take what has come meanwhile together; with 2,000 topics on one node events take up to
    /// 4 ms longer, and Redis stays free for others.
    ///
    /// # The stored format
    ///
    /// Under the prefix, `bocadillo:` by default ([`HubBuilder::prefix`]):
    ///
    /// | key | type | holds |
    /// |---|---|---|
    /// | `topic:NAME` | stream | the events of a topic |
    /// | `epoch` | stream | the number of the epoch in the field `epoch` of its last entry |
    /// | `places` | hash | the id of the last event of each topic, by the topic's name; under the empty name an id that stands for all other topics |
    /// | `wake:NODE` | stream | nothing; wakes a node's reader, and is gone a minute later |
    ///
    /// An event has these fields:
    ///
    /// | field | holds |
    /// |---|---|
    /// | `event` | its text as it goes over the wire without its id: `event: name`, `data: …`, an empty line, each line ending in LF, a field's colon followed by one space |
    /// | `total` | the sum of the sizes of all events of the topic up to and with it |
    /// | `prev` | the id of the event before it, or what `places` had for the topic |
    /// | `key` | where the topic's policy is to conflate: the key |
    ///
    /// Other programs cannot publish: an entry without a valid `event` and `prev` is passed over with a warning.
    ///
    /// The [`History`]'s limits are kept by Redis: publishing removes what is beyond the count, the bytes (of the
    /// field `event`, which is the event without its id) or the age, and the key goes when its last event is too old, so that nothing is left.
    /// Events of the last ten seconds stay beyond the limits, up to 16 MiB of them, for a node that is a little behind; a
    /// subscriber that begins with the history does not get those, one that comes back with an id does.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// use bocadillo::topic::Hub;
    ///
    /// # async fn run() -> bocadillo::Result<()> {
    /// let hub = Hub::redis("redis://127.0.0.1/")?;
    /// hub.topic("news")?.publish("Lunch is served").await?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    ///
    /// When the URL is not one of Redis. [`Error::is_config`] is true.
    pub fn redis(redis: impl Into<Redis>) -> Result<Self> {
        Self::builder().redis(redis)
    }
}

impl HubBuilder {
    /// A hub over Redis Streams: see [`Hub::redis`].
    ///
    /// # Errors
    ///
    /// When the URL is not one of Redis. [`Error::is_config`] is true.
    ///
    /// # Examples
    ///
    /// ```
    /// use bocadillo::topic::Hub;
    ///
    /// let error = Hub::builder().redis("http://127.0.0.1").unwrap_err();
    /// assert!(error.is_config());
    /// ```
    pub fn redis(self, redis: impl Into<Redis>) -> Result<Hub> {
        let server = Server::try_from(redis.into())?;
        let random = RandomState::new().hash_one(std::process::id());
        let keys = Keys::new(self.prefix.as_deref().unwrap_or("bocadillo:"), random);
        let shared = Shared {
            server,
            keys,
            patience: self.wait_for_broker,
            state: watch::Sender::new(State::Connecting),
            changes: Mutex::default(),
            has_changed: Notify::new(),
            is_running: AtomicBool::new(false),
            parked: Mutex::default(),
            replays: Replays::default(),
            ended: CancellationToken::new(),
        };
        Ok(self.broker(Arc::new(Engine {
            shared: Arc::new(shared),
        })))
    }
}

#[derive(Debug)]
struct Engine {
    shared: Arc<Shared>,
}

/// What the hub and the session share.
struct Shared {
    server: Server,
    keys: Keys,
    /// How long a publish waits for Redis to come back.
    patience: Duration,
    state: watch::Sender<State>,
    changes: Mutex<VecDeque<Change>>,
    /// Somebody came to follow a topic.
    has_changed: Notify,
    is_running: AtomicBool,
    /// The topics of a session whose runtime was shut down.
    parked: Mutex<Option<Followed>>,
    replays: Replays,
    ended: CancellationToken,
}

#[derive(Clone)]
enum State {
    /// For the first time, or at once after the connection was lost.
    Connecting,
    Up(Link),
    Down(Arc<str>),
}

/// A working connection for commands, once all topics that are followed have been brought to its epoch.
#[derive(Clone)]
struct Link {
    commands: Line,
    epoch: u64,
    /// A command found the connection broken.
    is_broken: Arc<Notify>,
}

enum Change {
    Follow(TopicFeed),
    Unfollow(Arc<str>, u64),
}

impl Broker for Engine {
    fn start(&self) {
        self.shared.start();
    }

    fn follow(&self, feed: TopicFeed) {
        self.shared.changes().push_back(Change::Follow(feed));
        self.shared.has_changed.notify_one();
        self.shared.start();
    }

    fn unfollow(&self, topic: &Arc<str>, following: u64) {
        // Nobody has to be woken for it: what is read for nobody is let go of.
        self.shared
            .changes()
            .push_back(Change::Unfollow(Arc::clone(topic), following));
    }

    fn publish(&self, topic: &Arc<Channel>, drafts: Vec<Draft>) -> BoxFuture<Result<Published>> {
        let (shared, topic) = (Arc::clone(&self.shared), Arc::clone(topic));
        let history = topic.options().history;
        Box::pin(async move { shared.publish(topic.name(), &history, &drafts).await })
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

    /// Sees to it that the session runs.
    fn start(self: &Arc<Self>) {
        // Without a runtime it begins with the next use that has one.
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
                .run_until_cancelled(session::run(shared, followed))
                .await;
        });
    }

    async fn publish(
        self: &Arc<Self>,
        topic: &str,
        history: &History,
        drafts: &[Draft],
    ) -> Result<Published> {
        self.start();
        let link = self.checked_link().await?;
        let mut call = script::PUBLISH.prepare_invoke();
        call.key(&self.keys.epoch)
            .key(&self.keys.places)
            .key(self.keys.topic(topic))
            .arg(candidate())
            .arg(topic);
        keys::limits(history, &mut call);
        keys::retention(history, &mut call);
        for draft in drafts {
            let key = draft
                .key
                .as_ref()
                .map_or_else(String::new, |key| format!("={key}"));
            call.arg(draft.payload()).arg(key);
        }
        let mut connection = link.commands.connection.clone();
        let answer = link
            .commands
            .answer(Duration::ZERO, call.invoke_async(&mut connection))
            .await
            .map_err(|error| link.refused(error))?;
        let published = (|| {
            let [epoch, ids] = reply::exactly(answer)?;
            let positions: Vec<_> = reply::items(ids)?
                .iter()
                .map(reply::position)
                .collect::<Option<_>>()?;
            let is_whole = positions.len() == drafts.len();
            is_whole.then_some(Published {
                epoch: reply::number(&epoch)?,
                positions,
            })
        })();
        published.ok_or_else(|| {
            Error::new(
                Kind::Unconfirmed,
                "the answer of Redis is not what its script gives",
            )
        })
    }

    /// A connection for commands that works, as far as can be told before a command is sent.
    async fn checked_link(&self) -> Result<Link> {
        loop {
            let link = self.link().await?;
            match link.commands.check().await {
                Ok(()) => return Ok(link),
                // Redis has answered: the command will tell.
                Err(error) if session::is_refusal(&error) => return Ok(link),
                Err(error) => {
                    tracing::debug!("a publish waits for a new connection: {error}");
                    self.state.send_if_modified(|state| {
                        let is_same = matches!(
                            state, State::Up(up) if up.commands.is_same(&link.commands)
                        );
                        if is_same {
                            *state = State::Connecting;
                        }
                        is_same
                    });
                    link.is_broken.notify_one();
                }
            }
        }
    }

    /// The connection for commands, as soon as there is one.
    async fn link(&self) -> Result<Link> {
        let mut state = self.state.subscribe();
        let unavailable = |why: &str| Error::new(Kind::Unavailable, why);
        // An attempt that is under way ends by itself.
        let known = state
            .wait_for(|state| !matches!(state, State::Connecting))
            .await;
        let known = known
            .map(|state| state.clone())
            .map_err(|_| unavailable("the hub has ended"))?;
        let reason = match known {
            State::Up(link) => return Ok(link),
            State::Down(reason) => reason,
            State::Connecting => Arc::from("it is not connected yet"),
        };
        if self.patience.is_zero() {
            return Err(unavailable(&reason));
        }
        let up = tokio::time::timeout(self.patience, State::up(&mut state)).await;
        up.ok().flatten().ok_or_else(|| unavailable(&reason))
    }

    /// A call that reads a page of a topic.
    fn page<'a>(
        &self,
        topic: &str,
        history: &History,
        after: Option<Position>,
        limit: usize,
    ) -> redis::ScriptInvocation<'a> {
        let mut call = script::PAGE.prepare_invoke();
        call.key(&self.keys.epoch)
            .key(&self.keys.places)
            .key(self.keys.topic(topic))
            .arg(candidate())
            .arg(topic)
            .arg(after.map(keys::text).unwrap_or_default());
        keys::limits(history, &mut call);
        call.arg(limit);
        call
    }
}

impl State {
    /// The connection, once there is one. `None` when there will be none any more.
    async fn up(state: &mut watch::Receiver<Self>) -> Option<Link> {
        loop {
            if let Self::Up(link) = &*state.borrow_and_update() {
                return Some(link.clone());
            }
            state.changed().await.ok()?;
        }
    }
}

impl Link {
    /// What an error of a command that was to publish means.
    fn refused(&self, error: RedisError) -> Error {
        use redis::ServerErrorKind::{BusyLoading, MasterDown, ReadOnly};
        match error.kind() {
            redis::ErrorKind::Server(BusyLoading | MasterDown | ReadOnly) => {
                self.is_broken.notify_one();
                Error::new(Kind::Unavailable, error)
            }
            _ if session::is_refusal(&error) => Error::new(Kind::Refused, error),
            _ => {
                self.is_broken.notify_one();
                Error::new(Kind::Unconfirmed, error)
            }
        }
    }
}

/// An epoch for the case that there is none.
fn candidate() -> u64 {
    // The standard library's hasher is keyed by the system's random numbers. 63 bits: Redis counts with signs.
    RandomState::new().hash_one("epoch") >> 1
}

/// A session that runs. Whatever ends it, a runtime's shutdown too, lets another one begin.
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

impl Drop for Engine {
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

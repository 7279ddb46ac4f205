//! The functions that make a hub over Redis, and what it guarantees.

use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex};

use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;

use super::super::builder::HubBuilder;
use super::super::hub::Hub;
use super::super::random;
use super::keys::Keys;
use super::replay::Replays;
use super::settings::Server;
use super::{Redis, RedisBroker, Shared, State};
use crate::error::Result;

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
    /// - An id that [`publish`](crate::topic::Topic::publish) returns is one that Redis has confirmed. What Redis keeps of
    ///   that through a crash is its own matter: all with `appendfsync always`, up to a second less with `everysec`, nothing without its
    ///   append-only file.
    /// - `publish_all` is all or nothing, with nothing in between: a script.
    /// - While Redis is away streams stay open, and [`publish`](crate::topic::Topic::publish) fails: at once when Redis is known to be away
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
        let keys = Keys::new(
            self.prefix.as_deref().unwrap_or("bocadillo:"),
            random::number(),
        );
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
        Ok(self.broker(Arc::new(RedisBroker {
            shared: Arc::new(shared),
        })))
    }
}

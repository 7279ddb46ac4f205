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
    /// A hub over Redis Streams. Nodes with the same server, database and prefix share their topics.
    ///
    /// | URL | connects to |
    /// |---|---|
    /// | `redis://host` | port 6379, database 0 |
    /// | `redis://host:port/database` | that port and database |
    /// | `redis://user:password@host` | as a user of the server's access control list |
    /// | `redis://:password@host` | with the password of `requirepass` |
    /// | `rediss://…` | the same over TLS; for a private authority see [`Redis::root_certificates`] |
    /// | `redis+unix:///path`, `unix:///path` | a Unix socket, with the options `?db=3&user=…&pass=…` |
    ///
    /// Percent-encode characters that have a meaning in URLs, in passwords too: write `p%40ss` for `p@ss`. `?protocol=resp3` sets
    /// the protocol; the default is RESP2. For other options use [`Hub::builder`] and [`HubBuilder::redis`].
    ///
    /// The function does not connect, so a node may start before its Redis. The hub connects when it is first used, and
    /// reconnects by itself. Use it on a tokio runtime.
    ///
    /// # Guarantees
    ///
    /// - When [`publish`](crate::topic::Topic::publish) returns an id, Redis has confirmed the event. Whether the event survives a crash
    ///   of Redis depends on its configuration: with `appendfsync always` all events survive, with `everysec` up to a
    ///   second is lost, without the append-only file all events are lost.
    /// - `publish_all` publishes all events or none, with no other event between them. It is a script.
    /// - While Redis is away, streams stay open, and `publish` fails with [`Error::is_unavailable`](crate::Error::is_unavailable): at
    ///   once, or after [`HubBuilder::wait_for_broker`].
    /// - If the connection is lost after an event was sent and before Redis confirmed it, `publish` fails with
    ///   [`Error::is_unconfirmed`](crate::Error::is_unconfirmed). The event may have been published or not. If you publish it again, there may
    ///   be two of it.
    /// - If the connection is lost before an event was sent, the event is sent on the next connection. A connection that was
    ///   idle for half a second is pinged first. So it does no harm if the server closes idle connections (`timeout`).
    /// - When Redis is back, each subscription continues behind its last event, with no gap and no duplicate.
    /// - Each event names the event before it, and the hub stores the last position of each topic. So a missing event is
    ///   noticed, whatever removed it: the limits of the history, `maxmemory`, or a command such as `DEL`, `XDEL` or `XTRIM`.
    ///   The subscriber gets a `reset`.
    /// - If Redis comes back without its data, or with fewer events than a node had seen, a new epoch begins on all nodes. Each subscriber
    ///   gets one `reset`, then the new events. Ids of the old epoch give a `reset`.
    /// - If Redis refuses a topic, other topics are not affected. Redis refuses a topic if its key has another type, or the user may not
    ///   use the key. The hub logs it once, tries again every one to three seconds, and continues when Redis allows it.
    /// - If Redis refuses to publish, or refuses the hub as a whole (a wrong password, no memory), `publish` fails with
    ///   [`Error::is_refused`](crate::Error::is_refused).
    /// - Each node has two connections, for any number of topics and clients. The first replay opens a third connection for replays. Four
    ///   replays read at the same time, about 64 KiB each. Other replays wait.
    /// - A connection is closed if no byte arrives or leaves for five seconds while the hub waits for an answer. A slow answer is not a
    ///   reason to close it.
    ///
    /// # Limits
    ///
    /// Redis 7.0 or later, or a compatible server. Redis Cluster and Sentinel are not supported: all keys must be on the
    /// server of the URL. If the clock of the server is set back, the age of events is wrong by the same time.
    ///
    /// The hub stores the last positions of 100,000 topics, which takes about 10 MB of Redis's memory. With more topics, or if that
    /// key is lost, a client may get a `reset` that is not necessary: a client whose events are no longer in the history, or a client that has not
    /// received an event. If Redis is restored from a backup, and no node has seen the events that the backup lacks, the
    /// loss is not noticed.
    ///
    /// Each time a node waits for events, it names all topics with subscribers on it. This takes about 2 µs of Redis's time
    /// for each topic. With many topics the node pauses between two waits, to receive several events together. With 2,000 topics on one
    /// node, events take up to 4 ms longer.
    ///
    /// # Stored format
    ///
    /// The default of the prefix is `bocadillo:` ([`HubBuilder::prefix`]). Below it there are these keys:
    ///
    /// | key | type | content |
    /// |---|---|---|
    /// | `topic:NAME` | stream | the events of a topic |
    /// | `epoch` | stream | the number of the epoch, in the field `epoch` of the last entry |
    /// | `positions` | hash | the id of the last event of each topic, by the name of the topic; the empty name has an id for all other topics |
    /// | `wake:NODE` | stream | nothing; it wakes the reader of a node, and expires after a minute |
    ///
    /// An event has these fields:
    ///
    /// | field | content |
    /// |---|---|
    /// | `event` | the encoded event without its id: `event: name`, `data: …`, an empty line; each line ends in LF, and each colon is followed by one space |
    /// | `total` | the sum of the sizes of all events of the topic, up to this event |
    /// | `prev` | the id of the event before it, or the topic's id in `positions` |
    /// | `key` | the key, if the topic conflates |
    ///
    /// Other programs cannot publish. An entry without a valid `event` and `prev` is skipped with a warning.
    ///
    /// Redis enforces the limits of the [`History`](crate::topic::History). A publish removes events that exceed the number, the bytes (of the field
    /// `event`) or the age. The key expires when its last event is too old, so nothing is left. For nodes that are a
    /// little behind, events of the last ten seconds are kept beyond the limits, up to 16 MiB. A subscriber that begins with the history does not
    /// get them; a client that reconnects with an id does.
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
    /// When the URL is not a URL of Redis: [`Error::is_config`](crate::Error::is_config).
    pub fn redis(redis: impl Into<Redis>) -> Result<Self> {
        Self::builder().redis(redis)
    }
}

impl HubBuilder {
    /// A hub over Redis Streams. See [`Hub::redis`].
    ///
    /// # Errors
    ///
    /// When the URL is not a URL of Redis: [`Error::is_config`](crate::Error::is_config).
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

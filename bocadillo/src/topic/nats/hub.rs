//! The functions that make a hub over NATS, and what it guarantees.

use std::sync::Arc;

use super::super::builder::HubBuilder;
use super::super::hub::Hub;
use super::settings::Settings;
use super::{Nats, NatsBroker};
use crate::error::Result;

impl Hub {
    /// A hub on NATS JetStream, for several nodes.
    ///
    /// All nodes that are given servers of the same account and the same [prefix](HubBuilder::prefix) share their topics. Nothing is
    /// connected yet: a node may start before its broker. The hub connects when it is used first, and again whenever it
    /// has to. It has to be used on a tokio runtime. [`HubBuilder::nats`] is the same with other options.
    ///
    /// # What it guarantees
    ///
    /// - An id that [`publish`](crate::topic::Topic::publish) returns is one that JetStream has confirmed: it is in its files, on most of the
    ///   [`replicas`](Nats::replicas). The server writes them out to the disk every two minutes unless it is told otherwise
    ///   (`sync_interval`): with one replica a machine's sudden end may cost what came since, the server's does not.
    /// - `publish_all` is all or nothing, with nothing in between: one message holds all of it. It has to fit into what the server takes as one,
    ///   1 MiB unless it is told otherwise.
    /// - While NATS is away streams stay open, and [`publish`](crate::topic::Topic::publish) fails: at once when NATS is known to be away
    ///   ([`Error::is_unavailable`](crate::Error::is_unavailable)), or after [`HubBuilder::wait_for_broker`]. If the connection
    ///   is lost after an event was sent and before it was confirmed, nobody can tell whether it is there: that is
    ///   [`Error::is_unconfirmed`](crate::Error::is_unconfirmed). With a time to wait the hub tries again by itself, and JetStream knows by the
    ///   message's id what it has already: each event is there once, unless it takes longer than
    ///   two minutes, or than the history's age.
    /// - What the server does not allow the user is logged as a warning with its subject. A publish that is not allowed fails at
    ///   once, and is not there. A subscription that is not allowed is tried again each second.
    /// - When NATS is back, each subscription goes on behind the last event that it was sent, with no gap and no duplicate.
    /// - When it comes back empty, or with less than a node had seen already, a new epoch begins, on all nodes alike: each subscriber
    ///   gets one `reset`, then what is new. Ids of the old epoch give a `reset`.
    /// - Each node has one connection, however many topics and clients there are, and is sent the events of those topics that have subscribers
    ///   there.
    ///
    /// # Limits
    ///
    /// NATS 2.9 or later, with JetStream on.
    ///
    /// The connection has to carry the largest message, a third longer, within about ten seconds: NATS does not send a part of a message, and
    /// the server cuts off who takes longer (`write_deadline`).
    ///
    /// 64 publishes are under way at once on a node; more wait for these.
    ///
    /// JetStream limits a stream, not a subject of it, but for the number of messages. So the [`History`](crate::topic::History) is kept in this way:
    ///
    /// | limit | of a topic | in JetStream |
    /// |---|---|---|
    /// | events | as set; those of one `publish_all` count as one | one message more, by which those are known who have missed nothing but the history: `max_msgs_per_subject` for the topic that has the most; what others have beyond goes half a second after a publish |
    /// | age | the longest of any topic | `max_age` |
    /// | bytes | not kept | [`Nats::max_bytes`] limits all topics together |
    ///
    /// The node that starts last sets the limits. What is beyond a topic's history may be sent to who comes back meanwhile; it
    /// is never passed over in silence.
    ///
    /// A client that comes back gets all that it missed only where that is proven; otherwise it gets one `reset`. The proof is the
    /// event of its id: as long as that is in the stream, JetStream has removed nothing behind it by number, age, bytes or a purge.
    /// So these give a `reset` also where nothing was missed:
    ///
    /// - The event of the id is older than the history's age. Have an age that is longer than your topics are quiet.
    /// - The id is from before the first event of a topic, and the stream has removed a message of any topic since.
    ///
    /// A single message that is deleted by hand (`nats stream rmm`) is noticed if the next message names it as the one before
    /// (`Bocadillo-Before`). A publisher knows that one if it published it, or follows the topic. Messages of other programs, and
    /// messages that are published at the same time, may not name it.
    ///
    /// # The stored format
    ///
    /// One stream, `bocadillo` unless there is another [prefix](HubBuilder::prefix), with a subject for each topic:
    ///
    /// | subject | holds |
    /// |---|---|
    /// | `bocadillo.events.TOPIC` | the stream's messages |
    /// | `bocadillo.live.TOPIC` | the same, as the stream repeats them (`republish`) to the nodes that follow the topic |
    ///
    /// `TOPIC` is the topic's name, in which all bytes but ASCII letters, digits and `-_/:@=+~` are written `%XX`. A message is one event, or
    /// all events of a `publish_all`, as they go over the wire without their ids (`event: name`, `data: …`, an empty line, each
    /// line ending in LF, a field's colon followed by one space). Its headers are
    ///
    /// | header | |
    /// |---|---|
    /// | `Bocadillo-Keys` | where the topic's policy is to conflate: for each event `=` and its key, or nothing, with commas in between; escaped as topics are |
    /// | `Bocadillo-Epoch` | the epoch in which it was meant to be published; may be left out |
    /// | `Bocadillo-Nonce` | a number that no other message has; may be left out |
    /// | `Bocadillo-Before` | the sequence of an earlier message of the topic, the newest that the publisher knew; may be left out |
    /// | `Nats-Msg-Id` | where [`HubBuilder::wait_for_broker`] was given |
    ///
    /// A message of another program that is not of this form is passed over with a warning. To `bocadillo.live.` nobody but the
    /// stream may publish. The epoch is made of the stream's time of
    /// creation and of a number in its description.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// use bocadillo::topic::Hub;
    ///
    /// # async fn run() -> bocadillo::Result<()> {
    /// let hub = Hub::nats("nats://127.0.0.1:4222")?;
    /// hub.topic("news")?.publish("Lunch is served").await?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    ///
    /// When a URL is not one of NATS. [`Error::is_config`](crate::Error::is_config) is true.
    pub fn nats(nats: impl Into<Nats>) -> Result<Self> {
        Self::builder().nats(nats)
    }
}

impl HubBuilder {
    /// A hub on NATS JetStream: see [`Hub::nats`].
    ///
    /// # Errors
    ///
    /// When a URL is not one of NATS, or the [`prefix`](Self::prefix) cannot be the name of a stream.
    /// [`Error::is_config`](crate::Error::is_config) is true.
    ///
    /// # Examples
    ///
    /// ```
    /// use bocadillo::topic::Hub;
    ///
    /// let error = Hub::builder().nats("http://127.0.0.1").unwrap_err();
    /// assert!(error.is_config());
    /// ```
    pub fn nats(mut self, nats: impl Into<Nats>) -> Result<Hub> {
        let histories = self.histories();
        let settings = Settings::new(
            nats.into(),
            self.prefix.as_deref(),
            &histories,
            self.wait_for_broker,
        )?;
        Ok(self.broker(Arc::new(NatsBroker::new(settings))))
    }
}

//! The functions that make a hub over NATS, and what it guarantees.

use std::sync::Arc;

use super::super::builder::HubBuilder;
use super::super::hub::Hub;
use super::settings::Settings;
use super::{Nats, NatsBroker};
use crate::error::Result;

impl Hub {
    /// A hub over NATS JetStream. Nodes with servers of the same account and the same [prefix](HubBuilder::prefix) share their
    /// topics.
    ///
    /// The function does not connect, so a node may start before its broker. The hub connects when it is first used, and
    /// reconnects by itself. Use it on a tokio runtime. For other options use [`Hub::builder`] and [`HubBuilder::nats`].
    /// # Guarantees
    ///
    /// - When [`publish`](crate::topic::Topic::publish) returns an id, JetStream has confirmed the event: it is in the files of most of
    ///   the [`replicas`](Nats::replicas). By default the server writes its files to the disk every two minutes (`sync_interval`). With one
    ///   replica, a crash of the machine may lose events of that time. A crash of the server does not.
    /// - `publish_all` publishes all events or none, with no other event between them. It is one message, so it has to fit
    ///   into the server's limit for a message, which is 1 MiB by default.
    /// - While NATS is away, streams stay open, and `publish` fails with [`Error::is_unavailable`](crate::Error::is_unavailable): at
    ///   once, or after [`HubBuilder::wait_for_broker`].
    /// - If the connection is lost after an event was sent and before JetStream confirmed it, `publish` fails with
    ///   [`Error::is_unconfirmed`](crate::Error::is_unconfirmed). The event may have been published or not. With
    ///   `wait_for_broker`, the hub sends it again. JetStream recognises the message by its id, so the event is there once, unless
    ///   this takes longer than two minutes or than the age of the history.
    /// - If the user lacks a permission, the hub logs a warning with the subject. A publish then fails with
    ///   [`Error::is_refused`](crate::Error::is_refused), and nothing is published. A subscription is tried again each second.
    /// - If NATS refuses the hub as a whole (wrong credentials, a stream of another program), `publish` fails with
    ///   [`Error::is_refused`](crate::Error::is_refused).
    /// - When NATS is back, each subscription continues behind its last event, with no gap and no duplicate.
    /// - If NATS comes back without its data, or with fewer events than a node had seen, a new epoch begins on all nodes. Each subscriber
    ///   gets one `reset`, then the new events. Ids of the old epoch give a `reset`.
    /// - Each node has one connection, for any number of topics and clients. It receives the events of the topics that have
    ///   subscribers on the node.
    ///
    /// # Limits
    ///
    /// NATS 2.9 or later, with JetStream on.
    ///
    /// The connection has to carry the largest message, and a third of its size more, within about ten seconds. NATS does not send parts of a
    /// message, and the server closes connections that take longer (`write_deadline`).
    ///
    /// A node publishes 64 messages at the same time. Other publishes wait.
    ///
    /// JetStream has limits for the whole stream. Only the number of messages can be limited for each subject. So the limits of the
    /// [`History`](crate::topic::History) mean the following:
    ///
    /// | limit | of a topic | in JetStream |
    /// |---|---|---|
    /// | events | as set; the events of one `publish_all` count as one | one message more, to recognise clients that have missed nothing: `max_msgs_per_subject`, from the topic with the largest history; in other topics the hub removes the surplus half a second after a publish |
    /// | age | the longest age of all topics | `max_age` |
    /// | bytes | ignored | [`Nats::max_bytes`] limits all topics together |
    ///
    /// The node that starts last sets the limits. A client that reconnects may get events that exceed the history of its topic.
    ///
    /// A client that reconnects gets the events that it missed only if the hub can prove that they are complete. Otherwise it gets one `reset`.
    /// The proof is the event of the client's id: while that event is in the stream, JetStream has not removed a later
    /// one by number, age, bytes or a purge. So in these cases a client gets a `reset` although it missed nothing:
    ///
    /// - The event of the id is older than the age of the history. Set an age that is longer than the quiet times of your topics.
    /// - The id is from before the first event of a topic, and the stream has removed a message of any topic since then.
    ///
    /// If somebody deletes a single message (`nats stream rmm`), the loss is noticed if the next message names the deleted one as the
    /// message before it (`Bocadillo-Before`). A publisher knows that message if it published it, or follows the topic. Messages of
    /// other programs, and messages that are published at the same time, may not name it.
    ///
    /// # Stored format
    ///
    /// One stream with the name of the [prefix](HubBuilder::prefix), which is `bocadillo` by default. Each topic has two subjects:
    ///
    /// | subject | content |
    /// |---|---|
    /// | `bocadillo.events.TOPIC` | the messages of the stream |
    /// | `bocadillo.live.TOPIC` | the same messages, which the stream repeats (`republish`) for nodes that follow the topic |
    ///
    /// `TOPIC` is the name of the topic. All bytes except ASCII letters, digits and `-_/:@=+~` are written as `%XX`. A message is one
    /// event, or all events of a `publish_all`: encoded, without their ids (`event: name`, `data: …`, an empty line; each line
    /// ends in LF, and each colon is followed by one space). Its headers are:
    ///
    /// | header | content |
    /// |---|---|
    /// | `Bocadillo-Keys` | if the topic conflates: for each event `=` and its key, or nothing, separated by commas, and escaped as topics are |
    /// | `Bocadillo-Epoch` | the epoch for which it was published; optional |
    /// | `Bocadillo-Nonce` | a number that no other message has; optional |
    /// | `Bocadillo-Before` | the sequence of an earlier message of the topic, the newest that the publisher knew; optional |
    /// | `Nats-Msg-Id` | with [`HubBuilder::wait_for_broker`] |
    ///
    /// A message of another form is skipped with a warning. Other programs must not publish to `bocadillo.live.`. The
    /// epoch is made of the creation time of the stream and a number in its description.
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
    /// When a URL is not a URL of NATS, or when the [prefix](HubBuilder::prefix) cannot be the name of a stream:
    /// [`Error::is_config`](crate::Error::is_config).
    pub fn nats(nats: impl Into<Nats>) -> Result<Self> {
        Self::builder().nats(nats)
    }
}

impl HubBuilder {
    /// A hub over NATS JetStream. See [`Hub::nats`].
    ///
    /// # Errors
    ///
    /// As [`Hub::nats`].
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

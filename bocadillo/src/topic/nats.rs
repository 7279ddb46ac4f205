//! The engine of [`Hub::nats`](super::Hub::nats): a stream of NATS JetStream holds all topics of a hub, a subject for each.

mod follow;
mod life;
mod link;
mod pace;
mod publish;
mod read;
mod record;
mod refusals;
mod settings;
mod subjects;

use std::collections::HashMap;
use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::task::AbortHandle;

use super::broker::{BoxFuture, Broker, Published, Replay, TopicFeed};
use super::builder::HubBuilder;
use super::channel::Channel;
use super::encoded::Draft;
use super::hub::Hub;
use super::position::Position;
use crate::error::Result;
use link::{Link, State};
use read::Wanted;
use settings::{Settings, messages};
use subjects::Subjects;

/// Where a NATS server is, and how its stream is to be: for [`Hub::nats`](super::Hub::nats).
///
/// # Examples
///
/// ```
/// use bocadillo::topic::{Hub, Nats};
///
/// let nats = Nats::new("nats://user:password@a:4222,nats://user:password@b:4222").replicas(3);
/// let hub = Hub::nats(nats)?;
/// # Ok::<(), bocadillo::Error>(())
/// ```
#[derive(Clone)]
pub struct Nats {
    servers: String,
    replicas: usize,
    max_bytes: Option<u64>,
    root_certificates: Option<PathBuf>,
}

impl Nats {
    /// The server at this URL, as `nats://host:4222` or `tls://host:4222`. Without a scheme it is `nats://`; the default port is 4222.
    ///
    /// Put `user:password@` or `token@` in front of the host if the server asks for it. Write reserved characters of them as `%XX`:
    /// `,` is `%2C`, `@` is `%40`.
    ///
    /// Name several servers of one cluster with commas in between. They share their users, so two different credentials are an
    /// error; those of one URL are used for all.
    ///
    /// # Examples
    ///
    /// ```
    /// let nats = bocadillo::topic::Nats::new("tls://token@nats.example:4222");
    /// ```
    #[must_use]
    pub fn new(servers: impl Into<String>) -> Self {
        Self {
            servers: servers.into(),
            replicas: 1,
            max_bytes: None,
            root_certificates: None,
        }
    }

    /// A file with the certificates (PEM) of the authorities that may sign the server's certificate. The default is the system's
    /// authorities; with a file they are not used.
    ///
    /// # Examples
    ///
    /// ```
    /// let nats = bocadillo::topic::Nats::new("tls://nats.example").root_certificates("/etc/nats/ca.pem");
    /// ```
    #[must_use]
    pub fn root_certificates(mut self, file: impl Into<PathBuf>) -> Self {
        self.root_certificates = Some(file.into());
        self
    }

    /// On how many servers of a cluster the stream is kept. One unless you say otherwise.
    ///
    /// # Examples
    ///
    /// ```
    /// let nats = bocadillo::topic::Nats::new("nats://a:4222,nats://b:4222,nats://c:4222").replicas(3);
    /// ```
    #[must_use]
    pub fn replicas(mut self, servers: usize) -> Self {
        self.replicas = servers;
        self
    }

    /// How many bytes the stream has at most, of all topics together: the oldest events go first. No limit unless you say so.
    ///
    /// # Examples
    ///
    /// ```
    /// let nats = bocadillo::topic::Nats::new("nats://127.0.0.1:4222").max_bytes(1024 * 1024 * 1024);
    /// ```
    #[must_use]
    pub fn max_bytes(mut self, bytes: u64) -> Self {
        self.max_bytes = Some(bytes);
        self
    }
}

impl From<&str> for Nats {
    fn from(servers: &str) -> Self {
        Self::new(servers)
    }
}

impl From<String> for Nats {
    fn from(servers: String) -> Self {
        Self::new(servers)
    }
}

/// Not derived: the URL may have a password.
impl fmt::Debug for Nats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            servers: _,
            replicas,
            max_bytes,
            root_certificates,
        } = self;
        f.debug_struct("Nats")
            .field("replicas", replicas)
            .field("max_bytes", max_bytes)
            .field("root_certificates", root_certificates)
            .finish_non_exhaustive()
    }
}

impl Hub {
    /// A hub on NATS JetStream, for several nodes.
    ///
    /// All nodes that are given servers of the same account and the same [prefix](HubBuilder::prefix) share their topics. Nothing is
    /// connected yet: a node may start before its broker. The hub connects when it is used first, and again whenever it
    /// has to. It has to be used on a tokio runtime. [`HubBuilder::nats`] is the same with other options.
    ///
    /// # What it guarantees
    ///
    /// - An id that [`publish`](super::Topic::publish) returns is one that JetStream has confirmed: it is in its files, on most of the
    ///   [`replicas`](Nats::replicas). The server writes them out to the disk every two minutes unless it is told otherwise
    ///   (`sync_interval`): with one replica a machine's sudden end may cost what came since, the server's does not.
    /// - `publish_all` is all or nothing, with nothing in between: one message holds all of it. It has to fit into what the server takes as one,
    ///   1 MiB unless it is told otherwise.
    /// - While NATS is away streams stay open, and [`publish`](super::Topic::publish) fails: at once when NATS is known to be away
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
    /// The link has to carry the largest message, a third longer, within about ten seconds: NATS does not send a part of a message, and
    /// the server cuts off who takes longer (`write_deadline`).
    ///
    /// 64 publishes are under way at once on a node; more wait for these.
    ///
    /// JetStream limits a stream, not a subject of it, but for the number of messages. So the [`History`](super::History) is kept in this way:
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
        Ok(self.broker(Arc::new(JetStream::new(settings))))
    }
}

struct JetStream {
    link: Arc<Link>,
    /// What keeps the connection, once there is a runtime for it.
    keeper: Mutex<Option<AbortHandle>>,
    following: Mutex<HashMap<Arc<str>, Following>>,
    /// Tells the messages of this process from others', and then each from the other.
    process: u64,
    messages: AtomicU64,
}

struct Following {
    feed: TopicFeed,
    /// `None` until there is a runtime for it.
    task: Option<AbortHandle>,
    /// The epoch in which the feed stands.
    epoch: watch::Receiver<Option<u64>>,
    told: Option<watch::Sender<Option<u64>>>,
}

impl JetStream {
    fn new(settings: Settings) -> Self {
        Self {
            link: Arc::new(Link::new(settings)),
            keeper: Mutex::default(),
            following: Mutex::default(),
            // The standard library's hasher is keyed by the system's random numbers.
            process: RandomState::new().hash_one("bocadillo"),
            messages: AtomicU64::new(0),
        }
    }

    fn following(&self) -> MutexGuard<'_, HashMap<Arc<str>, Following>> {
        self.following
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Starts what has to run, where it does not run yet and there is a runtime.
    fn run(&self) {
        let Ok(runtime) = Handle::try_current() else {
            return;
        };
        let mut keeper = self.keeper.lock().unwrap_or_else(PoisonError::into_inner);
        if keeper.as_ref().is_some_and(|keeper| !keeper.is_finished()) {
            return;
        }
        *keeper = Some(runtime.spawn(Arc::clone(&self.link).run()).abort_handle());
        drop(keeper);
        self.following()
            .values_mut()
            .for_each(|following| following.start(&self.link));
    }
}

impl Following {
    fn start(&mut self, link: &Arc<Link>) {
        let Ok(runtime) = Handle::try_current() else {
            return;
        };
        if let Some(told) = self.told.take() {
            let task = follow::follow(Arc::clone(link), self.feed.clone(), told);
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

impl Broker for JetStream {
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
        following.start(&self.link);
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

    fn publish(&self, topic: &Arc<Channel>, drafts: Vec<Draft>) -> BoxFuture<Result<Published>> {
        self.run();
        let wait = self.link.settings.wait;
        let number = self.messages.fetch_add(1, Ordering::Relaxed);
        let id = (!wait.is_zero()).then(|| format!("{:016x}{number:x}", self.process));
        let nonce = self.process.wrapping_add(number);
        let subjects = Subjects::new(&self.link.settings.stream, topic.name());
        let kept = messages(topic.options().history.max_events);
        Box::pin(publish::publish(
            Arc::clone(&self.link),
            subjects,
            drafts,
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
        let subjects = Subjects::new(&self.link.settings.stream, topic.name());
        let link = Arc::clone(&self.link);
        Box::pin(async move {
            // Nobody listens any more where there is none.
            match epoch {
                Some(epoch) => replay(link, subjects, epoch, kept, after, limit)
                    .await
                    .unwrap_or(Ok(Vec::new())),
                None => Ok(Vec::new()),
            }
        })
    }
}

/// Reads from the history in the epoch in which the topic's feed stands. `None` when the topic is not followed any more.
async fn replay(
    link: Arc<Link>,
    subjects: Subjects,
    mut epoch: watch::Receiver<Option<u64>>,
    kept: u64,
    after: Option<Position>,
    limit: usize,
) -> Option<Replay> {
    let wanted = Wanted {
        after,
        limit,
        kept,
        is_long: false,
    };
    let mut states = link.states();
    loop {
        let session = link::up(&mut states).await?;
        // The feed says so first when the epoch is another: then it is not this reader's any more.
        if *epoch.borrow_and_update() != Some(session.epoch) {
            tokio::select! {
                changed = epoch.changed() => changed.ok()?,
                () = link::over(&mut states, &session) => {}
            }
            continue;
        }
        match read::read(&link, &session, &subjects, wanted).await {
            Ok(replay) if matches!(&*states.borrow(), State::Up(now) if now.epoch == session.epoch) =>
            {
                return Some(replay);
            }
            Ok(_) => {}
            Err(error) => {
                tracing::debug!(%error, "a history cannot be read yet");
                let _ = tokio::time::timeout(link::AGAIN, link::over(&mut states, &session)).await;
            }
        }
    }
}

impl Drop for JetStream {
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

impl fmt::Debug for JetStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JetStream")
            .field("stream", &self.link.settings.stream)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_memory_of_many_topics_is_given_back() {
        let settings = Settings::new(Nats::new("a"), None, &[], std::time::Duration::ZERO).unwrap();
        let broker = Arc::new(JetStream::new(settings));
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

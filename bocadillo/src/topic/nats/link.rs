//! The connection: one for each node, and what is known of the stream behind it.
//!
//! Each time that the connection is there again the link looks at the stream, makes it where there is none, and says so by a new
//! [`Session`]. Whoever follows a topic then goes on from where it stood.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_nats::jetstream::context::{ContextBuilder, CreateStreamErrorKind, RequestErrorKind};
use async_nats::jetstream::response::Response;
use async_nats::jetstream::stream::{
    Config, DiscardPolicy, Republish, RetentionPolicy, StorageType, Stream,
};
use async_nats::jetstream::{Context, ErrorCode};
use async_nats::{Client, ConnectOptions, Event};
use serde::Deserialize;
use serde_json::json;
use tokio::sync::{Notify, Semaphore, mpsc, watch};
use tokio::time::Instant;

use super::life::Life;
use super::settings::Settings;
use crate::error::BoxError;

/// How long the server may take for an answer.
const ANSWER: Duration = Duration::from_secs(5);
/// How often it is asked whether it is there.
const PING: Duration = Duration::from_secs(5);
/// A connection that is dead is known to be so after that long.
const UNNOTICED: Duration = PING.saturating_mul(3);
/// How many reads of the history are under way at once.
const READS: usize = 32;

#[derive(Debug)]
pub(super) struct Link {
    pub(super) settings: Settings,
    state: watch::Sender<State>,
    /// Somebody has seen what a sound session does not have.
    doubt: Notify,
    pub(super) reads: Semaphore,
    /// The highest sequence that was seen, and the epoch that it is of.
    newest: Mutex<(u64, u64)>,
    /// Where the stream stood at a moment: who asked, and what was answered.
    asked: AtomicU64,
    standing: tokio::sync::Mutex<Standing>,
    /// The subjects that will be trimmed in a moment.
    trimming: Mutex<HashSet<String>>,
}

#[derive(Clone, Debug)]
pub(super) enum State {
    /// The first attempt to connect is under way.
    Starting,
    Up(Arc<Session>),
    /// And why.
    Down(Arc<str>),
}

/// A time of being connected.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) number: u64,
    /// Another one in each life of the stream, the same on all nodes.
    pub(super) epoch: u64,
    /// The sequence behind which the epoch begins.
    pub(super) start: u64,
    /// Until when the node had missed nothing.
    pub(super) whole_until: Instant,
    pub(super) context: Context,
    pub(super) stream: Stream<()>,
    pub(super) client: Client,
    /// How many messages of a topic the stream keeps, and how long. It may be another node that has said so.
    pub(super) max_messages: u64,
    max_age: Option<Duration>,
    max_bytes: Option<u64>,
}

impl Session {
    /// Whether what was missed since then can only have been trimmed by its number.
    pub(super) fn keeps_all_since(&self, then: Instant) -> bool {
        self.max_bytes.is_none()
            && self
                .max_age
                .is_none_or(|age| then.elapsed() + UNNOTICED < age)
    }
}

#[derive(Debug, Default)]
struct Standing {
    /// Those who had asked by then are answered.
    covers: u64,
    session: u64,
    last: u64,
}

/// What JetStream tells of a stream. Not async-nats' own type, whose fields depend on features that others may have on.
#[derive(Debug, Deserialize)]
pub(super) struct Info {
    created: String,
    config: Config,
    pub(super) state: Counts,
}

#[derive(Debug, Deserialize)]
pub(super) struct Counts {
    pub(super) first_seq: u64,
    pub(super) last_seq: u64,
    #[serde(default)]
    pub(super) subjects: HashMap<String, u64>,
}

impl Link {
    pub(super) fn new(settings: Settings) -> Self {
        Self {
            settings,
            state: watch::Sender::new(State::Starting),
            doubt: Notify::new(),
            reads: Semaphore::new(READS),
            newest: Mutex::default(),
            asked: AtomicU64::new(0),
            standing: tokio::sync::Mutex::default(),
            trimming: Mutex::default(),
        }
    }

    pub(super) fn states(&self) -> watch::Receiver<State> {
        self.state.subscribe()
    }

    /// Looks at the stream again: it may not be the one that it was.
    pub(super) fn doubt(&self) {
        self.doubt.notify_one();
    }

    /// Notes that there is an event with this sequence.
    pub(super) fn observe(&self, session: &Session, sequence: u64) {
        let mut newest = self.newest.lock().unwrap_or_else(PoisonError::into_inner);
        if newest.0 == session.epoch {
            newest.1 = newest.1.max(sequence);
        }
    }

    /// The highest sequence that is known to have been.
    pub(super) fn newest(&self, session: &Session) -> u64 {
        let newest = self.newest.lock().unwrap_or_else(PoisonError::into_inner);
        if newest.0 == session.epoch {
            newest.1
        } else {
            0
        }
    }

    pub(super) fn trimming(&self) -> MutexGuard<'_, HashSet<String>> {
        self.trimming.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps the connection, for as long as it is polled.
    pub(super) async fn run(self: Arc<Self>) {
        self.state.send_replace(State::Starting);
        let (sender, mut events) = mpsc::unbounded_channel();
        let client = self.connect(sender).await;
        let context = ContextBuilder::new()
            .timeout(ANSWER)
            .backpressure_on_inflight(true);
        let context = context.build(client.clone());
        let mut whole_until = Instant::now();
        let mut last: Option<Arc<Session>> = None;
        loop {
            // What happened up to here is what establishing finds out about.
            while let Ok(event) = events.try_recv() {
                self.note(&event);
            }
            let session = match self
                .establish(&client, &context, last.as_deref(), whole_until)
                .await
            {
                Ok(session) => Arc::new(session),
                Err(error) => {
                    self.fall(&error);
                    let _ = tokio::time::timeout(Duration::from_millis(250), events.recv()).await;
                    continue;
                }
            };
            last = Some(Arc::clone(&session));
            self.state.send_replace(State::Up(session));
            let mut is_connected = true;
            loop {
                tokio::select! {
                    event = events.recv() => {
                        let Some(event) = event else { return };
                        self.note(&event);
                        match event {
                            Event::Disconnected if is_connected => (is_connected, whole_until) = (false, Instant::now()),
                            Event::Connected if !is_connected => break,
                            Event::SlowConsumer(_) => {
                                whole_until = Instant::now();
                                break;
                            }
                            _ => {}
                        }
                    }
                    () = self.doubt.notified(), if is_connected => {
                        whole_until = Instant::now();
                        break;
                    }
                }
            }
        }
    }

    fn note(&self, event: &Event) {
        match event {
            Event::Connected => tracing::debug!("connected to NATS"),
            Event::Disconnected => self.fall("the connection is lost"),
            Event::SlowConsumer(_) => tracing::warn!(
                "NATS delivers faster than this node reads: what was dropped is read again"
            ),
            other => tracing::debug!(event = %other, "NATS"),
        }
    }

    fn fall(&self, why: &(impl std::fmt::Display + ?Sized)) {
        let before = self.state.send_replace(State::Down(why.to_string().into()));
        if !matches!(before, State::Down(_)) {
            tracing::warn!("topics have lost their broker: {why}");
        }
    }

    async fn connect(&self, events: mpsc::UnboundedSender<Event>) -> Client {
        let mut pause = Duration::from_millis(50);
        loop {
            let events = events.clone();
            let options = ConnectOptions::new()
                .name("bocadillo")
                .connection_timeout(ANSWER)
                .request_timeout(Some(ANSWER))
                .ping_interval(PING)
                .max_reconnects(None)
                .reconnect_delay_callback(|attempts| {
                    Duration::from_millis(20 << attempts.clamp(1, 6)).min(Duration::from_secs(1))
                })
                .event_callback(move |event| {
                    let _ = events.send(event);
                    async {}
                });
            match options.connect(&self.settings.servers[..]).await {
                Ok(client) => return client,
                Err(error) => self.fall(&with_sources(&error)),
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(Duration::from_secs(1));
        }
    }

    /// Looks at the stream; makes it where there is none.
    async fn establish(
        &self,
        client: &Client,
        context: &Context,
        last: Option<&Session>,
        whole_until: Instant,
    ) -> Result<Session, BoxError> {
        let config = self.config();
        let mut info = match self.info_of(context, None).await? {
            Some(info) => info,
            None => {
                if let Err(error) = context.create_stream(&config).await
                    // Another node was faster, with other limits.
                    && !matches!(error.kind(), CreateStreamErrorKind::JetStream(ref error) if error.error_code() == ErrorCode::STREAM_NAME_EXIST)
                {
                    return Err(error.into());
                }
                self.info_of(context, None)
                    .await?
                    .ok_or("the stream is gone again")?
            }
        };
        if info.config.subjects != config.subjects || info.config.republish != config.republish {
            return Err(format!(
                "the stream `{}` is there already, and is not one for topics: delete it, or choose another name by `Nats::stream`",
                self.settings.stream
            )
            .into());
        }
        let newest = last.map_or(0, |session| self.newest(session));
        let mut life = Life::read(info.config.description.as_deref());
        let is_shorter = last.is_some_and(|last| last.epoch == life.epoch(&info.created))
            && info.state.last_seq < newest;
        // The last node that starts decides, so that a deployment with other limits has them.
        let has_other_limits = last.is_none() && limits(&info.config) != limits(&config);
        if is_shorter || has_other_limits {
            if is_shorter {
                tracing::warn!(
                    "the stream of the topics has lost its last events: clients start over"
                );
                life = life.next(info.state.last_seq);
            }
            let limits = if has_other_limits {
                config.clone()
            } else {
                info.config.clone()
            };
            context
                .update_stream(Config {
                    description: Some(life.write()),
                    ..limits
                })
                .await?;
            info = self
                .info_of(context, None)
                .await?
                .ok_or("the stream is gone")?;
            life = Life::read(info.config.description.as_deref());
        }
        let epoch = life.epoch(&info.created);
        {
            let mut newest = self.newest.lock().unwrap_or_else(PoisonError::into_inner);
            *newest = (
                epoch,
                info.state
                    .last_seq
                    .max(if newest.0 == epoch { newest.1 } else { 0 }),
            );
        }
        Ok(Session {
            number: last.map_or(1, |last| last.number + 1),
            epoch,
            start: life.start(),
            whole_until,
            context: context.clone(),
            stream: context.get_stream_no_info(&self.settings.stream).await?,
            client: client.clone(),
            max_messages: u64::try_from(info.config.max_messages_per_subject).unwrap_or(u64::MAX),
            max_age: Some(info.config.max_age).filter(|age| !age.is_zero()),
            max_bytes: u64::try_from(info.config.max_bytes).ok(),
        })
    }

    fn config(&self) -> Config {
        let Settings {
            stream,
            max_messages,
            max_age,
            max_bytes,
            replicas,
            ..
        } = &self.settings;
        let window = Duration::from_secs(120);
        Config {
            name: stream.clone(),
            description: Some(Life::default().write()),
            subjects: vec![format!("{stream}.events.*")],
            republish: Some(Republish {
                source: format!("{stream}.events.*"),
                destination: format!("{stream}.live.{{{{wildcard(1)}}}}"),
                headers_only: false,
            }),
            retention: RetentionPolicy::Limits,
            storage: StorageType::File,
            discard: DiscardPolicy::Old,
            max_messages: -1,
            max_messages_per_subject: i64::try_from(*max_messages).unwrap_or(i64::MAX),
            max_age: max_age.unwrap_or_default(),
            max_bytes: max_bytes.map_or(-1, |bytes| i64::try_from(bytes).unwrap_or(i64::MAX)),
            max_consumers: -1,
            max_message_size: -1,
            num_replicas: *replicas,
            duplicate_window: max_age.map_or(window, |age| age.min(window)),
            ..Config::default()
        }
    }

    async fn info_of(
        &self,
        context: &Context,
        subject: Option<&str>,
    ) -> Result<Option<Info>, BoxError> {
        let request = subject.map_or_else(
            || json!({}),
            |subject| json!({ "subjects_filter": subject }),
        );
        match context.request(format!("STREAM.INFO.{}", self.settings.stream), &request).await {
            Ok(Response::Ok(info)) => Ok(Some(info)),
            Ok(Response::Err { error }) if error.error_code() == ErrorCode::STREAM_NOT_FOUND => Ok(None),
            Ok(Response::Err { error }) => Err(error.into()),
            Err(error) if error.kind() == RequestErrorKind::NoResponders => {
                Err("the NATS server has JetStream off: start it with `-js`, or switch it on for the account".into())
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Where the stream stands, and how many messages of a subject it keeps.
    ///
    /// # Errors
    ///
    /// When that cannot be found out, or when it is not the session's stream any more; then the link looks at it again.
    pub(super) async fn info(
        &self,
        session: &Session,
        subject: Option<&str>,
    ) -> Result<Info, BoxError> {
        match self.info_of(&session.context, subject).await? {
            Some(info)
                if Life::read(info.config.description.as_deref()).epoch(&info.created)
                    == session.epoch =>
            {
                self.observe(session, info.state.last_seq);
                Ok(info)
            }
            _ => {
                self.doubt();
                Err("the stream is not the one that it was".into())
            }
        }
    }

    /// The last sequence that the stream has had by now. Those who ask at once share an answer, which is of after they asked.
    pub(super) async fn last(&self, session: &Session) -> Result<u64, BoxError> {
        let ticket = self.asked.fetch_add(1, Ordering::AcqRel) + 1;
        let mut standing = self.standing.lock().await;
        if standing.covers < ticket || standing.session != session.number {
            let covers = self.asked.load(Ordering::Acquire);
            let info = self.info(session, None).await?;
            *standing = Standing {
                covers,
                session: session.number,
                last: info.state.last_seq,
            };
        }
        Ok(standing.last)
    }
}

/// What nodes may have different opinions of.
fn limits(config: &Config) -> (i64, Duration, i64, usize) {
    (
        config.max_messages_per_subject,
        config.max_age,
        config.max_bytes,
        config.num_replicas,
    )
}

/// Waits for a session.
pub(super) async fn up(states: &mut watch::Receiver<State>) -> Option<Arc<Session>> {
    let state = states
        .wait_for(|state| matches!(state, State::Up(_)))
        .await
        .ok()?;
    match &*state {
        State::Up(session) => Some(Arc::clone(session)),
        State::Starting | State::Down(_) => None,
    }
}

/// Waits for the state to become another one than this session.
pub(super) async fn over(states: &mut watch::Receiver<State>, session: &Session) {
    let over = |state: &State| !matches!(state, State::Up(other) if other.number == session.number);
    if states.wait_for(over).await.is_err() {
        std::future::pending::<()>().await;
    }
}

/// An error and what lies under it, in one line.
pub(super) fn with_sources(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        let more = error.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        source = error.source();
    }
    text
}

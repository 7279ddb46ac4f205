//! The connection: one for each node, and what is known of the stream behind it.
//!
//! Each time that the connection is there again the link looks at the stream, makes it where there is none, and says so by a new
//! [`Session`]. Whoever follows a topic then goes on from where it stood.

use std::collections::HashSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_nats::jetstream::Context;
use async_nats::jetstream::context::ContextBuilder;
use async_nats::jetstream::stream::Stream;
use async_nats::{Client, ConnectOptions, Event};
use tokio::sync::{Notify, Semaphore, mpsc, watch};
use tokio::time::Instant;

use super::settings::Settings;

mod stream;

pub(super) use stream::Info;
use stream::Standing;

/// How long the server may take for an answer.
const ANSWER: Duration = Duration::from_secs(5);
/// How often it is asked whether it is there.
const PING: Duration = Duration::from_secs(5);
/// A connection that is dead is known to be so after that long.
const UNNOTICED: Duration = PING.saturating_mul(3);
/// Between attempts where nothing happens meanwhile.
const AGAIN: Duration = Duration::from_millis(250);
/// How many reads of the history are under way at once.
const READS: usize = 32;

#[derive(Debug)]
pub(super) struct Link {
    pub(super) settings: Settings,
    state: watch::Sender<State>,
    /// Somebody has seen what a sound session does not have.
    doubt: Notify,
    /// How many connections were lost.
    losses: AtomicU64,
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
    /// Changes with each connection; several sessions may share one.
    connection: u64,
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

impl Link {
    pub(super) fn new(settings: Settings) -> Self {
        Self {
            settings,
            state: watch::Sender::new(State::Starting),
            doubt: Notify::new(),
            losses: AtomicU64::new(0),
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
            let established = tokio::select! {
                established = self.establish(&client, &context, last.as_deref(), whole_until) => established,
                // What was asked on another connection is not answered on this one.
                () = self.turn(&mut events) => continue,
            };
            let session = match established {
                Ok(session) => Arc::new(session),
                Err(error) => {
                    self.fall(&error);
                    tokio::select! {
                        () = tokio::time::sleep(AGAIN) => {}
                        () = self.turn(&mut events) => {}
                    }
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

    /// Waits for the connection to come or to go.
    async fn turn(&self, events: &mut mpsc::UnboundedReceiver<Event>) {
        loop {
            let Some(event) = events.recv().await else {
                return std::future::pending().await;
            };
            self.note(&event);
            if matches!(event, Event::Connected | Event::Disconnected) {
                return;
            }
        }
    }

    fn note(&self, event: &Event) {
        match event {
            Event::Connected => tracing::debug!("connected to NATS"),
            Event::Disconnected => {
                self.losses.fetch_add(1, Ordering::AcqRel);
                self.fall("the connection is lost");
            }
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

/// Waits for the loss of the connection that this session is on.
pub(super) async fn cut(states: &mut watch::Receiver<State>, session: &Session) {
    let is_cut = |state: &State| !matches!(state, State::Up(other) if other.connection == session.connection);
    if states.wait_for(is_cut).await.is_err() {
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

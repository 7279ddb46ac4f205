//! The connection of a node, and what is known of the stream.
//!
//! After each connect, the task checks the stream, creates it if there is none, and announces a new [`Session`]. The
//! followers of the topics then continue from their positions.

use std::collections::HashSet;
use std::error::Error as StdError;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_nats::jetstream::Context;
use async_nats::jetstream::context::ContextBuilder;
use async_nats::jetstream::stream::Stream;
use async_nats::{Client, ConnectErrorKind, ConnectOptions, Event, ServerError};
use tokio::sync::{Notify, Semaphore, mpsc, watch};

use super::read_limiter::{ANSWER, ReadLimiter};
use super::refusals::Refusals;
use super::settings::{Credentials, Settings};
use crate::error::{Error, chain};
use crate::topic::position::Position;
use crate::topic::remote::{ConnectionState, Outage, pause};

mod stream;
mod tails;

use stream::LastSequence;
use tails::Tails;

/// The client pings a server that is silent for this long. The third ping without an answer ends the connection.
const PING: Duration = Duration::from_secs(5);
/// The pause between attempts to check the stream.
pub(super) const AGAIN: Duration = Duration::from_millis(250);
/// Half of the first pause between attempts to connect.
const FIRST_PAUSE: Duration = Duration::from_millis(20);
/// The longest pause between attempts to connect.
const LONGEST_PAUSE: Duration = Duration::from_secs(1);
/// The maximum number of messages of a topic that wait on this node. More are dropped, and read from the stream later.
pub(super) const CAPACITY: usize = 8_192;
/// The maximum number of publishes at the same time. The client library drops errors if more than 128 come together, so fewer
/// publishes may be refused at once.
const PUBLISHING: usize = 64;
/// The maximum number of subscriptions that begin at the same time, for the same reason.
const SUBSCRIBING: usize = 32;
/// The error of a publish if the credentials are wrong.
const UNAUTHORISED: &str = "the server refuses the credentials of the URL";

#[derive(Debug)]
pub(super) struct Connection {
    pub(super) settings: Settings,
    state: watch::Sender<State>,
    /// Notified when the stream has to be checked.
    doubt: Notify,
    /// The number of lost connections.
    losses: AtomicU64,
    pub(super) read_limiter: ReadLimiter,
    pub(super) publishing: Semaphore,
    pub(super) subscribing: Semaphore,
    pub(super) refusals: Refusals,
    /// The epoch, and the highest sequence that was seen in it.
    newest: Mutex<(u64, u64)>,
    /// The highest sequence that this connection has received, in an event or an acknowledgement, and its check. All
    /// messages with lower sequences came before it.
    delivered: Mutex<(u64, u64)>,
    tails: Mutex<Tails>,
    /// The number of requests for the last sequence of the stream, and the last answer.
    last_sequence_requests: AtomicU64,
    last_sequence: tokio::sync::Mutex<LastSequence>,
    /// The session, and the position of the stream's newest message in it.
    newest_message: tokio::sync::Mutex<(u64, Position)>,
    /// The subjects that will be trimmed soon.
    trimming: Mutex<HashSet<String>>,
}

pub(super) type State = ConnectionState<Arc<Session>>;

#[derive(Clone, Debug)]
pub(super) struct Contexts {
    /// For requests. [`ReadLimiter::answer`] has their time-outs.
    pub(super) requests: Context,
    pub(super) publishing: Context,
}

/// A connection with a checked stream.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) number: u64,
    /// The number of the connection. Several sessions may share one.
    pub(super) connection: u64,
    /// The epoch of the stream, the same on all nodes.
    pub(super) epoch: u64,
    /// The sequence after which the epoch begins.
    pub(super) start: u64,
    pub(super) contexts: Contexts,
    pub(super) stream: Stream<()>,
    pub(super) client: Client,
    /// The maximum number of messages of a topic in the stream. Another node may have set it.
    pub(super) max_messages: u64,
}

impl Connection {
    pub(super) fn new(settings: Settings) -> Self {
        Self {
            settings,
            state: watch::Sender::new(State::Connecting),
            doubt: Notify::new(),
            losses: AtomicU64::new(0),
            read_limiter: ReadLimiter::new(),
            publishing: Semaphore::new(PUBLISHING),
            subscribing: Semaphore::new(SUBSCRIBING),
            refusals: Refusals::default(),
            newest: Mutex::default(),
            delivered: Mutex::default(),
            tails: Mutex::default(),
            last_sequence_requests: AtomicU64::new(0),
            last_sequence: tokio::sync::Mutex::default(),
            newest_message: tokio::sync::Mutex::default(),
            trimming: Mutex::default(),
        }
    }

    pub(super) fn states(&self) -> watch::Receiver<State> {
        self.state.subscribe()
    }

    /// Checks the stream again, because it may be another one.
    pub(super) fn doubt(&self) {
        self.doubt.notify_one();
    }

    /// Notes that a message with this sequence exists.
    pub(super) fn observe(&self, session: &Session, sequence: u64) {
        let mut newest = self.newest.lock().unwrap_or_else(PoisonError::into_inner);
        if newest.0 == session.epoch {
            newest.1 = newest.1.max(sequence);
        }
    }

    /// Notes that this connection has received a message.
    pub(super) fn deliver(&self, session: &Session, subject: &str, sequence: u64, check: u64) {
        self.observe(session, sequence);
        if session.connection != self.losses.load(Ordering::Acquire) {
            return;
        }
        let mut delivered = self
            .delivered
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        *delivered = (*delivered).max((sequence, check));
        drop(delivered);
        self.remember(session, subject, sequence);
    }

    /// Notes that a message of a subject exists, as this connection has received.
    pub(super) fn remember(&self, session: &Session, subject: &str, sequence: u64) {
        if session.connection == self.losses.load(Ordering::Acquire) {
            let mut tails = self.tails.lock().unwrap_or_else(PoisonError::into_inner);
            tails.note(subject, sequence);
        }
    }

    /// The highest sequence that this connection has received, and its check.
    pub(super) fn delivered(&self) -> (u64, u64) {
        *self
            .delivered
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// The sequence of the newest message of a subject that this connection has received.
    pub(super) fn tail(&self, subject: &str) -> Option<u64> {
        let tails = self.tails.lock().unwrap_or_else(PoisonError::into_inner);
        tails.get(subject)
    }

    /// Forgets what an earlier connection received, because the stream may have been restored since.
    fn forget(&self) {
        *self
            .delivered
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = (0, 0);
        *self.tails.lock().unwrap_or_else(PoisonError::into_inner) = Tails::default();
    }

    /// The highest sequence that was seen in this epoch.
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

    /// Connects, and keeps the connection. Runs until it is dropped.
    pub(super) async fn run(self: Arc<Self>) {
        self.state.send_replace(State::Connecting);
        let (sender, mut events) = mpsc::unbounded_channel();
        let client = self.connect(sender).await;
        self.read_limiter.count(client.statistics());
        let contexts = Contexts {
            requests: ContextBuilder::new().build(client.clone()),
            publishing: ContextBuilder::new().timeout(ANSWER).build(client.clone()),
        };
        let mut last: Option<Arc<Session>> = None;
        loop {
            // `establish` sees the result of these events.
            while let Ok(event) = events.try_recv() {
                self.note(&event);
            }
            let established = tokio::select! {
                established = self.establish(&client, &contexts, last.as_deref()) => established,
                // A request on another connection gets no answer on this one.
                () = self.turn(&mut events) => continue,
            };
            let session = match established {
                Ok(session) => Arc::new(session),
                Err(error) => {
                    self.fall(outage(&*error));
                    tokio::select! {
                        () = tokio::time::sleep(AGAIN) => {}
                        () = self.turn(&mut events) => {}
                    }
                    continue;
                }
            };
            if last
                .as_ref()
                .is_none_or(|last| last.connection != session.connection)
            {
                self.forget();
            }
            last = Some(Arc::clone(&session));
            self.state.send_replace(State::Up(session));
            let mut is_connected = true;
            loop {
                tokio::select! {
                    event = events.recv() => {
                        let Some(event) = event else { return };
                        self.note(&event);
                        match event {
                            Event::Disconnected => is_connected = false,
                            // The client library may have dropped the event of the loss.
                            Event::Connected => {
                                if is_connected {
                                    self.note(&Event::Disconnected);
                                }
                                break;
                            }
                            _ => {}
                        }
                    }
                    () = self.doubt.notified(), if is_connected => break,
                }
            }
        }
    }

    /// Waits until the connection is made or lost.
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
                self.fall(Outage::away("the connection to NATS is lost"));
            }
            Event::ServerError(ServerError::Other(error)) if self.refusals.note(error) => {}
            // The client library has only a text for this.
            Event::ClientError(error) if error.to_string().contains("authorization violation") => {
                self.refusals.unauthorised();
                self.fall(Outage::refused(UNAUTHORISED));
            }
            // The follower of the topic notices the effect.
            other => tracing::debug!(event = %other, "NATS"),
        }
    }

    /// There is no connection. Logs the reason, if there was one before.
    fn fall(&self, outage: Outage) {
        let text = outage.to_string();
        let before = self.state.send_replace(State::Down(outage));
        if !matches!(before, State::Down(_)) {
            tracing::warn!("the connection to NATS cannot be used: {text}");
        }
    }

    async fn connect(&self, events: mpsc::UnboundedSender<Event>) -> Client {
        let mut attempts = 0;
        loop {
            let events = events.clone();
            let mut options = ConnectOptions::new()
                .name("bocadillo")
                .connection_timeout(ANSWER)
                .request_timeout(None)
                .ping_interval(PING)
                .subscription_capacity(CAPACITY)
                .max_reconnects(None)
                .reconnect_delay_callback(next_pause)
                .event_callback(move |event| {
                    let _ = events.send(event);
                    async {}
                });
            options = match self.settings.credentials.clone() {
                None => options,
                Some(Credentials::Token(token)) => options.token(token),
                Some(Credentials::User { name, password }) => {
                    options.user_and_password(name, password)
                }
            };
            if let Some(file) = self.settings.root_certificates.clone() {
                options = options.add_root_certificates(file);
            }
            match options.connect(&self.settings.servers[..]).await {
                Ok(client) => return client,
                Err(error) if error.kind() == ConnectErrorKind::AuthorizationViolation => {
                    self.refusals.unauthorised();
                    self.state
                        .send_replace(State::Down(Outage::refused(UNAUTHORISED)));
                }
                Err(error) => self.fall(Outage::away(chain(&error))),
            }
            attempts += 1;
            tokio::time::sleep(next_pause(attempts)).await;
        }
    }
}

/// The pause before the next attempt to connect.
fn next_pause(attempts: usize) -> Duration {
    pause(FIRST_PAUSE, LONGEST_PAUSE, attempts.max(1))
}

/// Why the stream cannot be used.
fn outage(error: &(dyn StdError + 'static)) -> Outage {
    let text = chain(error);
    match error.downcast_ref::<Error>() {
        Some(error) if error.is_refused() => Outage::refused(text),
        _ => Outage::away(text),
    }
}

/// Waits until this session has ended.
pub(super) async fn over(states: &mut watch::Receiver<State>, session: &Session) {
    let over = |state: &State| !matches!(state, State::Up(other) if other.number == session.number);
    if states.wait_for(over).await.is_err() {
        std::future::pending::<()>().await;
    }
}

/// Waits until the connection of this session is lost.
pub(super) async fn cut(states: &mut watch::Receiver<State>, session: &Session) {
    let is_cut = |state: &State| !matches!(state, State::Up(other) if other.connection == session.connection);
    if states.wait_for(is_cut).await.is_err() {
        std::future::pending::<()>().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pause_between_attempts_to_connect_grows_up_to_a_second() {
        let pauses: Vec<_> = (0..9)
            .map(|attempts| next_pause(attempts).as_millis())
            .collect();
        assert_eq!(pauses, [40, 40, 80, 160, 320, 640, 1_000, 1_000, 1_000]);
        assert_eq!(next_pause(usize::MAX), Duration::from_secs(1));
    }
}

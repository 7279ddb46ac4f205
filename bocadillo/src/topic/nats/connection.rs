//! The connection: one for each node, and what is known of the stream behind it.
//!
//! Each time that the connection is there again the connection looks at the stream, makes it where there is none, and says so by a new
//! [`Session`]. Whoever follows a topic then goes on from where it stood.

use std::collections::{HashMap, HashSet};
use std::error::Error as StdError;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_nats::jetstream::Context;
use async_nats::jetstream::context::ContextBuilder;
use async_nats::jetstream::stream::Stream;
use async_nats::{Client, ConnectErrorKind, ConnectOptions, Event, ServerError};
use tokio::sync::{Notify, Semaphore, mpsc, watch};

use super::pace::{ANSWER, Pace};
use super::refusals::Refusals;
use super::settings::{Credentials, Settings};
use crate::error::{Error, chain};
use crate::topic::position::Position;
use crate::topic::remote::{ConnectionState, Outage, pause};

mod stream;

use stream::LastSequence;

/// The client pings a server that is silent for this long. The third ping without an answer ends the connection.
const PING: Duration = Duration::from_secs(5);
/// The pause between attempts.
pub(super) const AGAIN: Duration = Duration::from_millis(250);
/// Half of the first pause between attempts to connect.
const FIRST_PAUSE: Duration = Duration::from_millis(20);
/// The longest pause between attempts to connect.
const LONGEST_PAUSE: Duration = Duration::from_secs(1);
/// How many messages of a topic wait for this node. What comes when so many wait is dropped, and read from the stream later.
pub(super) const CAPACITY: usize = 8_192;
/// How many publishes are under way at once. The client drops news beyond 128 that come together, so no more than this may be
/// refused at once.
const PUBLISHING: usize = 64;
/// How many topics begin to be followed at once, for the same reason.
const SUBSCRIBING: usize = 32;
/// The client holds its own place for a publish that was given up until this time.
const GIVEN_UP: Duration = Duration::from_secs(1);
/// What a publisher is told then.
const UNAUTHORISED: &str = "the server refuses the credentials of the URL";
/// For how many topics the newest sequence is remembered.
const TAILS: usize = 10_000;

#[derive(Debug)]
pub(super) struct Connection {
    pub(super) settings: Settings,
    state: watch::Sender<State>,
    /// Somebody has seen what a sound session does not have.
    doubt: Notify,
    /// How many connections were lost.
    losses: AtomicU64,
    pub(super) pace: Pace,
    pub(super) publishing: Semaphore,
    pub(super) subscribing: Semaphore,
    pub(super) refusals: Refusals,
    /// The highest sequence that was seen, and the epoch that it is of.
    newest: Mutex<(u64, u64)>,
    /// The highest sequence that this connection has brought, as an event or an acknowledgement, and its check. Messages of other
    /// topics with lower sequences came before it.
    delivered: Mutex<(u64, u64)>,
    tails: Mutex<Tails>,
    /// Where the stream stood at a moment: who asked, and what was answered.
    asked: AtomicU64,
    standing: tokio::sync::Mutex<LastSequence>,
    /// The stream's newest message that somebody asked for, and the session in which.
    place: tokio::sync::Mutex<(u64, Position)>,
    /// The subjects that will be trimmed in a moment.
    trimming: Mutex<HashSet<String>>,
}

pub(super) type State = ConnectionState<Arc<Session>>;

#[derive(Clone, Debug)]
pub(super) struct Contexts {
    /// For requests that [`Pace::answer`] awaits, and limits.
    pub(super) asking: Context,
    pub(super) publishing: Context,
}

/// A time of being connected.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) number: u64,
    /// Changes with each connection; several sessions may share one.
    pub(super) connection: u64,
    /// Another one in each life of the stream, the same on all nodes.
    pub(super) epoch: u64,
    /// The sequence behind which the epoch begins.
    pub(super) start: u64,
    pub(super) contexts: Contexts,
    pub(super) stream: Stream<()>,
    pub(super) client: Client,
    /// How many messages of a topic the stream keeps. It may be another node that has said so.
    pub(super) max_messages: u64,
}

impl Connection {
    pub(super) fn new(settings: Settings) -> Self {
        Self {
            settings,
            state: watch::Sender::new(State::Connecting),
            doubt: Notify::new(),
            losses: AtomicU64::new(0),
            pace: Pace::new(),
            publishing: Semaphore::new(PUBLISHING),
            subscribing: Semaphore::new(SUBSCRIBING),
            refusals: Refusals::default(),
            newest: Mutex::default(),
            delivered: Mutex::default(),
            tails: Mutex::default(),
            asked: AtomicU64::new(0),
            standing: tokio::sync::Mutex::default(),
            place: tokio::sync::Mutex::default(),
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

    /// Notes that this connection has brought a message.
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
        let mut tails = self.tails.lock().unwrap_or_else(PoisonError::into_inner);
        tails.note(subject, sequence);
    }

    /// The highest sequence that the connection has brought, and its check.
    pub(super) fn delivered(&self) -> (u64, u64) {
        *self
            .delivered
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// The newest message of a subject that the connection has brought.
    pub(super) fn tail(&self, subject: &str) -> Option<u64> {
        let tails = self.tails.lock().unwrap_or_else(PoisonError::into_inner);
        tails.0.get(subject).copied()
    }

    /// What an earlier connection brought may be of a stream that was restored meanwhile.
    fn forget(&self) {
        *self
            .delivered
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = (0, 0);
        *self.tails.lock().unwrap_or_else(PoisonError::into_inner) = Tails::default();
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
        self.state.send_replace(State::Connecting);
        let (sender, mut events) = mpsc::unbounded_channel();
        let client = self.connect(sender).await;
        self.pace.count(client.statistics());
        let contexts = Contexts {
            asking: ContextBuilder::new().build(client.clone()),
            publishing: ContextBuilder::new()
                .timeout(ANSWER)
                .ack_timeout(GIVEN_UP)
                .backpressure_on_inflight(true)
                .build(client.clone()),
        };
        let mut last: Option<Arc<Session>> = None;
        loop {
            // What happened up to here is what establishing finds out about.
            while let Ok(event) = events.try_recv() {
                self.note(&event);
            }
            let established = tokio::select! {
                established = self.establish(&client, &contexts, last.as_deref()) => established,
                // What was asked on another connection is not answered on this one.
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
                            // The news of the loss may have been dropped: the client keeps few.
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
                self.fall(Outage::away("the connection to NATS is lost"));
            }
            Event::ServerError(ServerError::Other(error)) if self.refusals.note(error) => {}
            // The client knows no more of the reason than its text.
            Event::ClientError(error) if error.to_string().contains("authorization violation") => {
                self.refusals.unauthorised();
                self.fall(Outage::refused(UNAUTHORISED));
            }
            // The follower of the topic finds it out for itself.
            other => tracing::debug!(event = %other, "NATS"),
        }
    }

    /// There is no connection. Logs the reason, if there was one before.
    fn fall(&self, outage: Outage) {
        let text = outage.to_string();
        let before = self.state.send_replace(State::Down(outage));
        if !matches!(before, State::Down(_)) {
            tracing::warn!("topics have lost their broker: {text}");
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

/// The newest sequence of each subject that the connection has brought.
#[derive(Debug, Default)]
struct Tails(HashMap<String, u64>);

impl Tails {
    fn note(&mut self, subject: &str, sequence: u64) {
        match self.0.get_mut(subject) {
            Some(tail) => *tail = sequence.max(*tail),
            None => {
                if self.0.len() >= TAILS {
                    self.0.clear();
                }
                self.0.insert(subject.to_owned(), sequence);
            }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_sequences_of_many_subjects_are_forgotten() {
        let mut tails = Tails::default();
        for number in 0..25_000 {
            tails.note(&number.to_string(), number);
            tails.note(&number.to_string(), number.saturating_sub(1));
            assert_eq!(tails.0.get(&number.to_string()), Some(&number));
            assert!(tails.0.len() <= 10_000);
        }
        assert!(tails.0.len() > 1_000, "some are remembered");
    }

    #[test]
    fn the_pause_between_attempts_to_connect_grows_up_to_a_second() {
        let pauses: Vec<_> = (0..9)
            .map(|attempts| next_pause(attempts).as_millis())
            .collect();
        assert_eq!(pauses, [40, 40, 80, 160, 320, 640, 1_000, 1_000, 1_000]);
        assert_eq!(next_pause(usize::MAX), Duration::from_secs(1));
    }
}

//! Follows one topic: appends its messages to the node's ring, and reads missing messages from the stream.
//!
//! The stream repeats each stored message on a second subject, with the sequence of the message before it in the same topic. So a
//! missing message is noticed when the next one comes. After each interruption the follower reads the stream from its position. A
//! node that is too slow drops the waiting messages, and reads them from the stream.

use std::sync::Arc;
use std::time::Duration;

use async_nats::{Message, Subscriber};
use futures_util::{FutureExt, StreamExt};
use tokio::sync::watch;

use super::connection::{AGAIN, CAPACITY, Connection, Session, State};
use super::read::{self, ReadRequest, last_position, read};
use super::record;
use super::refusals::OpenRequest;
use super::settings::messages;
use super::subjects::Subjects;
use crate::topic::broker::{Replay, TopicFeed};
use crate::topic::encoded::EventWithoutId;
use crate::topic::notice::Reason;
use crate::topic::position::Position;
use crate::topic::remote;

mod message_buffer;

use message_buffer::{Buffered, MessageBuffer};

/// About how many bytes of missing messages are read at once, and how many bytes of new messages are kept meanwhile.
const PIECE: usize = 512 * 1024;
/// The pause between attempts to subscribe to a subject that the server does not allow.
const REFUSED: Duration = Duration::from_secs(1);

/// The topic is no longer followed.
struct Done;

struct Follower<'a> {
    connection: &'a Connection,
    feed: &'a TopicFeed,
    subjects: &'a Subjects,
    session: Arc<Session>,
    /// The epoch of the feed, for replays.
    epoch: watch::Sender<Option<u64>>,
    /// The position up to which all events were appended.
    at: Position,
    /// Whether the message at `at` belongs to this topic.
    is_own: bool,
    /// Whether the next message that arrives is the next one after `at`.
    is_whole: bool,
    /// Whether a new epoch is read from its start.
    is_fresh: bool,
    is_up: bool,
    /// Whether messages may have been dropped because too many came.
    is_flooded: bool,
}

/// Follows a topic until the feed ends. `epoch` gets the epoch of the feed.
pub(super) async fn follow(
    connection: Arc<Connection>,
    feed: TopicFeed,
    epoch: watch::Sender<Option<u64>>,
) {
    let subjects = Subjects::new(&connection.settings.stream, feed.topic());
    let mut states = connection.states();
    let first = states.wait_for(|state| !matches!(state, State::Connecting));
    if matches!(first.await.as_deref(), Ok(State::Down(_))) {
        feed.interrupt();
    }
    let Some(session) = remote::up(&mut states).await else {
        return;
    };
    // Held until the server has answered the next request. A refusal comes before that answer.
    let mut permit = connection.subscribing.acquire().await.ok();
    // Before the subscription, because a refusal may come at once.
    let mut subscription = connection.refusals.watch(&subjects.live);
    let live = match session.client.subscribe(subjects.live.clone()).await {
        Ok(live) => live,
        Err(error) => {
            feed.interrupt();
            return tracing::error!(topic = &**feed.topic(), %error, "a topic cannot be followed");
        }
    };
    // Requested after the subscription, which brings all later messages.
    let (session, (at, is_own)) = loop {
        let Some(session) = remote::up(&mut states).await else {
            return;
        };
        let last = last_position(&connection, &session, &subjects).await;
        drop(permit.take());
        match last {
            Ok(last) => break (session, last),
            Err(error) => {
                feed.interrupt();
                tracing::debug!(topic = &**feed.topic(), %error, "the last position of a topic is not known yet");
                let _ = tokio::time::timeout(AGAIN, states.changed()).await;
            }
        }
    };
    if feed.begin(session.epoch, at) {
        epoch.send_replace(Some(session.epoch));
        let follower = Follower {
            connection: &connection,
            feed: &feed,
            subjects: &subjects,
            session,
            epoch,
            at,
            is_own,
            is_whole: true,
            is_fresh: false,
            is_up: true,
            is_flooded: false,
        };
        let Done = follower.run(states, live, &mut subscription).await;
    }
}

/// All waiting messages, or the next one. Cancel safe.
async fn ready(live: &mut Subscriber) -> Option<Vec<Message>> {
    // Unconstrained, so that the budget of the task does not look like an empty queue.
    tokio::task::unconstrained(async {
        let mut all = vec![live.next().await?];
        while all.len() < CAPACITY
            && let Some(Some(message)) = live.next().now_or_never()
        {
            all.push(message);
        }
        Some(all)
    })
    .await
}

impl Follower<'_> {
    async fn run(
        mut self,
        mut states: watch::Receiver<State>,
        mut live: Subscriber,
        subscription: &mut OpenRequest<'_>,
    ) -> Done {
        // The session may have ended already.
        states.mark_changed();
        let mut is_refused = false;
        let mut lost = self.connection.refusals.lost();
        subscription.set_allowed();
        loop {
            let done = tokio::select! {
                biased;
                changed = states.changed() => {
                    if changed.is_err() {
                        return Done;
                    }
                    let state = states.borrow_and_update().clone();
                    self.turn(state, &mut live).await
                }
                () = subscription.any_refused(), if !is_refused => {
                    is_refused = true;
                    Ok(())
                }
                Ok(()) = lost.changed(), if !is_refused => {
                    is_refused = true;
                    Ok(())
                }
                messages = ready(&mut live), if !is_refused => {
                    let Some(messages) = messages else { return Done };
                    tokio::task::consume_budget().await;
                    self.deliver(messages, &mut live).await
                }
                () = tokio::time::sleep(REFUSED), if is_refused && self.is_up => {
                    is_refused = false;
                    match self.subscribe_again(subscription).await {
                        Ok(again) => live = again,
                        Err(error) => {
                            tracing::error!(topic = &**self.feed.topic(), %error, "a topic cannot be followed");
                            return Done;
                        }
                    }
                    self.is_whole = false;
                    Ok(())
                }
                () = tokio::time::sleep(AGAIN), if !self.is_whole && self.is_up && !is_refused => {
                    self.connection.refusals.allowed(&self.subjects.live);
                    subscription.set_allowed();
                    let state = states.borrow_and_update().clone();
                    self.turn(state, &mut live).await
                }
            };
            if let Err(done) = done {
                return done;
            }
        }
    }

    async fn subscribe_again(
        &self,
        subscription: &mut OpenRequest<'_>,
    ) -> Result<Subscriber, async_nats::SubscribeError> {
        let _permit = self.connection.subscribing.acquire().await;
        subscription.ask_again();
        let live = self
            .session
            .client
            .subscribe(self.subjects.live.clone())
            .await?;
        // A refusal comes before this answer.
        let _ = self.connection.last(&self.session).await;
        Ok(live)
    }

    async fn turn(&mut self, state: State, live: &mut Subscriber) -> Result<(), Done> {
        self.is_up = matches!(state, State::Up(_));
        let State::Up(session) = state else {
            return self.lose(live);
        };
        if session.number != self.session.number {
            if session.connection != self.session.connection {
                self.lose(live)?;
            }
            self.is_whole = false;
            self.session = session;
        } else if self.is_whole {
            return Ok(());
        }
        if *self.epoch.borrow() != Some(self.session.epoch) {
            let start = self.session.start;
            let last = match read::message(self.connection, &self.session, start).await {
                Ok(last) => last,
                Err(error) => return self.fail(&*error),
            };
            self.at = last.map_or(record::message_position(start, 0), |last| last.position());
            self.is_own = false;
            self.is_fresh = true;
            self.restart(Reason::Epoch)?;
            self.epoch.send_replace(Some(self.session.epoch));
        }
        self.catch_up(live).await
    }

    /// The connection is lost, so messages after `at` may be missing.
    fn lose(&mut self, live: &mut Subscriber) -> Result<(), Done> {
        if !self.is_whole {
            return Ok(());
        }
        // Read before the waiting messages are taken, which include all messages of the topic up to here.
        let (sequence, check) = self.connection.delivered();
        while self.is_whole
            && let Some(Some(messages)) = ready(live).now_or_never()
        {
            self.is_whole = self.take(messages)?;
        }
        if self.is_whole && !self.is_own && sequence > self.at.major {
            self.at = record::message_position(sequence, check);
        }
        self.is_whole = false;
        Ok(())
    }

    fn restart(&self, reason: Reason) -> Result<(), Done> {
        let is_heard = self.feed.restart(self.session.epoch, self.at, reason);
        if is_heard { Ok(()) } else { Err(Done) }
    }

    /// Reads the missing messages. If that fails, it is tried again.
    async fn catch_up(&mut self, live: &mut Subscriber) -> Result<(), Done> {
        let mut events = 0;
        let mut buffer = MessageBuffer::default();
        loop {
            let Some(history) = self.feed.history() else {
                return Err(Done);
            };
            let request = ReadRequest {
                after: (!self.is_fresh).then_some(self.at),
                limit: PIECE,
                kept: messages(history.max_events),
                is_long: events > 0,
            };
            let replay = {
                let mut read =
                    std::pin::pin!(read(self.connection, &self.session, self.subjects, request));
                loop {
                    tokio::select! {
                        replay = &mut read => break replay,
                        Some(messages) = ready(live) => buffer.add(messages),
                    }
                }
            };
            match replay {
                Ok(Replay::Ok(read)) => {
                    let is_all = read.is_empty();
                    if let Some((last, _)) = read.last() {
                        events += read.len();
                        self.reach(*last);
                        self.append(read)?;
                    }
                    let is_over = match buffer.after(self.at.major) {
                        Buffered::Nothing => is_all,
                        Buffered::Next(messages) => self.take(messages)?,
                        Buffered::Gap => false,
                    };
                    if is_over {
                        break;
                    }
                }
                Ok(Replay::Err(reason)) => {
                    match last_position(self.connection, &self.session, self.subjects).await {
                        Ok((at, is_own)) => {
                            (self.at, self.is_own, self.is_fresh) = (at, is_own, false);
                            self.restart(reason)?;
                        }
                        Err(error) => return self.fail(&*error),
                    }
                }
                Err(error) => return self.fail(&*error),
            }
        }
        (self.is_whole, self.is_fresh) = (true, false);
        if std::mem::take(&mut self.is_flooded) {
            tracing::warn!(
                topic = &**self.feed.topic(),
                events,
                "NATS delivered faster than this node reads: the events were read again from the stream"
            );
        }
        Ok(())
    }

    fn fail(&self, error: &(dyn std::error::Error + 'static)) -> Result<(), Done> {
        tracing::debug!(topic = &**self.feed.topic(), %error, "a topic cannot be read yet");
        Ok(())
    }

    fn reach(&mut self, position: Position) {
        (self.at, self.is_own, self.is_fresh) = (position, true, false);
        let check = record::check_of(position);
        self.connection
            .deliver(&self.session, &self.subjects.events, position.major, check);
    }

    fn append(&self, events: Vec<(Position, EventWithoutId)>) -> Result<(), Done> {
        let is_heard = events.is_empty() || self.feed.append(events);
        if is_heard { Ok(()) } else { Err(Done) }
    }

    async fn deliver(&mut self, batch: Vec<Message>, live: &mut Subscriber) -> Result<(), Done> {
        // More may have come and were dropped.
        self.is_flooded |= batch.len() >= CAPACITY;
        if self.is_whole && (!self.take(batch)? || self.is_flooded) {
            self.is_whole = false;
            self.catch_up(live).await?;
        }
        Ok(())
    }

    /// Appends the messages. `false` if a message is missing.
    fn take(&mut self, batch: Vec<Message>) -> Result<bool, Done> {
        let mut events = Vec::new();
        let mut is_whole = true;
        for message in batch {
            let Some(repeated) = record::repeated(&message) else {
                tracing::warn!(
                    topic = &**self.feed.topic(),
                    "a message on a subject of the stream is skipped"
                );
                continue;
            };
            if !record::is_of(message.headers.as_ref(), self.session.epoch) {
                self.connection.doubt();
                is_whole = false;
            } else if repeated.previous > self.at.major {
                is_whole = false;
            } else if repeated.sequence > self.at.major {
                let headers = message.headers.as_ref();
                let mut last =
                    Position::new(repeated.sequence, record::check(headers, &message.payload));
                match record::read(repeated.sequence, headers, &message.payload) {
                    Ok(read) => {
                        last = read.last().map_or(last, |(position, _)| *position);
                        events.extend(read);
                    }
                    Err(error) => self.subjects.warn(repeated.sequence, &error),
                }
                self.reach(last);
            }
            // Messages that come while others are missing are read from the stream later.
            if !is_whole {
                break;
            }
        }
        self.append(events)?;
        Ok(is_whole)
    }
}

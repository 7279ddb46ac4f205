//! Following one topic: what the stream repeats of it goes to the node's ring, and what did not come is read from the stream.
//!
//! The stream repeats each message on another subject once it has it, to whoever listens there, and says with each which sequence
//! the message before it in the same topic had. So a message that did not come is missed as soon as the next one comes; and after
//! each interruption the stream is read from where the topic stood. A node that is too slow for what comes drops all that is on its
//! way, and reads it from the stream once.

use std::sync::Arc;
use std::time::Duration;

use async_nats::{Message, Subscriber};
use futures_util::{FutureExt, StreamExt};
use tokio::sync::watch;

use super::connection::{AGAIN, CAPACITY, Connection, Session, State};
use super::read::{self, Wanted, read, stand};
use super::record;
use super::refusals::Asking;
use super::settings::messages;
use super::subjects::Subjects;
use crate::topic::broker::{Replay, TopicFeed};
use crate::topic::encoded::Draft;
use crate::topic::notice::Reason;
use crate::topic::position::Position;
use crate::topic::remote;

/// How many bytes are read at once of what did not come, and how many that come meanwhile are kept.
const PIECE: usize = 512 * 1024;
/// Between attempts to subscribe to a subject that the server does not allow.
const REFUSED: Duration = Duration::from_secs(1);

/// Nobody listens any more.
struct Done;

struct Follower<'a> {
    connection: &'a Connection,
    feed: &'a TopicFeed,
    subjects: &'a Subjects,
    session: Arc<Session>,
    /// The epoch in which the feed stands, for those who replay.
    epoch: watch::Sender<Option<u64>>,
    /// All up to this position is fed.
    at: Position,
    /// Whether there is an event of the topic at `at`, or only another topic's.
    is_own: bool,
    /// Whether what comes next is what comes after `at`.
    is_whole: bool,
    /// Whether a new life of the stream is read from its start.
    is_fresh: bool,
    is_up: bool,
    /// Whether so many have come that some may have been dropped.
    is_flooded: bool,
}

/// Follows a topic for as long as it is polled and somebody listens. `epoch` is told in which epoch the feed stands.
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
    // Held until the server has answered something: a refusal comes before that answer.
    let mut place = connection.subscribing.acquire().await.ok();
    // Before the subscription: a refusal may come at once.
    let mut asking = connection.refusals.watch(&subjects.live);
    let live = match session.client.subscribe(subjects.live.clone()).await {
        Ok(live) => live,
        Err(error) => {
            feed.interrupt();
            return tracing::error!(topic = &**feed.topic(), %error, "a topic cannot be followed");
        }
    };
    // Asked after the subscription: what comes behind the answer comes by it.
    let (session, (at, is_own)) = loop {
        let Some(session) = remote::up(&mut states).await else {
            return;
        };
        let stand = stand(&connection, &session, &subjects).await;
        drop(place.take());
        match stand {
            Ok(stand) => break (session, stand),
            Err(error) => {
                feed.interrupt();
                tracing::debug!(topic = &**feed.topic(), %error, "where a topic stands is not known yet");
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
        let Done = follower.run(states, live, &mut asking).await;
    }
}

/// All messages that have come, or else the next one. Cancel safe.
async fn ready(live: &mut Subscriber) -> Option<Vec<Message>> {
    // Unconstrained: where the runtime only wants a pause, nothing is waited for.
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

/// What comes live while earlier messages are read, up to a bound: reading ends where it joins them.
#[derive(Default)]
struct Waiting {
    messages: Vec<Message>,
    bytes: usize,
    newest: u64,
    /// Whether more may have come, and have been dropped.
    is_flooded: bool,
}

enum Join {
    /// Nothing later has come.
    Nothing,
    /// These come next.
    Next(Vec<Message>),
    /// There is more to be read before them.
    Later,
}

impl Waiting {
    fn add(&mut self, messages: Vec<Message>) {
        self.is_flooded |= messages.len() >= CAPACITY;
        for message in messages {
            if let Some(place) = record::place(&message) {
                self.newest = self.newest.max(place.sequence);
                self.bytes += message.length;
                self.messages.push(message);
            }
        }
        if self.bytes > PIECE {
            // It is read from the stream.
            self.messages = Vec::new();
            self.bytes = 0;
        }
    }

    fn after(&mut self, at: u64) -> Join {
        let sequence = |message: &Message| record::place(message).map_or(0, |place| place.sequence);
        self.messages.retain(|message| sequence(message) > at);
        let first = self.messages.first().and_then(record::place);
        match first {
            _ if std::mem::take(&mut self.is_flooded) => Join::Later,
            None if self.newest <= at => Join::Nothing,
            Some(first) if first.previous <= at => {
                self.bytes = 0;
                Join::Next(std::mem::take(&mut self.messages))
            }
            _ => Join::Later,
        }
    }
}

impl Follower<'_> {
    async fn run(
        mut self,
        mut states: watch::Receiver<State>,
        mut live: Subscriber,
        asking: &mut Asking<'_>,
    ) -> Done {
        // The session may have ended before `states` was looked at last.
        states.mark_changed();
        let mut is_refused = false;
        let mut lost = self.connection.refusals.lost();
        asking.settle();
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
                () = asking.any_refused(), if !is_refused => {
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
                    match self.subscribe_again(asking).await {
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
                    asking.settle();
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
        asking: &mut Asking<'_>,
    ) -> Result<Subscriber, async_nats::SubscribeError> {
        let _place = self.connection.subscribing.acquire().await;
        asking.forget();
        let live = self
            .session
            .client
            .subscribe(self.subjects.live.clone())
            .await?;
        // A refusal comes before this answer, whatever it is.
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
            self.at = last.map_or(record::place_of(start, 0), |last| last.position());
            self.is_own = false;
            self.is_fresh = true;
            self.restart(Reason::Epoch)?;
            self.epoch.send_replace(Some(self.session.epoch));
        }
        self.catch_up(live).await
    }

    /// The connection is gone: what comes next is no longer known to come after `at`.
    fn lose(&mut self, live: &mut Subscriber) -> Result<(), Done> {
        if !self.is_whole {
            return Ok(());
        }
        // Looked up before what has come is taken: that has all that is of the topic up to there.
        let (sequence, check) = self.connection.delivered();
        while self.is_whole
            && let Some(Some(messages)) = ready(live).now_or_never()
        {
            self.is_whole = self.take(messages)?;
        }
        if self.is_whole && !self.is_own && sequence > self.at.major {
            self.at = record::place_of(sequence, check);
        }
        self.is_whole = false;
        Ok(())
    }

    fn restart(&self, reason: Reason) -> Result<(), Done> {
        let is_heard = self.feed.restart(self.session.epoch, self.at, reason);
        if is_heard { Ok(()) } else { Err(Done) }
    }

    /// Reads what did not come. Where that fails it stays in doubt.
    async fn catch_up(&mut self, live: &mut Subscriber) -> Result<(), Done> {
        let mut events = 0;
        let mut waiting = Waiting::default();
        loop {
            let Some(history) = self.feed.history() else {
                return Err(Done);
            };
            let wanted = Wanted {
                after: (!self.is_fresh).then_some(self.at),
                limit: PIECE,
                kept: messages(history.max_events),
                is_long: events > 0,
            };
            let replay = {
                let mut read =
                    std::pin::pin!(read(self.connection, &self.session, self.subjects, wanted));
                loop {
                    tokio::select! {
                        replay = &mut read => break replay,
                        Some(messages) = ready(live) => waiting.add(messages),
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
                    let is_over = match waiting.after(self.at.major) {
                        Join::Nothing => is_all,
                        Join::Next(messages) => self.take(messages)?,
                        Join::Later => false,
                    };
                    if is_over {
                        break;
                    }
                }
                Ok(Replay::Err(reason)) => {
                    match stand(self.connection, &self.session, self.subjects).await {
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

    fn append(&self, events: Vec<(Position, Draft)>) -> Result<(), Done> {
        let is_heard = events.is_empty() || self.feed.append(events);
        if is_heard { Ok(()) } else { Err(Done) }
    }

    async fn deliver(&mut self, batch: Vec<Message>, live: &mut Subscriber) -> Result<(), Done> {
        // More may have come, and have been dropped.
        self.is_flooded |= batch.len() >= CAPACITY;
        if self.is_whole && (!self.take(batch)? || self.is_flooded) {
            self.is_whole = false;
            self.catch_up(live).await?;
        }
        Ok(())
    }

    /// Feeds what has come. `false` where something is missing.
    fn take(&mut self, batch: Vec<Message>) -> Result<bool, Done> {
        let mut events = Vec::new();
        let mut is_whole = true;
        for message in batch {
            let Some(place) = record::place(&message) else {
                tracing::warn!(
                    topic = &**self.feed.topic(),
                    "a message on a subject of the stream's own is passed over"
                );
                continue;
            };
            if !record::is_of(message.headers.as_ref(), self.session.epoch) {
                self.connection.doubt();
                is_whole = false;
            } else if place.previous > self.at.major {
                is_whole = false;
            } else if place.sequence > self.at.major {
                let headers = message.headers.as_ref();
                let mut last =
                    Position::new(place.sequence, record::check(headers, &message.payload));
                match record::read(place.sequence, headers, &message.payload) {
                    Ok(read) => {
                        last = read.last().map_or(last, |(position, _)| *position);
                        events.extend(read);
                    }
                    Err(error) => self.subjects.warn(place.sequence, &error),
                }
                self.reach(last);
            }
            // What comes in doubt is read later, in its place.
            if !is_whole {
                break;
            }
        }
        self.append(events)?;
        Ok(is_whole)
    }
}

#[cfg(test)]
mod tests {
    use async_nats::HeaderMap;
    use async_nats::header::{NATS_LAST_SEQUENCE, NATS_SEQUENCE};

    use super::*;

    fn message(sequence: u64, length: usize) -> Message {
        let mut headers = HeaderMap::new();
        headers.insert(NATS_SEQUENCE, sequence.to_string());
        headers.insert(NATS_LAST_SEQUENCE, (sequence - 1).to_string());
        Message {
            subject: "bocadillo.live.a".into(),
            reply: None,
            payload: vec![b'x'; length].into(),
            headers: Some(headers),
            status: None,
            description: None,
            length,
        }
    }

    #[test]
    fn what_waits_while_earlier_messages_are_read_is_bounded() {
        let mut waiting = Waiting::default();
        for sequence in 1..=1_000 {
            waiting.add(vec![message(sequence, 10_000)]);
            let held: usize = waiting.messages.iter().map(|message| message.length).sum();
            assert!(held <= 512 * 1024, "{held}");
        }
        assert!(matches!(waiting.after(500), Join::Later), "it is read");
        assert!(matches!(waiting.after(1_000), Join::Nothing));

        let mut waiting = Waiting::default();
        (2..=40).for_each(|sequence| waiting.add(vec![message(sequence, 10_000)]));
        assert!(matches!(waiting.after(1), Join::Next(next) if next.len() == 39));
    }

    #[test]
    fn after_a_flood_the_stream_is_read_once_more() {
        let mut waiting = Waiting::default();
        waiting.add((1..=CAPACITY as u64).map(|at| message(at, 1)).collect());
        let last = CAPACITY as u64;
        assert!(matches!(waiting.after(last), Join::Later));
        assert!(matches!(waiting.after(last), Join::Nothing));
    }
}

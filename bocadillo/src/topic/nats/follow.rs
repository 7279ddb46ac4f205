//! Following one topic: what the stream repeats of it goes to the node's ring, and what did not come is read from the stream.
//!
//! The stream repeats each message on another subject once it has it, to whoever listens there, and says with each which sequence
//! the message before it in the same topic had. So a message that did not come is missed as soon as the next one comes; and after
//! each interruption the stream is read from where the topic stood.

use std::sync::Arc;
use std::time::Duration;

use async_nats::{Message, Subscriber};
use futures_util::StreamExt;
use futures_util::stream::ReadyChunks;
use tokio::sync::watch;
use tokio::time::Instant;

use super::link::{self, Link, Session, State};
use super::read::{Wanted, read};
use super::record;
use super::settings::messages;
use super::subjects::Subjects;
use crate::topic::encoded::Draft;
use crate::topic::engine::{Feed, Replay};
use crate::topic::notice::Reason;
use crate::topic::position::Position;

/// How many messages that came together are fed together.
const TOGETHER: usize = 256;
const PIECE: usize = 256 * 1024;
const AGAIN: Duration = Duration::from_millis(200);

/// Nobody listens any more.
struct Done;

struct Follower<'a> {
    link: &'a Link,
    feed: &'a Feed,
    subjects: &'a Subjects,
    session: Arc<Session>,
    /// The epoch in which the feed stands, for those who replay.
    epoch: watch::Sender<Option<u64>>,
    /// All up to this sequence is fed.
    at: u64,
    /// Whether what comes next is what comes after `at`.
    is_whole: bool,
    whole_until: Instant,
    /// Whether a new life of the stream is read from its start.
    is_fresh: bool,
    is_up: bool,
}

/// Follows a topic for as long as it is polled and somebody listens. `epoch` is told in which epoch the feed stands.
pub(super) async fn follow(link: Arc<Link>, feed: Feed, epoch: watch::Sender<Option<u64>>) {
    let subjects = Subjects::new(&link.settings.stream, feed.topic());
    let mut states = link.states();
    // One client for good: it subscribes again after each reconnect by itself.
    let Some(session) = link::up(&mut states).await else {
        return;
    };
    let live = match session.client.subscribe(subjects.live.clone()).await {
        Ok(live) => live.ready_chunks(TOGETHER),
        Err(error) => {
            return tracing::error!(topic = &**feed.topic(), %error, "a topic cannot be followed");
        }
    };
    // Asked after the subscription: what comes behind the answer comes by it.
    let (session, at) = loop {
        let Some(session) = link::up(&mut states).await else {
            return;
        };
        match link.last(&session).await {
            Ok(last) => break (session, last),
            Err(error) => {
                tracing::debug!(topic = &**feed.topic(), %error, "where a topic stands is not known yet");
                let _ = tokio::time::timeout(AGAIN, states.changed()).await;
            }
        }
    };
    if feed.begin(session.epoch, Position::new(at, 0)) {
        epoch.send_replace(Some(session.epoch));
        let follower = Follower {
            link: &link,
            feed: &feed,
            subjects: &subjects,
            session,
            epoch,
            at,
            is_whole: true,
            whole_until: Instant::now(),
            is_fresh: false,
            is_up: true,
        };
        let Done = follower.run(states, live).await;
    }
}

impl Follower<'_> {
    async fn run(
        mut self,
        mut states: watch::Receiver<State>,
        mut live: ReadyChunks<Subscriber>,
    ) -> Done {
        // The session may have ended before `states` was looked at last.
        states.mark_changed();
        loop {
            let done = tokio::select! {
                biased;
                changed = states.changed() => {
                    if changed.is_err() {
                        return Done;
                    }
                    let state = states.borrow_and_update().clone();
                    self.turn(state).await
                }
                messages = live.next() => {
                    let Some(messages) = messages else { return Done };
                    self.deliver(messages).await
                }
                () = tokio::time::sleep(AGAIN), if !self.is_whole && self.is_up => {
                    let state = states.borrow_and_update().clone();
                    self.turn(state).await
                }
            };
            if let Err(done) = done {
                return done;
            }
        }
    }

    async fn turn(&mut self, state: State) -> Result<(), Done> {
        self.is_up = matches!(state, State::Up(_));
        let State::Up(session) = state else {
            self.doubt(Instant::now());
            return Ok(());
        };
        if session.number != self.session.number {
            self.doubt(session.whole_until);
            self.session = session;
        } else if self.is_whole {
            return Ok(());
        }
        if *self.epoch.borrow() != Some(self.session.epoch) {
            self.at = self.session.start;
            self.is_fresh = true;
            self.restart(Reason::Epoch)?;
            self.epoch.send_replace(Some(self.session.epoch));
        }
        self.catch_up().await
    }

    /// What comes is no longer known to be what comes next.
    fn doubt(&mut self, whole_until: Instant) {
        if std::mem::take(&mut self.is_whole) {
            self.whole_until = whole_until;
        }
    }

    fn restart(&self, reason: Reason) -> Result<(), Done> {
        let is_heard = self
            .feed
            .restart(self.session.epoch, Position::new(self.at, 0), reason);
        if is_heard { Ok(()) } else { Err(Done) }
    }

    /// Reads what did not come. Where that fails it stays in doubt.
    async fn catch_up(&mut self) -> Result<(), Done> {
        loop {
            let after = (!self.is_fresh).then_some(Position::new(self.at, 0));
            let Some(history) = self.feed.history() else {
                return Err(Done);
            };
            let kept = messages(history.max_events());
            let is_recent = self.session.keeps_all_since(self.whole_until);
            let wanted = Wanted {
                after,
                limit: PIECE,
                kept,
                is_recent,
            };
            match read(self.link, &self.session, self.subjects, wanted).await {
                Ok(Replay::Events(events)) => {
                    let Some((last, _)) = events.last() else {
                        break;
                    };
                    self.reach(last.major);
                    self.append(events)?;
                }
                Ok(Replay::Evicted) => match self.link.last(&self.session).await {
                    Ok(last) => {
                        self.reach(last);
                        self.restart(Reason::Evicted)?;
                    }
                    Err(error) => return self.fail(&*error),
                },
                Ok(Replay::Unknown) => {
                    self.link.doubt();
                    return Ok(());
                }
                Err(error) => return self.fail(&*error),
            }
        }
        (self.is_whole, self.is_fresh) = (true, false);
        self.whole_until = Instant::now();
        Ok(())
    }

    fn fail(&self, error: &(dyn std::error::Error + 'static)) -> Result<(), Done> {
        tracing::debug!(topic = &**self.feed.topic(), %error, "a topic cannot be read yet");
        Ok(())
    }

    fn reach(&mut self, sequence: u64) {
        self.at = self.at.max(sequence);
        self.is_fresh = false;
        self.link.observe(&self.session, sequence);
    }

    fn append(&self, events: Vec<(Position, Draft)>) -> Result<(), Done> {
        let is_heard = events.is_empty() || self.feed.append(events);
        if is_heard { Ok(()) } else { Err(Done) }
    }

    async fn deliver(&mut self, batch: Vec<Message>) -> Result<(), Done> {
        let mut events = Vec::new();
        for message in batch {
            // What comes in doubt is read later, in its place.
            if !self.is_whole {
                break;
            }
            let Some(place) = record::place(&message) else {
                tracing::warn!(
                    topic = &**self.feed.topic(),
                    "a message on a subject of the stream's own is passed over"
                );
                continue;
            };
            if !record::is_of(message.headers.as_ref(), self.session.epoch) {
                self.link.doubt();
                self.doubt(Instant::now());
            } else if place.previous > self.at {
                self.append(std::mem::take(&mut events))?;
                self.doubt(self.whole_until);
                self.catch_up().await?;
            } else if place.sequence > self.at {
                match record::read(place.sequence, message.headers.as_ref(), &message.payload) {
                    Ok(read) => events.extend(read),
                    Err(error) => self.subjects.warn(place.sequence, &error),
                }
                self.reach(place.sequence);
            }
        }
        self.append(events)
    }
}

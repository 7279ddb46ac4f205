//! Reading a topic's history from its stream. A read says that it is whole only when that is proven.
//!
//! The proof is the message that the reader goes on after. JetStream removes the oldest messages of a topic first, by number, by
//! age, by bytes and by a purge. So a message that is still there after the read shows that none behind it was removed in these ways.
//! Its check tells it from a message of another time that has its sequence: a stream may have been restored from a backup.
//! A single message can also be deleted by hand. The message behind it names it, if its publisher knew it.

use std::time::Duration;

use async_nats::jetstream::consumer::{AckPolicy, DeliverPolicy, pull};
use async_nats::jetstream::stream::{LastRawMessageErrorKind, RawMessageErrorKind};
use async_nats::{HeaderMap, Message};
use bytes::Bytes;
use futures_util::StreamExt;
use serde_json::json;

use super::connection::{self, CAPACITY, Connection, Session};
use super::record;
use super::subjects::Subjects;
use crate::error::BoxError;
use crate::topic::broker::Replay;
use crate::topic::encoded::Draft;
use crate::topic::notice::Reason;
use crate::topic::position::Position;

/// So many messages are asked for one by one, which is quickest for a client that has missed little. A consumer brings the others.
const SINGLY: usize = 4;
/// The most messages that a consumer brings at once: what does not fit into the client's channel would be lost.
const AT_ONCE: usize = CAPACITY / 2;
/// The server removes a consumer that is not asked for this long, where this node may not delete it or is gone.
const UNUSED: Duration = Duration::from_secs(20);
/// A list of more deleted sequences is not asked for.
const DELETED: u64 = 10_000;

const GET: &str = "$JS.API.STREAM.MSG.GET";

/// A message of the stream.
pub(super) struct Stored {
    pub(super) sequence: u64,
    subject: String,
    headers: HeaderMap,
    payload: Bytes,
}

impl Stored {
    pub(super) fn check(&self) -> u64 {
        record::check(Some(&self.headers), &self.payload)
    }

    fn events(&self) -> crate::Result<Vec<(Position, Draft)>> {
        record::read(self.sequence, Some(&self.headers), &self.payload)
    }

    /// Of its last event.
    pub(super) fn position(&self) -> Position {
        match self.events().ok().and_then(|mut events| events.pop()) {
            Some((position, _)) => position,
            None => Position::new(self.sequence, self.check()),
        }
    }
}

/// What is asked for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wanted {
    pub(super) after: Option<Position>,
    /// About how many bytes.
    pub(super) limit: usize,
    /// How many messages of the topic are kept, the one before its history with them.
    pub(super) kept: u64,
    /// Whether it is known that many are missing: then none is asked for by itself.
    pub(super) is_long: bool,
}

/// The events after a position, oldest first.
///
/// # Errors
///
/// When the broker does not answer, or the stream is not the session's any more.
pub(super) async fn read(
    connection: &Connection,
    session: &Session,
    subjects: &Subjects,
    wanted: Wanted,
) -> Result<Replay, BoxError> {
    let mut states = connection.states();
    let whole = async {
        let turn = connection.pace.turn(wanted.limit).await?;
        let wanted = Wanted {
            limit: turn.limit,
            ..wanted
        };
        let reading = Reading {
            connection,
            session,
            subjects,
            wanted,
            events: Vec::new(),
            bytes: 0,
            is_doubtful: false,
        };
        let replay = match wanted.after {
            None => reading.whole_history().await,
            Some(after) => reading.after(after).await,
        };
        turn.end(replay.is_ok());
        replay
    };
    tokio::select! {
        replay = whole => replay,
        () = connection::over(&mut states, session) => Err("the connection is lost".into()),
    }
}

/// Where a topic stands: its newest event, or else the place of the stream's newest message. The second value says which.
///
/// # Errors
///
/// As of [`read`].
pub(super) async fn stand(
    connection: &Connection,
    session: &Session,
    subjects: &Subjects,
) -> Result<(Position, bool), BoxError> {
    // A place before the question: a message that comes in between has a higher sequence, and is delivered.
    let place = connection.place(session).await?;
    let _turn = connection.pace.turn(1).await?;
    let request = session
        .stream
        .raw_message_builder()
        .last_by_subject(&*subjects.events);
    match connection.unless_refused(GET, request.send()).await? {
        Ok(message) => {
            let newest = Stored {
                sequence: message.sequence,
                subject: message.subject.to_string(),
                headers: message.headers,
                payload: message.payload,
            };
            Ok((newest.position(), true))
        }
        Err(error) if error.kind() == LastRawMessageErrorKind::NoMessageFound => Ok((place, false)),
        Err(error) => Err(error.into()),
    }
}

/// The message with this sequence, of whichever topic.
pub(super) async fn message(
    connection: &Connection,
    session: &Session,
    sequence: u64,
) -> Result<Option<Stored>, BoxError> {
    if sequence == 0 {
        return Ok(None);
    }
    let request = session.stream.get_raw_message(sequence);
    match connection.unless_refused(GET, request).await? {
        Ok(message) => Ok(Some(Stored {
            sequence: message.sequence,
            subject: message.subject.to_string(),
            headers: message.headers,
            payload: message.payload,
        })),
        Err(error) if error.kind() == RawMessageErrorKind::NoMessageFound => Ok(None),
        Err(error) => Err(error.into()),
    }
}

struct Reading<'a> {
    connection: &'a Connection,
    session: &'a Session,
    subjects: &'a Subjects,
    wanted: Wanted,
    events: Vec<(Position, Draft)>,
    bytes: usize,
    /// Whether a message came from somebody who took the stream for another one.
    is_doubtful: bool,
}

/// What is known of the place that a reader goes on after.
enum Anchor {
    /// Nothing behind it was removed.
    Proven,
    /// Something behind it may have been removed.
    Gone,
    /// It was never there in this life of the stream.
    Other,
}

/// Where reading has ended.
struct End {
    last: u64,
    /// Whether there was nothing more.
    is_all: bool,
    /// Whether a message names one before it that is not there.
    is_broken: bool,
}

impl Reading<'_> {
    async fn after(mut self, after: Position) -> Result<Replay, BoxError> {
        // Confirmed before the read, so the read has to find it.
        let tail = self.connection.tail(&self.subjects.events);
        let end = self.take_all_after(after.major).await?;
        let is_broken = end.is_broken || (end.is_all && tail.is_some_and(|tail| tail > end.last));
        // Only looked at after the read: a message that is there now was there all the time.
        let own = self.next(after.major).await?;
        let own = own.filter(|own| own.sequence == after.major && after.major > 0);
        let anchor = match own {
            Some(own) => self.take_rest(&own, after),
            None => self.place(after).await?,
        };
        self.look_again().await?;
        Ok(match anchor {
            Anchor::Proven if !is_broken => Replay::Ok(self.events),
            Anchor::Proven | Anchor::Gone => Replay::Err(Reason::Evicted),
            Anchor::Other => Replay::Err(Reason::Epoch),
        })
    }

    /// The events of the anchor's own message that come after it.
    fn take_rest(&mut self, own: &Stored, after: Position) -> Anchor {
        self.is_doubtful |= !record::is_of(Some(&own.headers), self.session.epoch);
        let events = own.events().unwrap_or_default();
        let count = events.len().max(1) as u64;
        if own.check() != record::check_of(after) || record::index_of(after) >= count {
            return Anchor::Other;
        }
        let rest = events.into_iter().filter(|(position, _)| *position > after);
        self.events.splice(0..0, rest);
        Anchor::Proven
    }

    /// From the oldest message of the history. There is nothing to be proven before it.
    async fn whole_history(mut self) -> Result<Replay, BoxError> {
        let info = self
            .connection
            .info(
                self.session,
                json!({ "subjects_filter": self.subjects.events }),
            )
            .await?;
        let messages = info.state.subjects.get(&self.subjects.events);
        let messages = messages.copied().unwrap_or(0);
        let skipped = messages.saturating_sub(self.wanted.kept.saturating_sub(1));
        let mut from = 1;
        for _ in 0..skipped {
            match self.next(from).await? {
                Some(old) => from = old.sequence.saturating_add(1),
                None => return Ok(Replay::Ok(Vec::new())),
            }
        }
        let Some(first) = self.next(from).await? else {
            return Ok(Replay::Ok(Vec::new()));
        };
        self.take(&first);
        let end = self.take_all_after(first.sequence).await?;
        self.look_again().await?;
        if end.last > first.sequence {
            // Whatever was removed meanwhile, what is behind the oldest that is left is whole.
            let oldest = self.next(first.sequence).await?;
            let oldest = oldest.map_or(u64::MAX, |oldest| oldest.sequence);
            if end.is_broken || oldest > end.last {
                let last = end.last;
                self.events.retain(|(position, _)| position.major == last);
            } else {
                self.events.retain(|(position, _)| position.major >= oldest);
            }
        }
        Ok(Replay::Ok(self.events))
    }

    /// What is known of a place that has no message of the topic.
    async fn place(&self, after: Position) -> Result<Anchor, BoxError> {
        let Position { major, .. } = after;
        let check = record::check_of(after);
        let state = self.connection.info(self.session, json!({})).await?.state;
        if state.last_seq < major || record::index_of(after) > 0 && check == 0 {
            return Ok(Anchor::Other);
        }
        if major > 0 {
            match message(self.connection, self.session, major).await? {
                Some(other) if other.subject == self.subjects.events => return Ok(Anchor::Gone),
                Some(other) if other.check() != check => return Ok(Anchor::Other),
                Some(_) => {}
                None if state.last_seq == major => return Ok(Anchor::Proven),
                None => return Ok(Anchor::Gone),
            }
        } else if check != 0 {
            return Ok(Anchor::Other);
        }
        // JetStream does not tell which topic a removed message was of.
        if state.first_seq > major.saturating_add(1) && state.last_seq > major {
            return Ok(Anchor::Gone);
        }
        if state.num_deleted == 0 {
            return Ok(Anchor::Proven);
        }
        if state.num_deleted > DELETED {
            return Ok(Anchor::Gone);
        }
        let details = self
            .connection
            .info(self.session, json!({ "deleted_details": true }))
            .await?;
        let is_whole = details.state.deleted.iter().all(|deleted| *deleted < major);
        Ok(if is_whole {
            Anchor::Proven
        } else {
            Anchor::Gone
        })
    }

    /// After messages that were meant for another stream, the stream may be another one by now, which is an error.
    async fn look_again(&self) -> Result<(), BoxError> {
        if self.is_doubtful {
            self.connection.info(self.session, json!({})).await?;
        }
        Ok(())
    }

    /// The events of all messages behind this one, up to the limit.
    async fn take_all_after(&mut self, last: u64) -> Result<End, BoxError> {
        let mut end = End {
            last,
            is_all: false,
            is_broken: false,
        };
        let singly = if self.wanted.is_long { 0 } else { SINGLY };
        for _ in 0..singly {
            if self.is_full() || !self.take_next(&mut end).await? {
                return Ok(end);
            }
        }
        if self.is_full() {
            return Ok(end);
        }
        // What it brings is enough for now: a reader that runs after a busy publisher would lose its anchor.
        let messages = self.several(end.last.saturating_add(1)).await?;
        messages
            .iter()
            .for_each(|message| self.go_on(&mut end, message));
        // The consumer may be a replica's that is behind, or the message is too large for it. And of messages that hold no event of
        // ours there may be any number.
        while (messages.is_empty() || self.events.is_empty()) && !self.is_full() {
            if !self.take_next(&mut end).await? || !self.events.is_empty() {
                break;
            }
        }
        Ok(end)
    }

    async fn take_next(&mut self, end: &mut End) -> Result<bool, BoxError> {
        let message = self.next(end.last.saturating_add(1)).await?;
        match &message {
            Some(message) => self.go_on(end, message),
            None => end.is_all = true,
        }
        Ok(message.is_some())
    }

    fn go_on(&mut self, end: &mut End, message: &Stored) {
        end.is_broken |= self.is_broken(message, end.last);
        end.last = message.sequence;
        self.take(message);
    }

    /// Whether a message names one that should have come after `last`.
    fn is_broken(&self, message: &Stored, last: u64) -> bool {
        record::before(Some(&message.headers))
            .is_some_and(|before| before > last && before < message.sequence)
    }

    fn is_full(&self) -> bool {
        self.bytes >= self.wanted.limit && !self.events.is_empty()
    }

    fn take(&mut self, message: &Stored) {
        self.is_doubtful |= !record::is_of(Some(&message.headers), self.session.epoch);
        match message.events() {
            Ok(events) => {
                let before = self.events.len();
                let after = self.wanted.after;
                self.events.extend(
                    events
                        .into_iter()
                        .filter(|(position, _)| Some(*position) > after),
                );
                if self.events.len() > before {
                    self.bytes += message.payload.len();
                }
            }
            Err(error) => self.subjects.warn(message.sequence, &error),
        }
    }

    /// The first message with this sequence or a later one. The stream's leader answers.
    async fn next(&self, from: u64) -> Result<Option<Stored>, BoxError> {
        let request = self
            .session
            .stream
            .raw_message_builder()
            .sequence(from.max(1))
            .next_by_subject(&*self.subjects.events);
        match self.connection.unless_refused(GET, request.send()).await? {
            Ok(message) => Ok(Some(Stored {
                sequence: message.sequence,
                subject: message.subject.to_string(),
                headers: message.headers,
                payload: message.payload,
            })),
            Err(error) if error.kind() == LastRawMessageErrorKind::NoMessageFound => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Messages from this sequence on, as many as fit; call it while something fits. None when the first is larger than what is left of the limit.
    async fn several(&self, from: u64) -> Result<Vec<Stored>, BoxError> {
        let bytes = self.wanted.limit.saturating_sub(self.bytes);
        let config = pull::Config {
            deliver_policy: DeliverPolicy::ByStartSequence {
                start_sequence: from,
            },
            ack_policy: AckPolicy::None,
            filter_subject: self.subjects.events.clone(),
            inactive_threshold: UNUSED,
            memory_storage: true,
            num_replicas: 1,
            ..pull::Config::default()
        };
        let created = self.session.stream.create_consumer(config);
        let consumer = self
            .connection
            .unless_refused("$JS.API.CONSUMER.CREATE", created)
            .await??;
        let name = consumer.cached_info().name.clone();
        let fetched = async {
            let mut batch = consumer
                .fetch()
                .max_messages(AT_ONCE)
                .max_bytes(bytes)
                .messages()
                .await?;
            let mut all = Vec::new();
            loop {
                let message = match self.connection.pace.answer(batch.next()).await {
                    Ok(Some(Ok(message))) => message,
                    Ok(None) => break,
                    // What has come is whole up to here: it came in order.
                    Ok(Some(Err(_))) | Err(_) if !all.is_empty() => break,
                    Ok(Some(Err(error))) => {
                        tracing::debug!(%error, "a consumer has brought nothing");
                        break;
                    }
                    Err(error) => return Err(error),
                };
                let sequence = message.info()?.stream_sequence;
                let Message {
                    headers,
                    payload,
                    subject,
                    ..
                } = message.message;
                all.push(Stored {
                    sequence,
                    subject: subject.to_string(),
                    headers: headers.unwrap_or_default(),
                    payload,
                });
            }
            Ok::<_, BoxError>(all)
        };
        let all = self
            .connection
            .unless_refused("$JS.API.CONSUMER.MSG.NEXT", fetched)
            .await?;
        // The consumer goes by itself if this is not allowed.
        let delete = format!(
            "$JS.API.CONSUMER.DELETE.{}.{name}",
            self.connection.settings.stream
        );
        self.session.client.publish(delete, Bytes::new()).await?;
        all
    }
}

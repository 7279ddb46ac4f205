//! Reads the history of a topic from the stream, and proves that it is complete.
//!
//! The proof is the anchor: the message after which the reader continues. JetStream removes the oldest messages of a topic first, by
//! number, age, bytes and by a purge. So if the anchor is still there after the read, no later message was removed in these ways. The
//! check of a message differs from that of another message with the same sequence, because a stream may have been restored from a
//! backup. Somebody can also delete a single message. The message after it names it, if its publisher knew it.

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
use crate::topic::encoded::EventWithoutId;
use crate::topic::notice::Reason;
use crate::topic::position::Position;

mod fetch;

/// So many messages are requested one by one, which is fastest for a client that has missed little. A consumer brings the others.
const SINGLY: usize = 4;
/// The maximum number of messages that a consumer brings at once. More would not fit into the client's channel.
const AT_ONCE: usize = CAPACITY / 2;
/// After this time without a request the server removes a consumer, if this node cannot delete it.
const UNUSED: Duration = Duration::from_secs(20);
/// A longer list of deleted sequences is not requested.
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

    fn events(&self) -> crate::Result<Vec<(Position, EventWithoutId)>> {
        record::read(self.sequence, Some(&self.headers), &self.payload)
    }

    /// The position of its last event.
    pub(super) fn position(&self) -> Position {
        match self.events().ok().and_then(|mut events| events.pop()) {
            Some((position, _)) => position,
            None => Position::new(self.sequence, self.check()),
        }
    }
}

/// A request for events.
#[derive(Clone, Copy, Debug)]
pub(super) struct ReadRequest {
    pub(super) after: Option<Position>,
    /// About how many bytes.
    pub(super) limit: usize,
    /// The maximum number of messages of the topic: its history and one more.
    pub(super) kept: u64,
    /// Whether many messages are missing. Then none is requested alone.
    pub(super) is_long: bool,
}

/// The events after a position, oldest first.
///
/// # Errors
///
/// When the broker does not answer, or when the stream is no longer that of the session.
pub(super) async fn read(
    connection: &Connection,
    session: &Session,
    subjects: &Subjects,
    request: ReadRequest,
) -> Result<Replay, BoxError> {
    let mut states = connection.states();
    let whole = async {
        let permit = connection.read_limiter.acquire(request.limit).await?;
        let request = ReadRequest {
            limit: permit.limit,
            ..request
        };
        let reading = Reading {
            connection,
            session,
            subjects,
            request,
            events: Vec::new(),
            bytes: 0,
            is_doubtful: false,
        };
        let replay = match request.after {
            None => reading.whole_history().await,
            Some(after) => reading.after(after).await,
        };
        permit.end(replay.is_ok());
        replay
    };
    tokio::select! {
        replay = whole => replay,
        () = connection::over(&mut states, session) => Err("the connection is lost".into()),
    }
}

/// The position of the topic's newest event (`true`), or of the stream's newest message if the topic has none (`false`).
///
/// # Errors
///
/// As of [`read`].
pub(super) async fn last_position(
    connection: &Connection,
    session: &Session,
    subjects: &Subjects,
) -> Result<(Position, bool), BoxError> {
    // Taken before the request. A message that comes in between has a higher sequence, and the subscription brings it.
    let newest = connection.newest_message(session).await?;
    let _permit = connection.read_limiter.acquire(1).await?;
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
            connection.remember(session, &subjects.events, newest.sequence);
            Ok((newest.position(), true))
        }
        Err(error) if error.kind() == LastRawMessageErrorKind::NoMessageFound => {
            Ok((newest, false))
        }
        Err(error) => Err(error.into()),
    }
}

/// The message with this sequence, of any topic.
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
    request: ReadRequest,
    events: Vec<(Position, EventWithoutId)>,
    bytes: usize,
    /// Whether a message was meant for another epoch.
    is_doubtful: bool,
}

/// What is known about the anchor.
enum Anchor {
    /// No later message was removed.
    Proven,
    /// Later messages may have been removed.
    Gone,
    /// It never existed in this epoch.
    Other,
}

/// How a read has ended.
struct End {
    last: u64,
    /// Whether there were no more messages.
    is_all: bool,
    /// Whether a message names an earlier one that is missing.
    is_broken: bool,
}

impl Reading<'_> {
    async fn after(mut self, after: Position) -> Result<Replay, BoxError> {
        // Received before the read, so the read has to find it.
        let tail = self.connection.tail(&self.subjects.events);
        let end = self.take_all_after(after.major).await?;
        let is_broken = end.is_broken || (end.is_all && tail.is_some_and(|tail| tail > end.last));
        // Checked after the read. A message that is there now was there during the read.
        let own = self.next(after.major).await?;
        let own = own.filter(|own| own.sequence == after.major && after.major > 0);
        let anchor = match own {
            Some(own) => self.take_rest(&own, after),
            None => self.check_anchor(after).await?,
        };
        self.look_again().await?;
        Ok(match anchor {
            Anchor::Proven if !is_broken => Replay::Ok(self.events),
            Anchor::Proven | Anchor::Gone => Replay::Err(Reason::Evicted),
            Anchor::Other => Replay::Err(Reason::Epoch),
        })
    }

    /// The events of the anchor's message that come after the position.
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

    /// From the oldest message of the history. This needs no proof.
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
        let skipped = messages.saturating_sub(self.request.kept.saturating_sub(1));
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
            // Messages may have been removed meanwhile, but those after the oldest are complete.
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

    /// What is known about an anchor that is not a message of the topic.
    async fn check_anchor(&self, after: Position) -> Result<Anchor, BoxError> {
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
        // JetStream does not tell the topic of a removed message.
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

    /// Checks the stream again if a message was meant for another epoch.
    async fn look_again(&self) -> Result<(), BoxError> {
        if self.is_doubtful {
            self.connection.info(self.session, json!({})).await?;
        }
        Ok(())
    }
}

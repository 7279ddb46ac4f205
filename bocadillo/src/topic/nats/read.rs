//! Reading a topic's history from its stream, without ever passing over what is not kept any more.
//!
//! JetStream trims a topic from its oldest message on. So a message that is still there shows that nothing after it is gone; that is
//! what a reader holds on to.

use std::time::Duration;

use async_nats::jetstream::consumer::{AckPolicy, DeliverPolicy, pull};
use async_nats::jetstream::stream::LastRawMessageErrorKind;
use async_nats::{HeaderMap, Message};
use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt};

use super::link::{self, Info, Link, Session};
use super::record;
use super::subjects::Subjects;
use crate::error::BoxError;
use crate::topic::encoded::Draft;
use crate::topic::engine::Replay;
use crate::topic::position::Position;

/// So many messages are asked for one by one, which is quickest for a client that has missed little. A consumer brings the others.
const SINGLY: usize = 4;
/// The most that a consumer brings at once.
const AT_ONCE: usize = 512;
const PATIENCE: Duration = Duration::from_secs(5);

/// A message of the stream.
struct Stored {
    sequence: u64,
    headers: HeaderMap,
    payload: Bytes,
}

/// What is asked for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wanted {
    pub(super) after: Option<Position>,
    /// About how many bytes.
    pub(super) limit: usize,
    /// How many messages of the topic are kept, the one before its history with them.
    pub(super) kept: u64,
    /// Whether what came after the position can only have been trimmed by its number.
    pub(super) is_recent: bool,
}

/// The events after a position, oldest first.
///
/// # Errors
///
/// When the broker does not answer, or the stream is not the session's any more.
pub(super) async fn read(
    link: &Link,
    session: &Session,
    subjects: &Subjects,
    wanted: Wanted,
) -> Result<Replay, BoxError> {
    let mut states = link.states();
    let whole = async {
        let _turn = link.reads.acquire().await?;
        loop {
            let reading = Reading {
                link,
                session,
                subjects,
                wanted,
                events: Vec::new(),
                bytes: 0,
                skip: 0,
                is_doubtful: false,
            };
            if let Some(replay) = reading.run().await? {
                return Ok(replay);
            }
        }
    };
    tokio::select! {
        replay = whole => replay,
        () = link::over(&mut states, session) => Err("the connection is lost".into()),
    }
}

struct Reading<'a> {
    link: &'a Link,
    session: &'a Session,
    subjects: &'a Subjects,
    wanted: Wanted,
    events: Vec<(Position, Draft)>,
    bytes: usize,
    /// So many messages are older than the history.
    skip: u64,
    /// Whether a message came from somebody who took the stream for another one.
    is_doubtful: bool,
}

impl Reading<'_> {
    /// `None` when what it was reading was trimmed meanwhile.
    async fn run(mut self) -> Result<Option<Replay>, BoxError> {
        let from = match self.wanted.after {
            None => {
                let messages = self.messages(
                    &self
                        .link
                        .info(self.session, Some(&self.subjects.events))
                        .await?,
                );
                self.skip = messages.saturating_sub(self.wanted.kept.saturating_sub(1));
                1
            }
            Some(after) => match record::sequence(after) {
                Some(from) if self.has_been(from).await? => from,
                _ => return Ok(Some(Replay::Unknown)),
            },
        };
        let first = self.next(from).await?;
        let is_there = first.as_ref().is_some_and(|first| first.sequence == from);
        if let Some(after) = self.wanted.after
            && !is_there
            && (after.minor != 0 || self.was_trimmed(after.major).await?)
        {
            return Ok(Some(Replay::Evicted));
        }
        let Some(first) = first else {
            return Ok(Some(Replay::Events(Vec::new())));
        };
        let anchor = first.sequence;
        self.take(&first);
        let certain = self.events.len();
        let last = self.take_all_after(anchor).await?;
        if self.is_doubtful {
            // One whose stream is another one by now says so itself.
            self.link.info(self.session, None).await?;
        }
        if last > anchor
            && self
                .next(anchor)
                .await?
                .is_none_or(|first| first.sequence != anchor)
        {
            // Between the messages that were read others may have been that are gone.
            self.events.truncate(certain);
            return Ok((certain > 0).then_some(Replay::Events(self.events)));
        }
        Ok(Some(Replay::Events(self.events)))
    }

    /// Whether the stream has come as far as this.
    async fn has_been(&self, sequence: u64) -> Result<bool, BoxError> {
        Ok(sequence <= self.link.newest(self.session)
            || sequence <= self.link.info(self.session, None).await?.state.last_seq)
    }

    /// Whether messages of the topic after this sequence may be gone.
    async fn was_trimmed(&self, sequence: u64) -> Result<bool, BoxError> {
        let info = self
            .link
            .info(self.session, Some(&self.subjects.events))
            .await?;
        let kept = info
            .state
            .subjects
            .get(&self.subjects.events)
            .copied()
            .unwrap_or(0);
        if info.state.last_seq <= sequence {
            return Ok(false);
        }
        if kept >= self.session.max_messages.min(self.wanted.kept) {
            // The topic is full: it may have been trimmed by its number, but not behind what is still there.
            return Ok(self
                .next(1)
                .await?
                .is_none_or(|oldest| oldest.sequence > sequence));
        }
        Ok(!self.wanted.is_recent && info.state.first_seq > sequence.saturating_add(1))
    }

    /// The events of all messages behind this one, up to the limit. Returns the sequence of the last message.
    async fn take_all_after(&mut self, mut last: u64) -> Result<u64, BoxError> {
        for _ in 0..SINGLY {
            if self.is_full() {
                return Ok(last);
            }
            let Some(message) = self.next(last.saturating_add(1)).await? else {
                return Ok(last);
            };
            last = message.sequence;
            self.take(&message);
        }
        // A consumer is not asked whether there is nothing more: it may be a replica's that is behind.
        while !self.is_full() {
            let messages = self.several(last.saturating_add(1)).await?;
            let Some(newest) = messages.last() else { break };
            last = newest.sequence;
            messages.iter().for_each(|message| self.take(message));
            if !self.events.is_empty() {
                break;
            }
        }
        // Of messages that hold no event of ours there may be any number.
        while self.events.is_empty() {
            let Some(message) = self.next(last.saturating_add(1)).await? else {
                break;
            };
            last = message.sequence;
            self.take(&message);
        }
        Ok(last)
    }

    /// How many messages the topic has.
    fn messages(&self, info: &Info) -> u64 {
        info.state
            .subjects
            .get(&self.subjects.events)
            .copied()
            .unwrap_or(0)
    }

    fn is_full(&self) -> bool {
        self.bytes >= self.wanted.limit && !self.events.is_empty()
    }

    fn take(&mut self, message: &Stored) {
        if self.skip > 0 {
            self.skip -= 1;
            return;
        }
        self.bytes += message.payload.len();
        self.is_doubtful |= !record::is_of(Some(&message.headers), self.session.epoch);
        match record::read(message.sequence, Some(&message.headers), &message.payload) {
            Ok(events) => self.events.extend(
                events
                    .into_iter()
                    .filter(|(position, _)| Some(*position) > self.wanted.after),
            ),
            Err(error) => self.subjects.warn(message.sequence, &error),
        }
    }

    /// The first message with this sequence or a later one. The stream's leader answers.
    async fn next(&self, from: u64) -> Result<Option<Stored>, BoxError> {
        let request = self
            .session
            .stream
            .raw_message_builder()
            .sequence(from)
            .next_by_subject(&*self.subjects.events);
        match request.send().await {
            Ok(message) => Ok(Some(Stored {
                sequence: message.sequence,
                headers: message.headers,
                payload: message.payload,
            })),
            Err(error) if error.kind() == LastRawMessageErrorKind::NoMessageFound => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    async fn several(&self, from: u64) -> Result<Vec<Stored>, BoxError> {
        let average = (self.bytes / (SINGLY + 1)).max(64);
        let messages = (self.wanted.limit.saturating_sub(self.bytes) / average).clamp(1, AT_ONCE);
        let config = pull::Config {
            deliver_policy: DeliverPolicy::ByStartSequence {
                start_sequence: from,
            },
            ack_policy: AckPolicy::None,
            filter_subject: self.subjects.events.clone(),
            inactive_threshold: PATIENCE * 2,
            memory_storage: true,
            num_replicas: 1,
            ..pull::Config::default()
        };
        let fetched = async {
            let consumer = self.session.stream.create_consumer(config).await?;
            let batch = consumer.fetch().max_messages(messages).messages().await?;
            let batch: Vec<Stored> = batch
                .map(|message| {
                    let message = message?;
                    let sequence = message.info()?.stream_sequence;
                    let Message {
                        headers, payload, ..
                    } = message.message;
                    Ok::<_, BoxError>(Stored {
                        sequence,
                        headers: headers.unwrap_or_default(),
                        payload,
                    })
                })
                .try_collect()
                .await?;
            self.session
                .stream
                .delete_consumer(&consumer.cached_info().name)
                .await?;
            Ok::<_, BoxError>(batch)
        };
        tokio::time::timeout(PATIENCE, fetched).await?
    }
}

//! Fetching messages from the stream, one by one or by a consumer.

use super::*;

impl Reading<'_> {
    /// The events of all later messages, up to the limit.
    pub(super) async fn take_all_after(&mut self, last: u64) -> Result<End, BoxError> {
        let mut end = End {
            last,
            is_all: false,
            is_broken: false,
        };
        let singly = if self.request.is_long { 0 } else { SINGLY };
        for _ in 0..singly {
            if self.is_full() || !self.take_next(&mut end).await? {
                return Ok(end);
            }
            if self.misses_many(last, end.last) {
                break;
            }
        }
        if self.is_full() {
            return Ok(end);
        }
        // One fetch is enough. A reader that always fetches more behind a busy publisher would lose its anchor.
        let messages = self.several(end.last.saturating_add(1)).await?;
        messages
            .iter()
            .for_each(|message| self.go_on(&mut end, message));
        // The consumer may be on a replica that is behind, or the message may be too large for it. There may be any number of messages
        // without an event.
        while (messages.is_empty() || self.events.is_empty()) && !self.is_full() {
            if !self.take_next(&mut end).await? || !self.events.is_empty() {
                break;
            }
        }
        Ok(end)
    }

    /// Whether many more messages are to be expected, if their distances are as that of the `first` one from `after`.
    fn misses_many(&self, after: u64, first: u64) -> bool {
        let tail = self.connection.tail(&self.subjects.events).unwrap_or(0);
        let distance = first.saturating_sub(after).max(1);
        tail.saturating_sub(first) / distance > 2 * SINGLY as u64
    }

    pub(super) async fn take_next(&mut self, end: &mut End) -> Result<bool, BoxError> {
        let message = self.next(end.last.saturating_add(1)).await?;
        match &message {
            Some(message) => self.go_on(end, message),
            None => end.is_all = true,
        }
        Ok(message.is_some())
    }

    pub(super) fn go_on(&mut self, end: &mut End, message: &Stored) {
        end.is_broken |= self.is_broken(message, end.last);
        end.last = message.sequence;
        self.take(message);
    }

    /// Whether a message names one that should have come after `last`.
    pub(super) fn is_broken(&self, message: &Stored, last: u64) -> bool {
        record::before(Some(&message.headers))
            .is_some_and(|before| before > last && before < message.sequence)
    }

    pub(super) fn is_full(&self) -> bool {
        self.bytes >= self.request.limit && !self.events.is_empty()
    }

    pub(super) fn take(&mut self, message: &Stored) {
        self.is_doubtful |= !record::is_of(Some(&message.headers), self.session.epoch);
        match message.events() {
            Ok(events) => {
                let before = self.events.len();
                let after = self.request.after;
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

    /// The first message with this sequence or a later one. The leader of the stream answers.
    pub(super) async fn next(&self, from: u64) -> Result<Option<Stored>, BoxError> {
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

    /// The messages from this sequence on that fit into the rest of the limit. None if the first one does not fit.
    pub(super) async fn several(&self, from: u64) -> Result<Vec<Stored>, BoxError> {
        let bytes = self.request.limit.saturating_sub(self.bytes);
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
                let message = match self.connection.read_limiter.answer(batch.next()).await {
                    Ok(Some(Ok(message))) => message,
                    Ok(None) => break,
                    // The messages so far are complete, because they come in order.
                    Ok(Some(Err(_))) | Err(_) if !all.is_empty() => break,
                    Ok(Some(Err(error))) => {
                        tracing::debug!(%error, "a consumer has sent nothing");
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
        // If this is not allowed, the server removes the consumer later.
        let delete = format!(
            "$JS.API.CONSUMER.DELETE.{}.{name}",
            self.connection.settings.stream
        );
        self.session.client.publish(delete, Bytes::new()).await?;
        all
    }
}

//! The stream: its configuration and its last sequence.

use std::collections::HashMap;
use std::sync::PoisonError;
use std::sync::atomic::Ordering;
use std::time::Duration;

use async_nats::Client;
use async_nats::jetstream::context::{CreateStreamErrorKind, RequestErrorKind};
use async_nats::jetstream::response::Response;
use async_nats::jetstream::stream::{
    Config, DiscardPolicy, Republish, RetentionPolicy, StorageType,
};
use async_nats::jetstream::{Context, ErrorCode};
use serde::Deserialize;
use serde_json::json;

use super::super::epoch::StreamEpoch;
use super::super::settings::Settings;
use super::super::{read, record};
use super::{Connection, Contexts, Session, over};
use crate::error::{BoxError, Error, ErrorKind};
use crate::topic::position::Position;

/// The information of JetStream about a stream. Not the type of async-nats, whose fields depend on its features.
#[derive(Debug, Deserialize)]
pub(in super::super) struct Info {
    created: String,
    config: Config,
    pub(in super::super) state: Counts,
}

#[derive(Debug, Deserialize)]
pub(in super::super) struct Counts {
    pub(in super::super) first_seq: u64,
    pub(in super::super) last_seq: u64,
    #[serde(default)]
    pub(in super::super) num_deleted: u64,
    /// Only if it is requested.
    #[serde(default)]
    pub(in super::super) deleted: Vec<u64>,
    #[serde(default)]
    pub(in super::super) subjects: HashMap<String, u64>,
}

#[derive(Debug, Default)]
pub(super) struct LastSequence {
    /// The number of the last request that this answer is for.
    covers: u64,
    session: u64,
    last: u64,
}

impl Connection {
    /// Checks the stream, and creates it if there is none.
    pub(super) async fn establish(
        &self,
        client: &Client,
        contexts: &Contexts,
        last: Option<&Session>,
    ) -> Result<Session, BoxError> {
        let context = &contexts.requests;
        let config = self.config();
        let mut info = match self.info_of(context, &json!({})).await? {
            Some(info) => info,
            None => {
                let created = context.create_stream(&config);
                if let Err(error) = self.unless_refused("$JS.API.STREAM.CREATE", created).await?
                    // Another node has created it, with other limits.
                    && !matches!(error.kind(), CreateStreamErrorKind::JetStream(ref error) if error.error_code() == ErrorCode::STREAM_NAME_EXIST)
                {
                    return Err(error.into());
                }
                self.info_of(context, &json!({}))
                    .await?
                    .ok_or("the stream is gone again")?
            }
        };
        if info.config.subjects != config.subjects || info.config.republish != config.republish {
            return Err(refused(format!(
                "the stream `{}` is there already, and is not one for topics: delete it, or choose another name by `HubBuilder::prefix`",
                self.settings.stream
            )));
        }
        let newest = last.map_or(0, |session| self.newest(session));
        let mut stream_epoch = StreamEpoch::read(info.config.description.as_deref());
        let is_shorter = last.is_some_and(|last| last.epoch == stream_epoch.epoch(&info.created))
            && info.state.last_seq < newest;
        // The node that starts last sets the limits, so that a new deployment can change them.
        let has_other_limits = last.is_none() && limits(&info.config) != limits(&config);
        if is_shorter || has_other_limits {
            if is_shorter {
                tracing::warn!(
                    "the stream of the topics has lost its last events, so each client gets a reset"
                );
                stream_epoch = stream_epoch.next(info.state.last_seq);
            }
            let limits = if has_other_limits {
                config.clone()
            } else {
                info.config.clone()
            };
            let updated = context.update_stream(Config {
                description: Some(stream_epoch.write()),
                ..limits
            });
            self.unless_refused("$JS.API.STREAM.UPDATE", updated)
                .await??;
            info = self
                .info_of(context, &json!({}))
                .await?
                .ok_or("the stream is gone")?;
            stream_epoch = StreamEpoch::read(info.config.description.as_deref());
        }
        let epoch = stream_epoch.epoch(&info.created);
        {
            let mut newest = self.newest.lock().unwrap_or_else(PoisonError::into_inner);
            *newest = (
                epoch,
                info.state
                    .last_seq
                    .max(if newest.0 == epoch { newest.1 } else { 0 }),
            );
        }
        Ok(Session {
            number: last.map_or(1, |last| last.number + 1),
            connection: self.losses.load(Ordering::Acquire),
            epoch,
            start: stream_epoch.start(),
            contexts: contexts.clone(),
            stream: context.get_stream_no_info(&self.settings.stream).await?,
            client: client.clone(),
            max_messages: u64::try_from(info.config.max_messages_per_subject).unwrap_or(u64::MAX),
        })
    }

    fn config(&self) -> Config {
        let Settings {
            stream,
            max_messages,
            max_age,
            max_bytes,
            replicas,
            ..
        } = &self.settings;
        let window = Duration::from_secs(120);
        Config {
            name: stream.clone(),
            description: Some(StreamEpoch::default().write()),
            subjects: vec![format!("{stream}.events.*")],
            republish: Some(Republish {
                source: format!("{stream}.events.*"),
                destination: format!("{stream}.live.{{{{wildcard(1)}}}}"),
                headers_only: false,
            }),
            retention: RetentionPolicy::Limits,
            storage: StorageType::File,
            discard: DiscardPolicy::Old,
            max_messages: -1,
            max_messages_per_subject: i64::try_from(*max_messages).unwrap_or(i64::MAX),
            max_age: max_age.unwrap_or_default(),
            max_bytes: max_bytes.map_or(-1, |bytes| i64::try_from(bytes).unwrap_or(i64::MAX)),
            max_consumers: -1,
            max_message_size: -1,
            num_replicas: *replicas,
            duplicate_window: max_age.map_or(window, |age| age.min(window)),
            ..Config::default()
        }
    }

    async fn info_of(
        &self,
        context: &Context,
        body: &serde_json::Value,
    ) -> Result<Option<Info>, BoxError> {
        let request = context.request(format!("STREAM.INFO.{}", self.settings.stream), body);
        let answer = self.unless_refused("$JS.API.STREAM.INFO", request).await?;
        match answer {
            Ok(Response::Ok(info)) => Ok(Some(info)),
            Ok(Response::Err { error }) if error.error_code() == ErrorCode::STREAM_NOT_FOUND => Ok(None),
            Ok(Response::Err { error }) if error.code() != 503 => Err(refused(error)),
            Ok(Response::Err { error }) => Err(error.into()),
            Err(error) if error.kind() == RequestErrorKind::NoResponders => {
                Err("the NATS server has JetStream off: start it with `-js`, or switch it on for the account".into())
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Waits for the answer of a request. Fails at once if the server refuses requests of this subject.
    ///
    /// # Errors
    ///
    /// When the server does not allow the subject, or does not answer.
    pub(in super::super) async fn unless_refused<T>(
        &self,
        subject: &str,
        answer: impl IntoFuture<Output = T>,
    ) -> Result<T, BoxError> {
        let mut request = self.refusals.watch(subject);
        let answer = tokio::select! {
            answer = self.read_limiter.answer(answer) => answer?,
            () = request.any_refused() => {
                return Err(refused(format!("NATS does not allow this user to publish to `{subject}.>`")));
            }
        };
        request.answered();
        Ok(answer)
    }

    /// The information about the stream. `body` is the body of the request.
    ///
    /// # Errors
    ///
    /// When there is no answer, or when the stream is no longer that of the session. Then the stream is checked again.
    pub(in super::super) async fn info(
        &self,
        session: &Session,
        body: serde_json::Value,
    ) -> Result<Info, BoxError> {
        let mut states = self.states();
        let info = tokio::select! {
            info = self.info_of(&session.contexts.requests, &body) => info?,
            () = over(&mut states, session) => return Err("the connection is lost".into()),
        };
        match info {
            Some(info)
                if StreamEpoch::read(info.config.description.as_deref()).epoch(&info.created)
                    == session.epoch =>
            {
                self.observe(session, info.state.last_seq);
                Ok(info)
            }
            _ => {
                self.doubt();
                Err("the stream is not the one that it was".into())
            }
        }
    }

    /// The position of the stream's newest message, of any topic.
    pub(in super::super) async fn newest_message(
        &self,
        session: &Session,
    ) -> Result<Position, BoxError> {
        let last = self.last(session).await?;
        let mut known = self.newest_message.lock().await;
        let (number, position) = *known;
        if number == session.number && position.major >= last {
            return Ok(position);
        }
        let newest = read::message(self, session, last).await?;
        let position = record::message_position(last, newest.map_or(0, |newest| newest.check()));
        *known = (session.number, position);
        Ok(position)
    }

    /// The last sequence of the stream. Requests at the same time share one answer.
    pub(in super::super) async fn last(&self, session: &Session) -> Result<u64, BoxError> {
        let ticket = self.last_sequence_requests.fetch_add(1, Ordering::AcqRel) + 1;
        let mut last_sequence = self.last_sequence.lock().await;
        if last_sequence.covers < ticket || last_sequence.session != session.number {
            let covers = self.last_sequence_requests.load(Ordering::Acquire);
            let info = self.info(session, json!({})).await?;
            *last_sequence = LastSequence {
                covers,
                session: session.number,
                last: info.state.last_seq,
            };
        }
        Ok(last_sequence.last)
    }
}

/// The limits that nodes may set differently.
fn limits(config: &Config) -> (i64, Duration, i64, usize) {
    (
        config.max_messages_per_subject,
        config.max_age,
        config.max_bytes,
        config.num_replicas,
    )
}

/// An error for a refusal, which publishers get.
fn refused(reason: impl Into<BoxError>) -> BoxError {
    Error::new(ErrorKind::Refused, reason).into()
}

//! Publishing: JetStream has to confirm the events.

use std::sync::Arc;
use std::time::Duration;

use async_nats::HeaderMap;
use async_nats::header::NATS_MESSAGE_ID;
use async_nats::jetstream;
use async_nats::jetstream::context::{PublishError, PublishErrorKind};
use bytes::Bytes;
use tokio::sync::watch;
use tokio::time::Instant;

use super::connection::{self, Connection, Session, State};
use super::record;
use super::subjects::Subjects;
use crate::error::{Error, ErrorKind, Result, chain};
use crate::stream::deadline::after;
use crate::topic::broker::Published;
use crate::topic::encoded::EventWithoutId;
use crate::topic::remote;

/// The time after a publish at which the surplus of a topic is removed.
const TRIM_AFTER: Duration = Duration::from_millis(500);

/// Publishes all events or none. If the broker is away, it waits for it until the time-out of the settings.
///
/// `kept` is the maximum number of messages of the topic. With an `id`, a message that was not confirmed is sent again, and JetStream
/// recognises it.
pub(super) async fn publish(
    connection: Arc<Connection>,
    subjects: Subjects,
    events: Vec<EventWithoutId>,
    id: Option<String>,
    nonce: u64,
    kept: u64,
) -> Result<Published> {
    let count = events.len();
    let (mut headers, payload) = record::write(&events);
    drop(events);
    record::write_nonce(&mut headers, nonce);
    let check = record::check(Some(&headers), &payload);
    if let Some(id) = id {
        headers.insert(NATS_MESSAGE_ID, id);
    }
    let mut states = connection.states();
    let deadline = after(Instant::now(), connection.settings.wait);
    loop {
        let session = remote::up_before(&mut states, deadline).await?;
        record::write_epoch(&mut headers, session.epoch);
        if let Some(before) = connection.tail(&subjects.events) {
            record::write_before(&mut headers, before);
        }
        let before = connection.newest(&session);
        let error = match attempt(
            &connection,
            &session,
            &mut states,
            &subjects,
            headers.clone(),
            payload.clone(),
        )
        .await
        {
            Ok(sequence) => {
                if sequence <= before {
                    // It is another stream, or the message was already there.
                    connection.doubt();
                }
                connection.deliver(&session, &subjects.events, sequence, check);
                if kept < session.max_messages {
                    trim(&connection, session.clone(), subjects, kept);
                }
                return Ok(Published {
                    epoch: session.epoch,
                    positions: record::positions(sequence, check, count).collect(),
                });
            }
            Err(error) => error,
        };
        let may_try_again = error.is_unavailable() || error.is_unconfirmed();
        if !may_try_again || Instant::now() >= deadline {
            return Err(error);
        }
        let _ =
            tokio::time::timeout(connection::AGAIN, connection::over(&mut states, &session)).await;
    }
}

/// Removes the surplus of a topic, if the stream keeps more for other topics. Once for all publishes of a short time.
fn trim(connection: &Arc<Connection>, session: Arc<Session>, subjects: Subjects, kept: u64) {
    if !connection.trimming().insert(subjects.events.clone()) {
        return;
    }
    let connection = Arc::clone(connection);
    tokio::spawn(async move {
        tokio::time::sleep(TRIM_AFTER).await;
        connection.trimming().remove(&subjects.events);
        // The request may be refused, like a publish.
        let _permit = connection.publishing.acquire().await;
        let purge = session.stream.purge().filter(&*subjects.events);
        let purged = connection.unless_refused("$JS.API.STREAM.PURGE", purge.keep(kept));
        if let Err(error) = purged.await.and_then(|purged| Ok(purged?)) {
            // The next publish tries it again.
            tracing::debug!(%error, "the surplus of a topic was not removed");
        }
    });
}

async fn attempt(
    connection: &Connection,
    session: &Session,
    states: &mut watch::Receiver<State>,
    subjects: &Subjects,
    headers: HeaderMap,
    payload: Bytes,
) -> Result<u64> {
    let published = async {
        let confirmation = session
            .contexts
            .publishing
            .publish_with_headers(subjects.events.clone(), headers, payload)
            .await?;
        confirmation.await
    };
    let _permit = tokio::select! {
        permit = connection.publishing.acquire() => permit,
        () = connection::over(states, session) => {
            return Err(Error::new(ErrorKind::Unavailable, "the connection to NATS was lost before the event was sent"));
        }
    };
    let mut request = connection.refusals.watch(&subjects.events);
    let error = tokio::select! {
        biased;
        published = published => match published {
            Ok(confirmation) => {
                request.answered();
                connection.refusals.allowed(&subjects.events);
                return Ok(confirmation.sequence);
            }
            Err(error) => error,
        },
        () = request.refused() => {
            let subject = &subjects.events;
            return Err(Error::new(ErrorKind::Refused, format!("NATS does not allow this user to publish to `{subject}`")));
        }
        () = connection::cut(states, session) => {
            return Err(Error::new(ErrorKind::Unconfirmed, "the connection to NATS was lost before JetStream confirmed the event"));
        }
    };
    if !matches!(error.kind(), PublishErrorKind::TimedOut) {
        request.answered();
    }
    let kind = match error.kind() {
        PublishErrorKind::TimedOut | PublishErrorKind::BrokenPipe => ErrorKind::Unconfirmed,
        PublishErrorKind::StreamNotFound => {
            connection.doubt();
            ErrorKind::Unavailable
        }
        _ if is_temporary(&error) => ErrorKind::Unavailable,
        _ => ErrorKind::Refused,
    };
    Err(Error::new(kind, format!("NATS: {}", chain(&error))))
}

/// Whether JetStream says that it cannot publish at the moment: a cluster has no leader, or the server has no resources.
fn is_temporary(error: &PublishError) -> bool {
    let source = std::error::Error::source(error);
    let answer = source.and_then(|source| source.downcast_ref::<jetstream::Error>());
    answer.is_some_and(|answer| answer.code() == 503)
}

//! Publishing: events are published once JetStream says that it has them.

use std::sync::Arc;
use std::time::Duration;

use async_nats::HeaderMap;
use async_nats::header::NATS_MESSAGE_ID;
use async_nats::jetstream::context::PublishErrorKind;
use bytes::Bytes;
use tokio::sync::watch;
use tokio::time::{Instant, timeout_at};

use super::link::{self, Link, Session, State};
use super::record;
use super::subjects::Subjects;
use crate::error::{Error, Kind, Result};
use crate::topic::broker::Published;
use crate::topic::encoded::Draft;

/// What a topic has beyond its own history goes after so long.
const TRIM_AFTER: Duration = Duration::from_millis(500);

/// Publishes them all, or none; where the broker is away, waits for it up to `wait`.
///
/// `kept` is how many messages the topic is to have. `id` lets JetStream know a message that it has already when an attempt that was not confirmed is made again. Without one there is one attempt.
pub(super) async fn publish(
    link: Arc<Link>,
    subjects: Subjects,
    drafts: Vec<Draft>,
    id: Option<String>,
    nonce: u64,
    kept: u64,
) -> Result<Published> {
    let events = drafts.len();
    let (mut headers, payload) = record::write(&drafts);
    drop(drafts);
    record::write_nonce(&mut headers, nonce);
    let check = record::check(Some(&headers), &payload);
    if let Some(id) = id {
        headers.insert(NATS_MESSAGE_ID, id);
    }
    let mut states = link.states();
    let deadline = Instant::now() + link.settings.wait;
    loop {
        let session = available(&mut states, deadline).await?;
        record::write_epoch(&mut headers, session.epoch);
        if let Some(before) = link.tail(&subjects.events) {
            record::write_before(&mut headers, before);
        }
        let before = link.newest(&session);
        let error = match attempt(
            &link,
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
                    // Sequences rise, unless it is another stream, or the message was there already.
                    link.doubt();
                }
                link.deliver(&session, &subjects.events, sequence, check);
                if kept < session.max_messages {
                    trim(&link, session.clone(), subjects, kept);
                }
                return Ok(Published {
                    epoch: session.epoch,
                    positions: record::positions(sequence, check, events).collect(),
                });
            }
            Err(error) => error,
        };
        let may_try_again = error.is_unavailable() || error.is_unconfirmed();
        if !may_try_again || Instant::now() >= deadline {
            return Err(error);
        }
        let _ = tokio::time::timeout(link::AGAIN, link::over(&mut states, &session)).await;
    }
}

/// Lets go of what a topic has beyond its own history, where the stream keeps more for others. Once for what is published within a moment.
fn trim(link: &Arc<Link>, session: Arc<Session>, subjects: Subjects, kept: u64) {
    if !link.trimming().insert(subjects.events.clone()) {
        return;
    }
    let link = Arc::clone(link);
    tokio::spawn(async move {
        tokio::time::sleep(TRIM_AFTER).await;
        link.trimming().remove(&subjects.events);
        // It may be refused, as a publish may.
        let _place = link.publishing.acquire().await;
        let purge = session.stream.purge().filter(&*subjects.events);
        let purged = link.unless_refused("$JS.API.STREAM.PURGE", purge.keep(kept));
        if let Err(error) = purged.await.and_then(|purged| Ok(purged?)) {
            // The next publish brings it on again.
            tracing::debug!(%error, "a topic is not trimmed");
        }
    });
}

/// Waits for the broker up to the deadline, and for the first attempt to reach it at all.
async fn available(states: &mut watch::Receiver<State>, deadline: Instant) -> Result<Arc<Session>> {
    let has_begun = states
        .wait_for(|state| !matches!(state, State::Starting))
        .await
        .map(|state| state.clone());
    if let Ok(State::Up(session)) = has_begun {
        return Ok(session);
    }
    if let Ok(Some(session)) = timeout_at(deadline, link::up(states)).await {
        return Ok(session);
    }
    let why = match &*states.borrow() {
        State::Down(why) => format!("NATS: {why}"),
        State::Starting | State::Up(_) => "NATS did not answer in time".to_owned(),
    };
    Err(Error::new(Kind::Unavailable, why))
}

async fn attempt(
    link: &Link,
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
    let _place = tokio::select! {
        place = link.publishing.acquire() => place,
        () = link::over(states, session) => {
            return Err(Error::new(Kind::Unavailable, "the connection to NATS was lost before the event was sent"));
        }
    };
    let mut asking = link.refusals.watch(&subjects.events);
    let error = tokio::select! {
        biased;
        published = published => match published {
            Ok(confirmation) => {
                asking.answered();
                link.refusals.allowed(&subjects.events);
                return Ok(confirmation.sequence);
            }
            Err(error) => error,
        },
        () = asking.refused() => {
            let subject = &subjects.events;
            return Err(Error::new(Kind::Refused, format!("NATS does not allow this user to publish to `{subject}`")));
        }
        () = link::cut(states, session) => {
            return Err(Error::new(Kind::Unconfirmed, "the connection to NATS was lost before it had confirmed"));
        }
    };
    if !matches!(error.kind(), PublishErrorKind::TimedOut) {
        asking.answered();
    }
    let kind = match error.kind() {
        PublishErrorKind::TimedOut | PublishErrorKind::BrokenPipe => Kind::Unconfirmed,
        PublishErrorKind::StreamNotFound => {
            link.doubt();
            Kind::Unavailable
        }
        _ => Kind::Refused,
    };
    Err(Error::new(
        kind,
        format!("NATS: {}", link::with_sources(&error)),
    ))
}

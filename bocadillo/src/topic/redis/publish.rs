//! Publishing: a script adds the events, and returns their positions.

use std::sync::Arc;
use std::time::Duration;

use redis::RedisError;
use tokio::sync::Notify;
use tokio::time::Instant;

use super::super::broker::Published;
use super::super::encoded::EventWithoutId;
use super::super::history::History;
use super::super::remote;
use super::connection::Connection;
use super::{Shared, State, candidate, keys, refusals, reply, script};
use crate::error::{Error, ErrorKind, Result};
use crate::stream::deadline::after;

/// A working connection for commands. All topics that are followed are in its epoch.
#[derive(Clone)]
pub(super) struct Session {
    pub(super) commands: Connection,
    pub(super) epoch: u64,
    /// Notified when a command has found that the connection is broken.
    pub(super) is_broken: Arc<Notify>,
}

impl Shared {
    pub(super) async fn publish(
        self: &Arc<Self>,
        topic: &str,
        history: &History,
        events: &[EventWithoutId],
    ) -> Result<Published> {
        self.start();
        let deadline = after(Instant::now(), self.patience);
        let session = self.checked_session(deadline).await?;
        let mut call = script::PUBLISH.prepare_invoke();
        call.key(&self.keys.epoch)
            .key(&self.keys.positions)
            .key(self.keys.topic(topic))
            .arg(candidate())
            .arg(topic);
        keys::limits(history, &mut call);
        keys::retention(history, &mut call);
        for encoded in events {
            let key = encoded
                .key
                .as_ref()
                .map_or_else(String::new, |key| format!("={key}"));
            call.arg(encoded.payload()).arg(key);
        }
        let mut connection = session.commands.multiplexed.clone();
        let answer = session
            .commands
            .answer(Duration::ZERO, call.invoke_async(&mut connection))
            .await
            .map_err(|error| session.refused(error))?;
        let published = (|| {
            let [epoch, ids] = reply::exactly(answer)?;
            let positions: Vec<_> = reply::items(ids)?
                .iter()
                .map(reply::position)
                .collect::<Option<_>>()?;
            let is_whole = positions.len() == events.len();
            is_whole.then_some(Published {
                epoch: reply::number(&epoch)?,
                positions,
            })
        })();
        published.ok_or_else(|| {
            Error::new(
                ErrorKind::Unconfirmed,
                "the answer of Redis has an unexpected form",
            )
        })
    }

    /// A connection for commands that was checked just now.
    async fn checked_session(&self, deadline: Instant) -> Result<Session> {
        let mut states = self.state.subscribe();
        loop {
            let session = remote::up_before(&mut states, deadline).await?;
            match session.commands.check().await {
                Ok(()) => return Ok(session),
                // Redis has answered, so the connection works. The command gets the error too.
                Err(error) if refusals::is_refusal(&error) => return Ok(session),
                Err(error) => {
                    tracing::debug!("a publish waits for a new connection: {error}");
                    self.state.send_if_modified(|state| {
                        let is_same = matches!(
                            state, State::Up(up) if up.commands.is_same(&session.commands)
                        );
                        if is_same {
                            *state = State::Connecting;
                        }
                        is_same
                    });
                    session.is_broken.notify_one();
                }
            }
        }
    }
}

impl Session {
    /// The error of a publish.
    fn refused(&self, error: RedisError) -> Error {
        use redis::ServerErrorKind::{BusyLoading, MasterDown, ReadOnly};
        match error.kind() {
            redis::ErrorKind::Server(BusyLoading | MasterDown | ReadOnly) => {
                self.is_broken.notify_one();
                Error::new(ErrorKind::Unavailable, error)
            }
            _ if refusals::is_refusal(&error) => Error::new(ErrorKind::Refused, error),
            _ => {
                self.is_broken.notify_one();
                Error::new(ErrorKind::Unconfirmed, error)
            }
        }
    }
}

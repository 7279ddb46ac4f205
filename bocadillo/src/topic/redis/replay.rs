//! Replays. They have their own connection, so that nothing else waits for them.

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use redis::{RedisError, Value};
use tokio::sync::{Mutex as AsyncMutex, Semaphore};

use super::super::broker::Replay;
use super::super::history::History;
use super::super::notice::Reason;
use super::super::position::Position;
use super::super::remote;
use super::chain::{Verdict, judge, walk};
use super::connection::Connection;
use super::refusals::{self, is_refusal};
use super::settings::Server;
use super::{Shared, State, candidate, keys, reply, script, task};

/// The number of replays that read at the same time. Other replays wait.
const AT_ONCE: usize = 4;

/// The maximum number of refused topics that are remembered, so that each is logged once.
const REFUSED: usize = 1_000;

pub(super) struct Replays {
    /// Opened by the first replay.
    connection: AsyncMutex<Option<Connection>>,
    turns: Semaphore,
    refused: Mutex<HashSet<String>>,
}

impl Default for Replays {
    fn default() -> Self {
        Self {
            connection: AsyncMutex::default(),
            turns: Semaphore::new(AT_ONCE),
            refused: Mutex::default(),
        }
    }
}

impl Replays {
    /// The connection of the replays. Opens a new one if there is none that works.
    async fn connection(&self, server: &Server) -> Result<Connection, RedisError> {
        let mut slot = self.connection.lock().await;
        if let Some(connection) = &*slot
            && connection.check().await.is_ok()
        {
            return Ok(connection.clone());
        }
        *slot = None;
        let connection = Connection::connect(server).await?;
        *slot = Some(connection.clone());
        Ok(connection)
    }

    /// Notes that Redis refuses the replays of a topic. `true` if it has to be logged.
    fn refuses(&self, topic: &str) -> bool {
        let mut refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
        if refused.contains(topic) {
            return false;
        }
        if refused.len() >= REFUSED {
            refused.clear();
        }
        refused.insert(topic.to_owned())
    }

    fn answers(&self, topic: &str) {
        let mut refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
        refused.remove(topic);
    }
}

impl Shared {
    /// See [`Broker::replay`](super::super::broker::Broker::replay).
    pub(super) async fn replay(
        self: &std::sync::Arc<Self>,
        topic: &str,
        history: &History,
        after: Option<Position>,
        limit: usize,
    ) -> Replay {
        if after == Some(keys::LAST) {
            // There is no later position, and Redis refuses to look for one.
            return Err(Reason::Epoch);
        }
        let mut state = self.state.subscribe();
        let mut from = after;
        loop {
            self.start();
            let Some(session) = remote::up(&mut state).await else {
                // The hub has ended.
                return std::future::pending().await;
            };
            let page = match self.read(topic, history, from, limit).await {
                Ok(page) => page,
                // Redis refuses this topic, but the connection works.
                Err(error) if is_refusal(&error) => {
                    if self.replays.refuses(topic) {
                        tracing::warn!(
                            topic,
                            "Redis refuses to replay a topic, which is tried again: {error}"
                        );
                    }
                    tokio::time::sleep(task::LONGEST_PAUSE).await;
                    continue;
                }
                Err(error) => {
                    tracing::debug!(topic, "a replay has to wait: {error}");
                    tokio::time::sleep(task::PAUSE).await;
                    continue;
                }
            };
            if page.epoch != session.epoch {
                // The task will notice the new epoch too, and restart the ring.
                let is_other =
                    |state: &State| !matches!(state, State::Up(up) if up.epoch == session.epoch);
                let _ = state.wait_for(is_other).await;
                continue;
            }
            let last = page.entries.last().map(|entry| entry.position);
            let walk = walk(after, page.entries);
            if !walk.events.is_empty() {
                return Ok(walk.events);
            }
            let verdict = match (walk.hole, after) {
                (Some((verdict, ..)), _) => verdict,
                // All entries are from another program.
                (None, _) if !page.is_end => {
                    from = last;
                    continue;
                }
                (None, Some(after)) => judge(after, page.last),
                (None, None) => Verdict::Whole,
            };
            return match verdict {
                Verdict::Whole => Ok(Vec::new()),
                Verdict::Evicted => Err(Reason::Evicted),
                Verdict::Lost => Err(Reason::Epoch),
            };
        }
    }

    /// A call of the script that reads a page of a topic.
    pub(super) fn page<'a>(
        &self,
        topic: &str,
        history: &History,
        after: Option<Position>,
        limit: usize,
    ) -> redis::ScriptInvocation<'a> {
        let mut call = script::PAGE.prepare_invoke();
        call.key(&self.keys.epoch)
            .key(&self.keys.positions)
            .key(self.keys.topic(topic))
            .arg(candidate())
            .arg(topic)
            .arg(after.map(keys::text).unwrap_or_default());
        keys::limits(history, &mut call);
        call.arg(limit);
        call
    }

    async fn read(
        &self,
        topic: &str,
        history: &History,
        after: Option<Position>,
        limit: usize,
    ) -> Result<reply::Page, RedisError> {
        let _turn = self.replays.turns.acquire().await;
        let connection = self.replays.connection(&self.server).await?;
        let call = self.page(topic, history, after, limit);
        let mut multiplexed = connection.multiplexed.clone();
        let asking = call.invoke_async::<Value>(&mut multiplexed);
        let answer = connection.answer(Duration::ZERO, asking).await;
        if let Err(error) = &answer
            && !is_refusal(error)
        {
            // Another replay may have replaced it already.
            let mut slot = self.replays.connection.lock().await;
            if slot.as_ref().is_some_and(|kept| kept.is_same(&connection)) {
                *slot = None;
            }
        }
        let page = reply::page(topic, answer?).ok_or_else(refusals::unexpected)?;
        self.replays.answers(topic);
        Ok(page)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_refused_topic_is_logged_once_and_a_bounded_number_is_remembered() {
        let replays = Replays::default();
        assert!(replays.refuses("x"));
        assert!(!replays.refuses("x"));
        replays.answers("x");
        for number in 0..2_500 {
            assert!(replays.refuses(&number.to_string()));
            assert!(!replays.refuses(&number.to_string()));
            assert!(replays.refused.lock().unwrap().len() <= 1_000);
        }
    }
}

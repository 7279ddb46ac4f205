//! Replays: they have a connection of their own and take turns, so that nothing else waits behind them.

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use redis::{RedisError, Value};
use tokio::sync::{Mutex as AsyncMutex, Semaphore};

use super::super::broker::Replay;
use super::super::history::History;
use super::super::notice::Reason;
use super::super::position::Position;
use super::chain::{Verdict, judge, walk};
use super::line::Line;
use super::settings::Server;
use super::{Shared, State, keys, reply, session};

/// How many replays ask Redis at the same time. The others wait for their turn.
const AT_ONCE: usize = 4;

/// How many topics whose replays Redis refuses are remembered, so that each is logged once.
const REFUSED: usize = 1_000;

pub(super) struct Replays {
    /// Made when a replay needs it.
    line: AsyncMutex<Option<Line>>,
    turns: Semaphore,
    refused: Mutex<HashSet<String>>,
}

impl Default for Replays {
    fn default() -> Self {
        Self {
            line: AsyncMutex::default(),
            turns: Semaphore::new(AT_ONCE),
            refused: Mutex::default(),
        }
    }
}

impl Replays {
    /// The connection of the replays, or a new one where there is none that works.
    async fn line(&self, server: &Server) -> Result<Line, RedisError> {
        let mut slot = self.line.lock().await;
        if let Some(line) = &*slot
            && line.check().await.is_ok()
        {
            return Ok(line.clone());
        }
        *slot = None;
        let line = Line::connect(server).await?;
        *slot = Some(line.clone());
        Ok(line)
    }

    /// Whether it is news that Redis refuses the replays of a topic.
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
    /// Reads events behind a position, as [`Broker::replay`](super::super::broker::Broker::replay) says.
    pub(super) async fn replay(
        self: &std::sync::Arc<Self>,
        topic: &str,
        history: &History,
        after: Option<Position>,
        limit: usize,
    ) -> Replay {
        if after == Some(keys::LAST) {
            // Nothing can come behind it, and Redis does not even take the question.
            return Err(Reason::Epoch);
        }
        let mut state = self.state.subscribe();
        let mut from = after;
        loop {
            self.start();
            let Some(link) = State::up(&mut state).await else {
                // The hub has ended, and its streams with it.
                return std::future::pending().await;
            };
            let page = match self.read(topic, history, from, limit).await {
                Ok(page) => page,
                // Redis refuses this topic. That is no reason to give the connection up.
                Err(error) if session::is_refusal(&error) => {
                    if self.replays.refuses(topic) {
                        tracing::warn!(
                            topic,
                            "Redis refuses to replay a topic, trying on: {error}"
                        );
                    }
                    tokio::time::sleep(session::LONGEST_PAUSE).await;
                    continue;
                }
                Err(error) => {
                    tracing::debug!(topic, "a replay has to wait: {error}");
                    tokio::time::sleep(session::PAUSE).await;
                    continue;
                }
            };
            if page.epoch != link.epoch {
                // The session learns of the epoch too, and the ring will say so.
                let is_other =
                    |state: &State| !matches!(state, State::Up(up) if up.epoch == link.epoch);
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
                // All of them are of another program.
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

    async fn read(
        &self,
        topic: &str,
        history: &History,
        after: Option<Position>,
        limit: usize,
    ) -> Result<reply::Page, RedisError> {
        let _turn = self.replays.turns.acquire().await;
        let line = self.replays.line(&self.server).await?;
        let call = self.page(topic, history, after, limit);
        let mut connection = line.connection.clone();
        let asking = call.invoke_async::<Value>(&mut connection);
        let answer = line.answer(Duration::ZERO, asking).await;
        if let Err(error) = &answer
            && !session::is_refusal(error)
        {
            // Another replay may have replaced it already.
            let mut slot = self.replays.line.lock().await;
            if slot.as_ref().is_some_and(|kept| kept.is_same(&line)) {
                *slot = None;
            }
        }
        let page = reply::page(topic, answer?).ok_or_else(session::unexpected)?;
        self.replays.answers(topic);
        Ok(page)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_refused_topic_is_news_once_and_a_bounded_number_is_remembered() {
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

//! Limits how much is read from the stream at once. Answers share the connection with acknowledgements and pings, which must not wait
//! too long behind them. On a slow connection less is read.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_nats::Statistics;
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::Instant;

use crate::error::BoxError;

/// The maximum number of reads of [`SHARE`] bytes at the same time. A larger read counts as several.
pub(super) const READS: u32 = 8;
/// The bytes of one read.
const SHARE: usize = 64 * 1024;
/// After a read that takes longer, the next reads have half of the size and count double.
const SLOW: Duration = Duration::from_secs(1);
/// How often the size is halved at most. Then there is one read of [`LEAST`] bytes at a time.
const HALVINGS: u32 = 3;
/// The size of the smallest read. Each read costs five requests, so smaller reads would carry more overhead than events.
const LEAST: usize = 16 * 1024;
/// The time-out for an answer, while the connection receives at most [`QUIET`] bytes.
pub(super) const ANSWER: Duration = Duration::from_secs(10);
/// The time-out for an answer in any case.
const LONGEST: Duration = Duration::from_secs(60);
/// Longer than the answers to a few pings.
const QUIET: u64 = 1_024;

#[derive(Debug)]
pub(super) struct Pace {
    turns: Semaphore,
    halvings: AtomicU32,
    /// Counts the received bytes of the connection.
    received: Mutex<Arc<Statistics>>,
}

/// The right to read, until it is dropped.
#[derive(Debug)]
pub(super) struct Turn<'a> {
    pace: &'a Pace,
    start: Instant,
    /// The number of bytes that may be read.
    pub(super) limit: usize,
    _permit: SemaphorePermit<'a>,
}

impl Pace {
    pub(super) fn new() -> Self {
        Self {
            turns: Semaphore::new(READS as usize),
            halvings: AtomicU32::new(0),
            received: Mutex::default(),
        }
    }

    /// Waits until about `limit` bytes may be read. On a slow connection it allows fewer.
    pub(super) async fn turn(&self, limit: usize) -> Result<Turn<'_>, BoxError> {
        let halvings = self.halvings.load(Ordering::Relaxed);
        let shares = u32::try_from(limit.div_ceil(SHARE)).unwrap_or(READS);
        let weight = shares.clamp(1, READS) << halvings;
        let permit = self.turns.acquire_many(weight.min(READS)).await?;
        Ok(Turn {
            pace: self,
            start: Instant::now(),
            limit: (limit >> halvings).max(LEAST.min(limit)),
            _permit: permit,
        })
    }

    /// Counts what this client receives from now on.
    pub(super) fn count(&self, received: Arc<Statistics>) {
        *self.received.lock().unwrap_or_else(PoisonError::into_inner) = received;
    }

    fn received(&self) -> u64 {
        let received = self.received.lock().unwrap_or_else(PoisonError::into_inner);
        received.in_bytes.load(Ordering::Relaxed)
    }

    /// Waits for an answer while the connection receives bytes. On a slow connection, other answers come first.
    ///
    /// # Errors
    ///
    /// When the connection receives nothing, and after a minute.
    pub(super) async fn answer<T>(
        &self,
        answer: impl IntoFuture<Output = T>,
    ) -> Result<T, BoxError> {
        let mut answer = std::pin::pin!(answer.into_future());
        let deadline = Instant::now() + LONGEST;
        loop {
            let before = self.received();
            match tokio::time::timeout(ANSWER, &mut answer).await {
                Ok(answer) => return Ok(answer),
                Err(_) if self.received() > before + QUIET && Instant::now() < deadline => {}
                Err(_) => return Err("the server does not answer".into()),
            }
        }
    }
}

impl Turn<'_> {
    /// The read has ended. Its duration decides how much is read from now on.
    pub(super) fn end(self, is_read: bool) {
        let took = self.start.elapsed();
        let change = |halvings: u32| {
            if !is_read || took > SLOW {
                Some((halvings + 1).min(HALVINGS))
            } else if took < SLOW / 4 {
                Some(halvings.saturating_sub(1))
            } else {
                None
            }
        };
        let halvings = &self.pace.halvings;
        let _ = halvings.fetch_update(Ordering::Relaxed, Ordering::Relaxed, change);
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    #[tokio::test]
    async fn few_bytes_are_read_at_once() {
        let pace = Pace::new();
        for limit in [1, SHARE, SHARE * 2, SHARE * READS as usize, usize::MAX / 2] {
            let mut turns = Vec::new();
            while let Some(turn) = pace.turn(limit).now_or_never() {
                turns.push(turn.unwrap());
                assert!(turns.len() <= 8);
            }
            let shares = limit.div_ceil(SHARE).min(READS as usize);
            assert_eq!(turns.len(), READS as usize / shares, "{limit}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn reads_shrink_on_a_slow_link_and_grow_on_a_fast_one() {
        let pace = Pace::new();
        let mut limits = Vec::new();
        for _ in 0..10 {
            let turn = pace.turn(SHARE).await.unwrap();
            limits.push(turn.limit);
            tokio::time::advance(Duration::from_millis(1_001)).await;
            turn.end(true);
        }
        assert_eq!(limits[..3], [SHARE, SHARE / 2, SHARE / 4]);
        assert_eq!(limits[3..], [16 * 1024; 7], "it does not shrink for ever");
        let one = pace.turn(SHARE).await.unwrap();
        assert!(pace.turn(SHARE).now_or_never().is_none(), "one at a time");
        one.end(true);
        for _ in 0..10 {
            pace.turn(SHARE).await.unwrap().end(true);
        }
        let turn = pace.turn(SHARE).await.unwrap();
        assert_eq!(turn.limit, SHARE);
        turn.end(false);
        let turn = pace.turn(SHARE).await.unwrap();
        assert_eq!(turn.limit, SHARE / 2, "a read failed");
        tokio::time::advance(Duration::from_millis(500)).await;
        turn.end(true);
        assert_eq!(pace.turn(SHARE).await.unwrap().limit, SHARE / 2);
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_is_awaited_while_the_connection_brings_something() {
        let pace = Pace::new();
        let received = Arc::new(Statistics::default());
        pace.count(Arc::clone(&received));
        let start = Instant::now();
        let silent = pace.answer(std::future::pending::<()>());
        assert!(silent.await.is_err());
        assert_eq!(start.elapsed(), Duration::from_secs(10));

        let bring = |bytes: u64| {
            let received = Arc::clone(&received);
            async move {
                loop {
                    tokio::time::sleep(Duration::from_secs(5)).await;
                    received.in_bytes.fetch_add(bytes, Ordering::Relaxed);
                }
            }
        };
        let late = tokio::time::sleep(Duration::from_secs(45));
        tokio::select! {
            answer = pace.answer(late) => answer.unwrap(),
            () = bring(1_100) => {}
        }
        let start = Instant::now();
        tokio::select! {
            answer = pace.answer(std::future::pending::<()>()) => assert!(answer.is_err()),
            () = bring(1_100) => {}
        }
        assert_eq!(start.elapsed(), Duration::from_secs(60), "not for ever");
        let start = Instant::now();
        tokio::select! {
            answer = pace.answer(std::future::pending::<()>()) => assert!(answer.is_err()),
            () = bring(6) => {}
        }
        assert_eq!(
            start.elapsed(),
            Duration::from_secs(10),
            "pings are no answer"
        );
    }
}

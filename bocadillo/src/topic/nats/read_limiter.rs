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
pub(super) struct ReadLimiter {
    permits: Semaphore,
    halvings: AtomicU32,
    /// Counts the received bytes of the connection.
    received: Mutex<Arc<Statistics>>,
}

/// The right to read, until it is dropped.
#[derive(Debug)]
pub(super) struct ReadPermit<'a> {
    limiter: &'a ReadLimiter,
    start: Instant,
    /// The number of bytes that may be read.
    pub(super) limit: usize,
    _permit: SemaphorePermit<'a>,
}

impl ReadLimiter {
    pub(super) fn new() -> Self {
        Self {
            permits: Semaphore::new(READS as usize),
            halvings: AtomicU32::new(0),
            received: Mutex::default(),
        }
    }

    /// Waits until about `limit` bytes may be read. On a slow connection it allows fewer.
    pub(super) async fn acquire(&self, limit: usize) -> Result<ReadPermit<'_>, BoxError> {
        let halvings = self.halvings.load(Ordering::Relaxed);
        let shares = u32::try_from(limit.div_ceil(SHARE)).unwrap_or(READS);
        let weight = shares.clamp(1, READS) << halvings;
        let permit = self.permits.acquire_many(weight.min(READS)).await?;
        Ok(ReadPermit {
            limiter: self,
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

impl ReadPermit<'_> {
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
        let halvings = &self.limiter.halvings;
        let _ = halvings.fetch_update(Ordering::Relaxed, Ordering::Relaxed, change);
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    #[tokio::test]
    async fn the_bytes_that_are_read_at_once_are_limited() {
        let limiter = ReadLimiter::new();
        for limit in [1, SHARE, SHARE * 2, SHARE * READS as usize, usize::MAX / 2] {
            let mut permits = Vec::new();
            while let Some(permit) = limiter.acquire(limit).now_or_never() {
                permits.push(permit.unwrap());
                assert!(permits.len() <= 8);
            }
            let shares = limit.div_ceil(SHARE).min(READS as usize);
            assert_eq!(permits.len(), READS as usize / shares, "{limit}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn reads_are_smaller_on_a_slow_connection_and_larger_on_a_fast_one() {
        let limiter = ReadLimiter::new();
        let mut limits = Vec::new();
        for _ in 0..10 {
            let permit = limiter.acquire(SHARE).await.unwrap();
            limits.push(permit.limit);
            tokio::time::advance(Duration::from_millis(1_001)).await;
            permit.end(true);
        }
        assert_eq!(limits[..3], [SHARE, SHARE / 2, SHARE / 4]);
        assert_eq!(limits[3..], [16 * 1024; 7], "the size has a minimum");
        let one = limiter.acquire(SHARE).await.unwrap();
        assert!(
            limiter.acquire(SHARE).now_or_never().is_none(),
            "one read at a time"
        );
        one.end(true);
        for _ in 0..10 {
            limiter.acquire(SHARE).await.unwrap().end(true);
        }
        let permit = limiter.acquire(SHARE).await.unwrap();
        assert_eq!(permit.limit, SHARE);
        permit.end(false);
        let permit = limiter.acquire(SHARE).await.unwrap();
        assert_eq!(permit.limit, SHARE / 2, "a read failed");
        tokio::time::advance(Duration::from_millis(500)).await;
        permit.end(true);
        assert_eq!(limiter.acquire(SHARE).await.unwrap().limit, SHARE / 2);
    }

    #[tokio::test(start_paused = true)]
    async fn the_time_out_for_an_answer_grows_while_the_connection_receives_bytes() {
        let limiter = ReadLimiter::new();
        let received = Arc::new(Statistics::default());
        limiter.count(Arc::clone(&received));
        let start = Instant::now();
        let silent = limiter.answer(std::future::pending::<()>());
        assert!(silent.await.is_err());
        assert_eq!(start.elapsed(), Duration::from_secs(10));

        let receive = |bytes: u64| {
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
            answer = limiter.answer(late) => answer.unwrap(),
            () = receive(1_100) => {}
        }
        let start = Instant::now();
        tokio::select! {
            answer = limiter.answer(std::future::pending::<()>()) => assert!(answer.is_err()),
            () = receive(1_100) => {}
        }
        assert_eq!(
            start.elapsed(),
            Duration::from_secs(60),
            "the longest time-out"
        );
        let start = Instant::now();
        tokio::select! {
            answer = limiter.answer(std::future::pending::<()>()) => assert!(answer.is_err()),
            () = receive(6) => {}
        }
        assert_eq!(
            start.elapsed(),
            Duration::from_secs(10),
            "answers to pings do not count"
        );
    }
}

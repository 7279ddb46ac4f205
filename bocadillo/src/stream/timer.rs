//! The timer of one stream: for its keep-alive and for the end of its lifetime.

use std::hash::{BuildHasher, RandomState};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::time::{Instant, Sleep};

/// The timer of one stream. An event does not touch tokio's timer: it is set anew when it fires too early.
#[derive(Debug, Default)]
pub(super) struct StreamTimer {
    sleep: Option<Pin<Box<Sleep>>>,
    /// When the stream started, or sent something last.
    last_write: Option<Instant>,
    expires: Option<Instant>,
}

/// Why the timer has fired.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tick {
    /// The stream has been silent for the interval.
    Silent,
    /// The lifetime is over.
    Expired,
}

impl StreamTimer {
    /// Starts the silence and the lifetime.
    pub(super) fn start(&mut self, lifetime: Option<Duration>) {
        let now = Instant::now();
        self.last_write = Some(now);
        self.expires = lifetime.and_then(|lifetime| now.checked_add(jittered(lifetime)));
    }

    /// The stream sends something.
    pub(super) fn restart_silence(&mut self) {
        self.last_write = Some(Instant::now());
    }

    /// Whether the lifetime is over.
    pub(super) fn has_expired(&self) -> bool {
        self.expires.is_some_and(|at| at <= Instant::now())
    }

    /// Ready when the stream has been silent for `interval`, or when its lifetime is over.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>, interval: Option<Duration>) -> Poll<Tick> {
        loop {
            let silent = interval
                .zip(self.last_write)
                .and_then(|(interval, last)| last.checked_add(interval));
            let Some(due) = silent.into_iter().chain(self.expires).min() else {
                return Poll::Pending;
            };
            let sleep = self
                .sleep
                .get_or_insert_with(|| Box::pin(tokio::time::sleep_until(due)));
            if sleep.is_elapsed() || due < sleep.deadline() {
                sleep.as_mut().reset(due);
            }
            ready!(sleep.as_mut().poll(cx));
            let now = Instant::now();
            if self.expires.is_some_and(|at| at <= now) {
                return Poll::Ready(Tick::Expired);
            }
            if silent.is_some_and(|at| at <= now) {
                self.last_write = Some(now);
                return Poll::Ready(Tick::Silent);
            }
        }
    }
}

/// A time between nine tenths of `lifetime` and the whole.
fn jittered(lifetime: Duration) -> Duration {
    let random = RandomState::new().hash_one(());
    lifetime - (lifetime / 10).mul_f64(random as f64 / u64::MAX as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lifetimes_are_spread_over_their_last_tenth() {
        let lifetime = Duration::from_secs(1000);
        let all: Vec<_> = (0..500).map(|_| jittered(lifetime)).collect();
        let (least, most) = (all.iter().min().unwrap(), all.iter().max().unwrap());
        assert!(*least >= Duration::from_secs(900) && *most <= lifetime);
        // By chance alone these fail once in 10^11 runs.
        assert!(*least < Duration::from_secs(905), "{least:?}");
        assert!(*most > Duration::from_secs(995), "{most:?}");
    }
}

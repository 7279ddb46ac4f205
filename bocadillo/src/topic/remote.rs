//! What the brokers of several nodes share: the state of the connection, and the pauses between attempts.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, timeout_at};

use crate::error::{Error, ErrorKind, Result};

/// The state of the connection to a broker. `S` is what a working connection offers.
#[derive(Clone, Debug)]
pub(super) enum ConnectionState<S> {
    /// An attempt to connect is under way, for the first time or at once after the connection was lost.
    Connecting,
    Up(S),
    Down(Outage),
}

/// Why there is no connection.
#[derive(Clone, Debug)]
pub(super) struct Outage {
    kind: ErrorKind,
    reason: Arc<str>,
}

impl Outage {
    /// The broker cannot be reached.
    pub(super) fn away(reason: impl fmt::Display) -> Self {
        Self {
            kind: ErrorKind::Unavailable,
            reason: reason.to_string().into(),
        }
    }

    /// The broker answers, but it refuses this hub.
    pub(super) fn refused(reason: impl fmt::Display) -> Self {
        Self {
            kind: ErrorKind::Refused,
            ..Self::away(reason)
        }
    }

    fn error(&self) -> Error {
        Error::new(self.kind, &*self.reason)
    }
}

impl fmt::Display for Outage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.reason)
    }
}

/// Waits for a connection. `None` when the hub has ended.
pub(super) async fn up<S: Clone>(states: &mut watch::Receiver<ConnectionState<S>>) -> Option<S> {
    loop {
        if let ConnectionState::Up(session) = &*states.borrow_and_update() {
            return Some(session.clone());
        }
        states.changed().await.ok()?;
    }
}

/// Waits for a connection until the deadline. If an attempt is under way, it waits for the result in any case.
///
/// # Errors
///
/// Why there is no connection: the broker is away, or it refuses.
pub(super) async fn up_before<S: Clone>(
    states: &mut watch::Receiver<ConnectionState<S>>,
    deadline: Instant,
) -> Result<S> {
    let outage = |states: &watch::Receiver<ConnectionState<S>>| match &*states.borrow() {
        ConnectionState::Down(outage) => outage.error(),
        _ => Outage::away("it is not connected yet").error(),
    };
    let first = {
        let known = states
            .wait_for(|state| !matches!(state, ConnectionState::Connecting))
            .await;
        match known.as_deref() {
            Ok(ConnectionState::Up(session)) => return Ok(session.clone()),
            Ok(ConnectionState::Down(outage)) => outage.error(),
            _ => return Err(Outage::away("the hub has ended").error()),
        }
    };
    if Instant::now() >= deadline {
        return Err(first);
    }
    match timeout_at(deadline, up(states)).await {
        Ok(Some(session)) => Ok(session),
        _ => Err(outage(states)),
    }
}

/// The pause before the next attempt to connect. It doubles with each attempt.
pub(super) fn pause(first: Duration, longest: Duration, attempts: usize) -> Duration {
    let factor = 1 << attempts.min(16);
    first.saturating_mul(factor).min(longest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pause_doubles_up_to_the_longest() {
        let (first, longest) = (Duration::from_millis(25), Duration::from_millis(500));
        let pauses = (0..7).map(|attempts| pause(first, longest, attempts).as_millis());
        assert_eq!(
            pauses.collect::<Vec<_>>(),
            [25, 50, 100, 200, 400, 500, 500]
        );
        assert_eq!(pause(first, longest, usize::MAX), longest);
    }

    #[tokio::test(start_paused = true)]
    async fn a_publish_waits_for_an_attempt_and_then_until_its_deadline() {
        let (sender, mut states) = watch::channel(ConnectionState::Connecting);
        let soon = || Instant::now() + Duration::from_secs(1);
        let attempt = async {
            tokio::time::sleep(Duration::from_secs(5)).await;
            sender.send_replace(ConnectionState::Up(7));
        };
        let (found, ()) = tokio::join!(up_before(&mut states, soon()), attempt);
        assert_eq!(found.unwrap(), 7);

        sender.send_replace(ConnectionState::Down(Outage::refused("no")));
        let start = Instant::now();
        let error = up_before(&mut states, start).await.unwrap_err();
        assert!(error.is_refused() && start.elapsed().is_zero());
        sender.send_replace(ConnectionState::Down(Outage::away("gone")));
        let error = up_before(&mut states, soon()).await.unwrap_err();
        assert!(error.is_unavailable());
        assert_eq!(start.elapsed(), Duration::from_secs(1));
        drop(sender);
        let error = up_before(&mut states, soon()).await.unwrap_err();
        assert!(error.is_unavailable());
    }
}

//! Finds the request that the server has refused.
//!
//! If the server does not allow a subject, it sends an error of the connection that names the subject. The request itself gets no
//! answer.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio::time::Instant;

/// The pause before the refusal of the same subject is logged again.
const REPEAT: Duration = Duration::from_secs(60);
/// The maximum number of refused subjects that are remembered for the log.
const REMEMBERED: usize = 1_000;
/// If so many subscriptions are refused within [`BURST_TIME`], others may have been refused too: the client library drops errors if
/// more than 128 come together.
const BURST: usize = 100;
const BURST_TIME: Duration = Duration::from_secs(1);

#[derive(Debug, Default)]
pub(super) struct Refusals {
    open: Mutex<HashMap<String, SubjectRequests>>,
    logged: Mutex<HashMap<String, Instant>>,
    burst: Mutex<Option<(Instant, usize)>>,
    lost: watch::Sender<()>,
}

/// The open requests on one subject.
#[derive(Debug, Default)]
struct SubjectRequests {
    waiting: usize,
    /// Requests that were given up while others were open. A refusal may belong to one of them.
    abandoned: usize,
    refused: usize,
    /// Whether this is a subscription that the server has allowed.
    is_allowed: bool,
    changed: Arc<Notify>,
}

/// One open request.
#[derive(Debug)]
pub(super) struct OpenRequest<'a> {
    refusals: &'a Refusals,
    subject: &'a str,
    changed: Arc<Notify>,
    outcome: Outcome,
}

#[derive(Clone, Copy, Debug)]
enum Outcome {
    Open,
    Answered,
    Refused,
}

impl Refusals {
    fn open(&self) -> MutexGuard<'_, HashMap<String, SubjectRequests>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Call it before the request is sent. `subject` is the request's subject, or the first tokens of it.
    pub(super) fn watch<'a>(&'a self, subject: &'a str) -> OpenRequest<'a> {
        let mut all = self.open();
        let requests = all.entry(subject.to_owned()).or_default();
        requests.waiting += 1;
        let changed = Arc::clone(&requests.changed);
        OpenRequest {
            refusals: self,
            subject,
            changed,
            outcome: Outcome::Open,
        }
    }

    /// Notes an error of the connection. `false` if it is not a refusal.
    pub(super) fn note(&self, error: &str) -> bool {
        let Some((what, subject)) = parse(error) else {
            return false;
        };
        let mut is_loss = false;
        for (key, requests) in self.open().iter_mut() {
            let is_meant = subject
                .strip_prefix(&**key)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('.'));
            if is_meant {
                requests.refused += 1;
                is_loss |= std::mem::take(&mut requests.is_allowed);
                requests.changed.notify_waiters();
            }
        }
        if is_loss {
            self.note_loss();
        }
        if self.is_news(subject) {
            tracing::warn!(
                subject,
                "NATS does not allow this user to {what} `{subject}`: change the user's permissions"
            );
        }
        true
    }

    fn note_loss(&self) {
        let mut burst = self.burst.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        let (start, count) = burst
            .take_if(|(start, _)| now.saturating_duration_since(*start) < BURST_TIME)
            .unwrap_or((now, 0));
        if count + 1 < BURST {
            *burst = Some((start, count + 1));
        } else {
            self.lost.send_replace(());
        }
    }

    /// Changes when refusals of subscriptions may have been dropped.
    pub(super) fn lost(&self) -> watch::Receiver<()> {
        self.lost.subscribe()
    }

    /// Logs that the server refuses the credentials.
    pub(super) fn unauthorised(&self) {
        if self.is_news("") {
            tracing::warn!(
                "NATS refuses the user name, the password or the token of its URL: topics wait until it accepts them"
            );
        }
    }

    fn is_news(&self, subject: &str) -> bool {
        let mut logged = self.logged.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        if logged.len() >= REMEMBERED {
            logged.clear();
        }
        match logged.get_mut(subject) {
            Some(then) if now.saturating_duration_since(*then) < REPEAT => false,
            Some(then) => {
                *then = now;
                true
            }
            None => {
                logged.insert(subject.to_owned(), now);
                true
            }
        }
    }

    /// The subject is allowed, so its next refusal is logged.
    pub(super) fn allowed(&self, subject: &str) {
        let mut logged = self.logged.lock().unwrap_or_else(PoisonError::into_inner);
        logged.remove(subject);
    }
}

impl OpenRequest<'_> {
    /// Waits until this request is certainly refused: there are as many refusals as open requests.
    pub(super) async fn refused(&mut self) {
        self.until(|requests| requests.refused >= requests.waiting + requests.abandoned)
            .await;
        self.outcome = Outcome::Refused;
    }

    /// Waits until a request on the subject is refused, this one or another.
    pub(super) async fn any_refused(&mut self) {
        self.until(|requests| requests.refused > 0).await;
        self.outcome = Outcome::Refused;
    }

    async fn until(&self, is_so: impl Fn(&SubjectRequests) -> bool) {
        loop {
            let mut changed = std::pin::pin!(self.changed.notified());
            changed.as_mut().enable();
            if self.refusals.open().get(self.subject).is_some_and(&is_so) {
                return;
            }
            changed.await;
        }
    }

    /// The request is made again. Earlier refusals no longer count.
    pub(super) fn ask_again(&mut self) {
        if let Some(requests) = self.refusals.open().get_mut(self.subject) {
            requests.refused = 0;
            requests.is_allowed = false;
        }
        self.outcome = Outcome::Open;
    }

    /// The server has allowed the subscription, unless it was refused meanwhile.
    pub(super) fn set_allowed(&mut self) {
        if let Some(requests) = self.refusals.open().get_mut(self.subject) {
            requests.is_allowed = requests.refused == 0;
        }
    }

    pub(super) fn answered(&mut self) {
        self.outcome = Outcome::Answered;
    }
}

impl Drop for OpenRequest<'_> {
    fn drop(&mut self) {
        let mut all = self.refusals.open();
        let Some(requests) = all.get_mut(self.subject) else {
            return;
        };
        requests.waiting -= 1;
        match self.outcome {
            Outcome::Open => requests.abandoned += 1,
            Outcome::Answered => {}
            Outcome::Refused => requests.refused = requests.refused.saturating_sub(1),
        }
        if requests.waiting == 0 {
            all.remove(self.subject);
        } else {
            requests.changed.notify_waiters();
        }
    }
}

/// The action and the subject of `Permissions Violation for Publish to "subject"`.
fn parse(error: &str) -> Option<(&'static str, &str)> {
    let rest = error.strip_prefix("Permissions Violation for ")?;
    let (what, rest) = if let Some(rest) = rest.strip_prefix("Publish to \"") {
        ("publish to", rest)
    } else {
        ("subscribe to", rest.strip_prefix("Subscription to \"")?)
    };
    Some((what, rest.split('"').next()?))
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    const PUBLISH: &str = r#"Permissions Violation for Publish to "a.events.x""#;

    #[test]
    fn refusals_are_read() {
        assert_eq!(parse(PUBLISH), Some(("publish to", "a.events.x")));
        let subscription =
            r#"Permissions Violation for Subscription to "a.live.x" using queue "q""#;
        assert_eq!(parse(subscription), Some(("subscribe to", "a.live.x")));
        for other in ["", "Permissions Violation for ", "Stale Connection"] {
            assert_eq!(parse(other), None, "{other}");
        }
    }

    #[test]
    fn a_request_is_refused_only_if_no_other_request_can_be_the_refused_one() {
        let refusals = Refusals::default();
        let mut first = refusals.watch("a.events.x");
        let mut second = refusals.watch("a.events.x");
        let mut other = refusals.watch("a.events.xy");
        assert!(refusals.note(PUBLISH));
        assert!(first.refused().now_or_never().is_none());
        assert!(other.refused().now_or_never().is_none());
        second.answered();
        drop(second);
        assert!(first.refused().now_or_never().is_some());
        drop(first);

        let mut third = refusals.watch("a.events.x");
        let fourth = refusals.watch("a.events.x");
        drop(fourth);
        assert!(refusals.note(PUBLISH));
        assert!(
            third.refused().now_or_never().is_none(),
            "the refusal may be of the fourth request"
        );
        drop(third);
        assert!(!refusals.open().contains_key("a.events.x"));
    }

    #[tokio::test(start_paused = true)]
    async fn a_burst_of_refused_subscriptions_reports_that_errors_may_be_lost() {
        let subjects: Vec<_> = (0..BURST)
            .map(|number| format!("a.live.{number}"))
            .collect();
        let refusals = Refusals::default();
        let mut lost = refusals.lost();
        let refuse = |is_allowed: bool, pause: Duration| {
            let (subjects, refusals) = (&subjects, &refusals);
            async move {
                for subject in subjects {
                    let mut request = refusals.watch(subject);
                    if is_allowed {
                        request.set_allowed();
                    }
                    let error = format!("Permissions Violation for Subscription to \"{subject}\"");
                    assert!(refusals.note(&error) && refusals.note(&error));
                    tokio::time::advance(pause).await;
                }
            }
        };
        refuse(false, Duration::ZERO).await;
        assert!(!lost.has_changed().unwrap(), "no refusal is lost");
        refuse(true, Duration::from_millis(20)).await;
        assert!(!lost.has_changed().unwrap(), "the refusals came slowly");
        tokio::time::advance(Duration::from_secs(1)).await;
        refuse(true, Duration::from_millis(9)).await;
        assert!(lost.has_changed().unwrap());
        lost.mark_unchanged();
        refuse(true, Duration::ZERO).await;
        assert!(lost.has_changed().unwrap(), "the next burst");
    }

    #[tokio::test(start_paused = true)]
    async fn a_refusal_is_logged_once_a_minute() {
        let refusals = Refusals::default();
        assert!(refusals.is_news("x") && !refusals.is_news("x") && refusals.is_news("y"));
        tokio::time::advance(Duration::from_secs(59)).await;
        assert!(!refusals.is_news("x"));
        tokio::time::advance(Duration::from_secs(1)).await;
        assert!(refusals.is_news("x"));
        refusals.allowed("x");
        assert!(refusals.is_news("x"));
        (0..2_500).for_each(|number| {
            refusals.is_news(&number.to_string());
        });
        assert!(refusals.logged.lock().unwrap().len() <= 1_000);
    }
}

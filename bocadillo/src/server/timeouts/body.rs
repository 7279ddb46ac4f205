//! The time-out for the body of a request.

use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use axum_core::response::IntoResponse;
use bytes::Bytes;
use futures_util::task::AtomicWaker;
use http::{HeaderValue, Response, StatusCode, Version, header};
use http_body::{Body as HttpBody, Frame, SizeHint};
use tokio::time::{Instant, Sleep, sleep_until};

use super::{SHUTDOWN, Timeouts};
use crate::error::BoxError;
use crate::http::problem::Problem;
use crate::stream::body::Body;
use crate::stream::deadline::after;
use crate::stream::drain::{Drain, Drained};

/// The body of a request, with its time-out.
///
/// The client has a budget of time. The time in which the handler waits for the client is subtracted from it. Each byte
/// from the client adds to it. The time in which nobody reads the body does not count.
#[derive(Debug)]
pub(crate) struct RequestBody<B> {
    body: B,
    /// `None` for a body that is complete already.
    clock: Option<Clock>,
}

#[derive(Debug)]
struct Clock {
    timeouts: Timeouts,
    shutdown: Arc<Drain>,
    budget: Duration,
    /// Created at the first wait. Most bodies arrive together with their heads and need no timer.
    wait: Option<Pin<Box<Wait>>>,
    timed_out: TimedOut,
}

/// Whether a body has timed out.
#[derive(Clone, Debug, Default)]
pub(crate) struct TimedOut(Arc<AtomicBool>);

pin_project_lite::pin_project! {
    #[derive(Debug)]
    struct Wait {
        // Whether the handler waits for the body.
        is_waiting: bool,
        #[pin]
        sleep: Sleep,
        #[pin]
        drained: Option<Drained>,
        woken: Arc<Woken>,
        waker: Waker,
    }
}

/// The time when the last bytes arrived. The handler may read them much later.
#[derive(Debug, Default)]
struct Woken {
    at: Mutex<Option<Instant>>,
    reader: AtomicWaker,
}

impl Woken {
    fn take(&self) -> Option<Instant> {
        self.at
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take()
    }
}

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.at
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get_or_insert_with(Instant::now);
        self.reader.wake();
    }
}

impl<B: HttpBody> RequestBody<B> {
    /// Makes a body with `timeouts`. The second value tells whether it has timed out.
    pub(crate) fn new(
        body: B,
        timeouts: Timeouts,
        shutdown: &Arc<Drain>,
    ) -> (Self, Option<TimedOut>) {
        if body.is_end_stream() {
            return (Self { body, clock: None }, None);
        }
        let timed_out = TimedOut::default();
        let clock = Clock {
            timeouts,
            shutdown: Arc::clone(shutdown),
            budget: timeouts.body,
            wait: None,
            timed_out: timed_out.clone(),
        };
        let clock = Some(clock);
        (Self { body, clock }, Some(timed_out))
    }
}

impl Clock {
    /// The longest time to wait now.
    fn limit(&self) -> Duration {
        if self.shutdown.is_draining() {
            self.timeouts.body.min(SHUTDOWN)
        } else {
            self.timeouts.body
        }
    }

    /// The waker for the body while the handler waits for it.
    fn waker(&self, cx: &Context<'_>) -> Option<Waker> {
        let wait = self.wait.as_ref()?;
        wait.woken.reader.register(cx.waker());
        Some(wait.waker.clone())
    }

    /// Adds time for `length` bytes that have arrived.
    fn received(&mut self, length: usize) {
        if let Some(wait) = &mut self.wait {
            let wait = wait.as_mut().project();
            let came = wait.woken.take();
            if std::mem::take(wait.is_waiting) {
                let came = came.unwrap_or_else(Instant::now);
                self.budget = wait.sleep.deadline().saturating_duration_since(came);
            }
        }
        let earned = match self.timeouts.min_body_rate {
            0 if length > 0 => Duration::MAX,
            0 => Duration::ZERO,
            rate => Duration::from_secs_f64(length as f64 / f64::from(rate)),
        };
        // The sum may be more than one time-out. `poll_wait` reduces it.
        self.budget = self.budget.saturating_add(earned);
    }

    /// Waits while no bytes arrive. Ready when the budget is used up.
    fn poll_wait(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let now = Instant::now();
        let latest = after(now, self.limit());
        let Some(wait) = &mut self.wait else {
            return Poll::Pending;
        };
        let mut wait = wait.as_mut().project();
        wait.woken.take();
        if !std::mem::replace(wait.is_waiting, true) {
            wait.sleep.as_mut().reset(after(now, self.budget));
        }
        // The budget may be more than one time-out. The time-out is shorter during a shutdown.
        if latest < wait.sleep.deadline() {
            wait.sleep.as_mut().reset(latest);
        }
        if let Some(drained) = wait.drained.as_mut().as_pin_mut()
            && drained.poll(cx).is_ready()
        {
            wait.drained.set(None);
            return self.poll_wait(cx);
        }
        wait.sleep.poll(cx)
    }

    fn start_wait(&mut self) {
        let woken = Arc::<Woken>::default();
        self.wait = Some(Box::pin(Wait {
            is_waiting: false,
            sleep: sleep_until(Instant::now()),
            drained: Some(self.shutdown.drained()),
            waker: Waker::from(Arc::clone(&woken)),
            woken,
        }));
    }
}

impl<B> HttpBody for RequestBody<B>
where
    B: HttpBody<Data = Bytes, Error: Into<BoxError>> + Unpin,
{
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = &mut *self;
        let Some(clock) = &mut this.clock else {
            return Pin::new(&mut this.body).poll_frame(cx).map_err(Into::into);
        };
        if clock.timed_out.get() {
            return Poll::Ready(None);
        }
        loop {
            let waker = clock.waker(cx);
            let mut own = Context::from_waker(waker.as_ref().unwrap_or(cx.waker()));
            if let Poll::Ready(frame) = Pin::new(&mut this.body).poll_frame(&mut own) {
                let data = frame
                    .as_ref()
                    .and_then(|frame| frame.as_ref().ok()?.data_ref());
                clock.received(data.map_or(0, Bytes::len));
                return Poll::Ready(frame.map(|frame| frame.map_err(Into::into)));
            }
            if clock.wait.is_some() {
                break;
            }
            // Polls once more, with a waker that records the time.
            clock.start_wait();
        }
        if clock.poll_wait(cx).is_pending() {
            return Poll::Pending;
        }
        tracing::debug!("the body of a request did not come in time");
        clock.timed_out.0.store(true, Ordering::Release);
        clock.wait = None;
        let error = io::Error::new(
            io::ErrorKind::TimedOut,
            "the client did not send the request's body in time",
        );
        Poll::Ready(Some(Err(error.into())))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl TimedOut {
    pub(crate) fn get(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }

    /// Replaces an error response by 408 if the body has timed out. Its author only knew that the body was incomplete.
    pub(crate) fn answer(&self, version: Version, mut response: Response<Body>) -> Response<Body> {
        if !self.get() {
            return response;
        }
        let status = response.status();
        if status.is_client_error() || status.is_server_error() {
            let (problem, body) = Problem::new(StatusCode::REQUEST_TIMEOUT)
                .detail("the request's body did not come in time")
                .into_response()
                .into_parts();
            // Headers that layers have set, such as those of CORS, stay.
            let headers = response.headers_mut();
            for of_the_refusal in [
                header::CONTENT_ENCODING,
                header::CONTENT_LENGTH,
                header::CONTENT_TYPE,
                header::ETAG,
                header::TRANSFER_ENCODING,
            ] {
                headers.remove(of_the_refusal);
            }
            headers.extend(problem.headers);
            *response.status_mut() = problem.status;
            *response.body_mut() = Body::from(body);
        }
        if version < Version::HTTP_2 {
            let close = HeaderValue::from_static("close");
            response.headers_mut().insert(header::CONNECTION, close);
        }
        response
    }
}

#[cfg(test)]
mod tests;

//! Generators: a future and its stream share one slot, and `yield x` sends `x` into the slot and awaits that.
//!
//! The slot is in `slot.rs`. What a generator does when its client disconnects is here. `source.rs` runs the clean-up.

mod slot;
mod yields;

use std::any::Any;
use std::error::Error as StdError;
use std::fmt;
use std::future::Future;
use std::iter;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use tracing::Span;

use crate::error::{BoxError, Error, Result};
use crate::stream::source::{FrameBuffer, Payload, Source};

use slot::{Slot, Yielder};
pub use yields::{
    RaisingYield, Yield, byte_stream, byte_stream_raising, event_stream, event_stream_raising,
};

/// The error of `yield` in a stream with `raise_on_disconnect`, after the client has disconnected.
///
/// The generator then continues in the background with its clean-up, for at most the
/// [`cleanup_timeout`](crate::StreamOptions::cleanup_timeout). Each further `yield` returns the same error.
///
/// # Examples
///
/// ```
/// use bocadillo::{ClientDisconnect, event_stream, generators};
///
/// generators!(
///     #[event_stream(raise_on_disconnect)]
///     async fn countdown() {
///         for n in (0..10).rev() {
///             if let Err(ClientDisconnect) = yield n.to_string() {
///                 println!("the client has disconnected");
///                 return;
///             }
///         }
///     }
/// );
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ClientDisconnect;

impl fmt::Display for ClientDisconnect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the client has disconnected")
    }
}

impl std::error::Error for ClientDisconnect {}

/// A type that a generator can return: `()` or `Result<(), E>`. An error ends the stream.
#[diagnostic::on_unimplemented(
    message = "a generator cannot return `{Self}`",
    label = "expected `Result<(), E>` or no return type",
    note = "write `yield value` to send a value",
    note = "`E` must implement `Into<Box<dyn Error + Send + Sync>>`"
)]
pub trait Outcome {
    /// The error that the generator ended with, if any.
    fn into_result(self) -> Result<()>;
}

impl Outcome for () {
    fn into_result(self) -> Result<()> {
        Ok(())
    }
}

impl<E: Into<BoxError>> Outcome for Result<(), E> {
    fn into_result(self) -> Result<()> {
        self.or_else(|error| {
            let error = error.into();
            // `?` on a `yield`. The client has disconnected, so this is not an error of the stream.
            if is_disconnect(&*error) {
                Ok(())
            } else {
                Err(Error::stream(error))
            }
        })
    }
}

fn is_disconnect(error: &(dyn StdError + 'static)) -> bool {
    iter::successors(Some(error), |&error| error.source())
        .any(|error| error.is::<ClientDisconnect>())
}

pin_project_lite::pin_project! {
    /// A source that is a future with `yield`.
    pub(crate) struct Generator<T, F> {
        slot: Arc<Slot<T>>,
        #[pin]
        future: Option<F>,
        span: Span,
        raises: bool,
        started: bool,
        // The waker in the slot. It is here as well, so that it can be compared without the slot's lock.
        waker: Option<Waker>,
    }
}

impl<T, F> Generator<T, F> {
    pub(crate) fn new(raises: bool, start: impl FnOnce(Yielder<T>) -> F) -> Self {
        let slot = Arc::new(Slot::new());
        let future = start(Yielder::new(Arc::clone(&slot)));
        Self {
            slot,
            future: Some(future),
            span: Span::current(),
            raises,
            started: false,
            waker: None,
        }
    }
}

impl<T, F> Generator<T, F>
where
    F: Future,
    F::Output: Outcome,
{
    fn start(self: Pin<&mut Self>, cx: &mut Context<'_>) {
        let this = self.project();
        *this.started = true;
        if !this
            .waker
            .as_ref()
            .is_some_and(|known| known.will_wake(cx.waker()))
        {
            *this.waker = Some(cx.waker().clone());
            this.slot.set_generator_waker(cx.waker().clone());
        }
    }

    fn drop_future(self: Pin<&mut Self>) {
        let mut this = self.project();
        let _in_span = this.span.enter();
        this.future.set(None);
    }

    /// Polls the future once. Returns `None` if it has not ended.
    fn resume(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Option<Result<()>> {
        let mut this = self.project();
        let Some(future) = this.future.as_mut().as_pin_mut() else {
            return Some(Ok(()));
        };
        let _in_span = this.span.enter();
        let outcome = match catch_unwind(AssertUnwindSafe(|| future.poll(cx))) {
            Ok(Poll::Pending) => return None,
            Ok(Poll::Ready(outcome)) => outcome.into_result(),
            Err(payload) => Err(Error::panic(panic_message(&*payload))),
        };
        this.future.set(None);
        Some(outcome)
    }
}

impl<T, F> Source<T> for Generator<T, F>
where
    T: Payload,
    F: Future + Send,
    F::Output: Outcome,
{
    fn poll_item(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<T>>> {
        self.as_mut().start(cx);
        let outcome = self.as_mut().resume(cx);
        match (self.slot.take_one(), outcome) {
            (Some(Err(error)), _) => {
                self.drop_future();
                Poll::Ready(Some(Err(error)))
            }
            (Some(item), _) => Poll::Ready(Some(item)),
            (None, Some(Err(error))) => Poll::Ready(Some(Err(error))),
            (None, Some(Ok(()))) => Poll::Ready(None),
            (None, None) => Poll::Pending,
        }
    }

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        frame: &mut FrameBuffer,
        limit: usize,
    ) -> Poll<()> {
        self.as_mut().start(cx);
        frame.empty = 0;
        self.slot.begin_frame(std::mem::take(frame), limit);
        let outcome = self.as_mut().resume(cx);
        *frame = self.slot.take_frame();
        if frame.end.is_some() {
            self.drop_future();
        } else {
            frame.end = outcome;
        }
        frame.poll(cx, limit)
    }

    fn disconnect(self: Pin<&mut Self>) -> bool {
        let this = self.project();
        if !*this.raises || !*this.started || this.future.is_none() {
            return false;
        }
        this.slot.disconnect();
        true
    }

    fn poll_clean_up(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        self.resume(cx).map_or(Poll::Pending, Poll::Ready)
    }

    fn span(&self) -> &Span {
        &self.span
    }
}

fn panic_message(payload: &(dyn Any + Send)) -> String {
    match (
        payload.downcast_ref::<&str>(),
        payload.downcast_ref::<String>(),
    ) {
        (Some(text), _) => (*text).to_owned(),
        (_, Some(text)) => text.clone(),
        _ => "a value that is no text".to_owned(),
    }
}

#[cfg(test)]
mod tests;

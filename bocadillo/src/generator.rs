//! The lowering of `yield`: a future and its stream share one slot, and `yield x` is the `.await` of a send into it.
//!
//! What a client's leaving means for a generator is decided here too; who notices it, and who runs the clean-up, is
//! in `feed.rs`.

use std::any::Any;
use std::error::Error as StdError;
use std::fmt;
use std::future::Future;
use std::iter;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker, ready};

use tracing::Span;

use crate::error::{BoxError, Error, Result};
use crate::feed::{Batch, Payload, Source};

/// The client has gone: what `yield` gives from then on in a stream with `raise_on_disconnect`.
///
/// The clean-up that follows runs detached from the connection, within the stream's clean-up deadline. Each further
/// `yield` gives the same error again.
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
///                 println!("nobody waits for the launch any more");
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

/// What a generator may return: nothing, or a `Result` whose error ends the stream.
#[diagnostic::on_unimplemented(
    message = "a generator returns nothing or `Result<(), E>`, not `{Self}`",
    label = "not what a generator can return",
    note = "what it produces goes through `yield`; `E` is anything that turns into a boxed error"
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
            // `?` on a `yield` ends the generator as `return` does: there is nobody left to tell.
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

/// What `yield` takes in a stream of `T`.
pub(crate) trait Yield<T> {
    fn into_item(self) -> Result<T>;
    fn write(self, batch: &mut Batch) -> Result<()>;
}

/// Where items go from the generator to its stream.
struct Slot<T> {
    state: Mutex<State<T>>,
    /// Yields are served in the order in which they were first polled: one that has to wait draws a ticket, and this is
    /// the one whose turn it is. Written under the lock, read without.
    serving: AtomicU64,
    disconnected: AtomicBool,
}

struct State<T> {
    taking: Taking<T>,
    next_ticket: u64,
    /// Yields that wait under a waker other than the generator's own (in a `FuturesUnordered`, say), and so are not
    /// polled merely because the generator is.
    foreign: Vec<Waker>,
    /// Tickets of yields that were dropped before their turn.
    abandoned: Vec<u64>,
    generator: Option<Waker>,
}

/// What the stream takes while it polls its generator.
enum Taking<T> {
    /// One item; its `yield` ends when the next one is asked for.
    One(Option<Result<T>>),
    /// Up to about so many bytes; a `yield` ends once it is written.
    Batch(Batch, usize),
}

impl<T> Slot<T> {
    fn new() -> Self {
        Self {
            state: Mutex::new(State {
                taking: Taking::One(None),
                next_ticket: 0,
                foreign: Vec::new(),
                abandoned: Vec::new(),
                generator: None,
            }),
            serving: AtomicU64::new(0),
            disconnected: AtomicBool::new(false),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State<T>> {
        // Whatever panics under this lock (a waker, a user's `IntoEvent`), the state is whole.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// From now on a batch is taken.
    fn begin_batch(&self, batch: Batch, limit: usize) {
        let mut state = self.lock();
        state.taking = Taking::Batch(batch, limit);
        state.wake_foreign();
    }

    fn take_batch(&self) -> Batch {
        match std::mem::replace(&mut self.lock().taking, Taking::One(None)) {
            Taking::Batch(batch, _) => batch,
            Taking::One(_) => Batch::default(),
        }
    }

    fn take_one(&self) -> Option<Result<T>> {
        let mut state = self.lock();
        let Taking::One(item) = &mut state.taking else {
            return None;
        };
        let item = item.take()?;
        self.serve_next(&mut state);
        state.wake_foreign();
        Some(item)
    }

    fn serve_next(&self, state: &mut State<T>) {
        let mut serving = self.serving.load(Ordering::Relaxed) + 1;
        while let Some(at) = state.abandoned.iter().position(|ticket| *ticket == serving) {
            state.abandoned.swap_remove(at);
            serving += 1;
        }
        self.serving.store(serving, Ordering::Release);
    }
}

impl<T> State<T> {
    fn wait(&mut self, waker: &Waker) {
        let polled_with_the_generator = self
            .generator
            .as_ref()
            .is_some_and(|own| own.will_wake(waker));
        if !polled_with_the_generator && !self.foreign.iter().any(|known| known.will_wake(waker)) {
            self.foreign.push(waker.clone());
        }
    }

    fn end_batch<P>(&mut self, error: Error) -> Poll<P> {
        if let Taking::Batch(batch, _) = &mut self.taking {
            batch.end = Some(Err(error));
        }
        Poll::Pending
    }

    fn wake_foreign(&mut self) {
        self.foreign.drain(..).for_each(Waker::wake);
    }
}

/// The generator's end of the slot.
pub(crate) struct Yielder<T> {
    slot: Arc<Slot<T>>,
}

impl<T> fmt::Debug for Yielder<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Yielder").finish_non_exhaustive()
    }
}

impl<T> Yielder<T> {
    pub(crate) fn hand_over<Y: Yield<T>>(
        &self,
        item: Y,
    ) -> impl Future<Output = Result<(), ClientDisconnect>> {
        Handover {
            slot: &self.slot,
            item: Some(item),
            ticket: None,
        }
    }
}

/// One `yield`. Dropped before its stream has taken the item, it takes the item back.
struct Handover<'a, T, Y> {
    slot: &'a Slot<T>,
    /// `None` once it is in the slot.
    item: Option<Y>,
    ticket: Option<u64>,
}

// The item is moved, never pinned.
impl<T, Y> Unpin for Handover<'_, T, Y> {}

impl<T, Y: Yield<T>> Future for Handover<'_, T, Y> {
    type Output = Result<(), ClientDisconnect>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        if this.slot.disconnected.load(Ordering::Acquire) {
            // A generator that ignores the error and yields on must still let its deadline be looked at.
            let budget = ready!(tokio::task::coop::poll_proceed(cx));
            budget.made_progress();
            this.ticket = None;
            return Poll::Ready(Err(ClientDisconnect));
        }
        let serving = this.slot.serving.load(Ordering::Acquire);
        if this.item.is_none() && this.ticket.is_some_and(|ticket| ticket < serving) {
            this.ticket = None;
            return Poll::Ready(Ok(()));
        }
        let mut state = this.slot.lock();
        let state = &mut *state;
        if this.ticket.unwrap_or(state.next_ticket) == serving {
            match &mut state.taking {
                Taking::Batch(batch, limit) if batch.has_room(*limit) => {
                    if let Some(item) = this.item.take() {
                        let written = item.write(batch);
                        if this.ticket.take().is_some() {
                            this.slot.serve_next(state);
                            state.wake_foreign();
                        }
                        match written {
                            Ok(()) => return Poll::Ready(Ok(())),
                            // The stream ends with it, and drops the generator here.
                            Err(error) => return state.end_batch(error),
                        }
                    }
                    return Poll::Pending;
                }
                Taking::One(one @ None) => {
                    if let Some(item) = this.item.take() {
                        *one = Some(item.into_item());
                    }
                }
                Taking::Batch(..) | Taking::One(_) => {}
            }
        }
        if this.ticket.is_none() {
            this.ticket = Some(state.next_ticket);
            state.next_ticket += 1;
        }
        state.wait(cx.waker());
        Poll::Pending
    }
}

impl<T, Y> Drop for Handover<'_, T, Y> {
    fn drop(&mut self) {
        let Some(ticket) = self.ticket else { return };
        let mut state = self.slot.lock();
        let serving = self.slot.serving.load(Ordering::Relaxed);
        if ticket == serving {
            if self.item.is_none()
                && let Taking::One(one) = &mut state.taking
            {
                *one = None;
            }
            self.slot.serve_next(&mut state);
            state.wake_foreign();
            // Whoever is next may have been polled already, and told to wait.
            if let Some(generator) = &state.generator
                && self.slot.serving.load(Ordering::Relaxed) < state.next_ticket
            {
                generator.wake_by_ref();
            }
        } else if ticket > serving {
            state.abandoned.push(ticket);
        }
    }
}

pin_project_lite::pin_project! {
    /// A future that yields, as a source of items.
    pub(crate) struct Generator<T, F> {
        slot: Arc<Slot<T>>,
        #[pin]
        future: Option<F>,
        span: Span,
        raises: bool,
        started: bool,
        // The waker last put into the slot; compared without its lock.
        waker: Option<Waker>,
    }
}

impl<T, F> Generator<T, F> {
    pub(crate) fn new(raises: bool, start: impl FnOnce(Yielder<T>) -> F) -> Self {
        let slot = Arc::new(Slot::new());
        let future = start(Yielder {
            slot: Arc::clone(&slot),
        });
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
            this.slot.lock().generator = Some(cx.waker().clone());
        }
    }

    fn drop_future(self: Pin<&mut Self>) {
        let mut this = self.project();
        let _in_span = this.span.enter();
        this.future.set(None);
    }

    /// Polls the future once; `None` when it goes on.
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

    fn poll_batch(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        batch: &mut Batch,
        limit: usize,
    ) -> Poll<()> {
        self.as_mut().start(cx);
        batch.empty = 0;
        self.slot.begin_batch(std::mem::take(batch), limit);
        let outcome = self.as_mut().resume(cx);
        *batch = self.slot.take_batch();
        if batch.end.is_some() {
            self.drop_future();
        } else {
            batch.end = outcome;
        }
        batch.poll(cx, limit)
    }

    fn disconnect(self: Pin<&mut Self>) -> bool {
        let this = self.project();
        if !*this.raises || !*this.started || this.future.is_none() {
            return false;
        }
        this.slot.disconnected.store(true, Ordering::Release);
        let mut state = this.slot.lock();
        state.taking = Taking::One(None);
        state.wake_foreign();
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

//! The lowering of `yield`: a future and its stream share one slot, and `yield x` is the `.await` of a send into it.
//!
//! What a client's leaving means for a generator is decided here too; who notices it, and who runs the clean-up, is
//! in `feed.rs`.

use std::any::Any;
use std::collections::VecDeque;
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
use crate::feed::{Payload, Source};

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

/// Where one item goes from the generator to its stream.
struct Slot<T> {
    state: Mutex<State<T>>,
    /// Sends are served in the order in which they were first polled: each draws a ticket, and this is the one whose
    /// turn it is. Written under the lock, read without.
    serving: AtomicU64,
    disconnected: AtomicBool,
}

struct State<T> {
    item: Option<Result<T>>,
    next_ticket: u64,
    /// Sends that wait under a waker other than the generator's own (in a `FuturesUnordered`, say), and so are not
    /// polled merely because the generator is.
    foreign: VecDeque<Waker>,
    /// Tickets of sends that were dropped before their turn.
    abandoned: Vec<u64>,
    generator: Option<Waker>,
}

impl<T> Slot<T> {
    fn new() -> Self {
        Self {
            state: Mutex::new(State {
                item: None,
                next_ticket: 0,
                foreign: VecDeque::new(),
                abandoned: Vec::new(),
                generator: None,
            }),
            serving: AtomicU64::new(0),
            disconnected: AtomicBool::new(false),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State<T>> {
        // A panic under this lock is impossible but for a waker's; the state stays whole in any case.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T> Slot<T> {
    /// The item, if there is one. Sends that wait under wakers of their own are polled when the generator next is.
    fn take(&self) -> Option<Result<T>> {
        let mut state = self.lock();
        let item = state.item.take()?;
        self.serve_next(&mut state);
        let foreign = std::mem::take(&mut state.foreign);
        drop(state);
        foreign.into_iter().for_each(Waker::wake);
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
            self.foreign.push_back(waker.clone());
        }
    }
}

/// The generator's end of the slot.
pub struct Yielder<T> {
    slot: Arc<Slot<T>>,
}

impl<T> fmt::Debug for Yielder<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Yielder").finish_non_exhaustive()
    }
}

impl<T> Yielder<T> {
    pub(crate) async fn hand_over(&self, item: Result<T>) -> Result<(), ClientDisconnect> {
        Handover {
            slot: &self.slot,
            item: Some(item),
            ticket: None,
        }
        .await
    }
}

/// One `yield`. Dropped before its stream has taken the item, it takes the item back.
struct Handover<'a, T> {
    slot: &'a Slot<T>,
    /// `None` once the item is in the slot.
    item: Option<Result<T>>,
    /// `None` before the first poll and after the last.
    ticket: Option<u64>,
}

// The item is moved, never pinned.
impl<T> Unpin for Handover<'_, T> {}

impl<T> Future for Handover<'_, T> {
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
        if let Some(ticket) = this.ticket
            && this.item.is_none()
            && ticket < this.slot.serving.load(Ordering::Acquire)
        {
            this.ticket = None;
            return Poll::Ready(Ok(()));
        }
        let mut state = this.slot.lock();
        let ticket = *this.ticket.get_or_insert_with(|| {
            let ticket = state.next_ticket;
            state.next_ticket += 1;
            ticket
        });
        if this.item.is_some() && ticket == this.slot.serving.load(Ordering::Relaxed) {
            state.item = this.item.take();
        }
        state.wait(cx.waker());
        Poll::Pending
    }
}

impl<T> Drop for Handover<'_, T> {
    fn drop(&mut self) {
        let Some(ticket) = self.ticket else { return };
        let mut state = self.slot.lock();
        let serving = self.slot.serving.load(Ordering::Relaxed);
        if ticket == serving {
            if self.item.is_none() {
                state.item = None;
            }
            self.slot.serve_next(&mut state);
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
        let this = self.as_mut().project();
        *this.started = true;
        let same_waker = this
            .waker
            .as_ref()
            .is_some_and(|known| known.will_wake(cx.waker()));
        if !same_waker {
            *this.waker = Some(cx.waker().clone());
            this.slot.lock().generator = Some(cx.waker().clone());
        }

        let outcome = self.as_mut().resume(cx);

        let item = self.slot.take();
        match (item, outcome) {
            (Some(Err(error)), _) => {
                let mut this = self.project();
                let _in_span = this.span.enter();
                this.future.set(None);
                Poll::Ready(Some(Err(error)))
            }
            (Some(item), _) => Poll::Ready(Some(item)),
            (None, Some(Err(error))) => Poll::Ready(Some(Err(error))),
            (None, Some(Ok(()))) => Poll::Ready(None),
            (None, None) => Poll::Pending,
        }
    }

    fn disconnect(self: Pin<&mut Self>) -> bool {
        let this = self.project();
        if !*this.raises || !*this.started || this.future.is_none() {
            return false;
        }
        this.slot.disconnected.store(true, Ordering::Release);
        let mut state = this.slot.lock();
        state.item = None;
        let foreign = std::mem::take(&mut state.foreign);
        drop(state);
        foreign.into_iter().for_each(Waker::wake);
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

//! The slot that a generator and its stream share, and the future of a `yield`.

use std::fmt;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker, ready};

use super::ClientDisconnect;
use crate::error::{Error, Result};
use crate::stream::source::FrameBuffer;

/// A value that can be yielded in a stream of `T`.
pub(crate) trait Yield<T> {
    fn into_item(self) -> Result<T>;
    fn write(self, frame: &mut FrameBuffer) -> Result<()>;
}

/// A generator puts its items here, and its stream takes them out.
pub(super) struct Slot<T> {
    state: Mutex<State<T>>,
    /// The ticket of the yield whose turn it is. A yield that has to wait takes the next ticket. So yields send in the
    /// order in which they were first polled. The ticket is written with the lock held. It is read without the lock.
    serving: AtomicU64,
    disconnected: AtomicBool,
}

struct State<T> {
    buffer: Buffer<T>,
    next_ticket: u64,
    /// Wakers of the waiting yields that were not polled with the generator's waker. For example, a `FuturesUnordered`
    /// polls a yield with a waker of its own. It polls the yield again only after this waker is woken.
    other_wakers: Vec<Waker>,
    /// Tickets of yields that were dropped before their turn.
    dropped_tickets: Vec<u64>,
    generator_waker: Option<Waker>,
}

/// Where a `yield` writes its item.
enum Buffer<T> {
    /// One item. Its `yield` ends when the stream asks for the next item.
    Item(Option<Result<T>>),
    /// Encoded items, up to about this number of bytes. A `yield` ends when its item is encoded.
    Frame(FrameBuffer, usize),
}

impl<T> Slot<T> {
    pub(super) fn new() -> Self {
        Self {
            state: Mutex::new(State {
                buffer: Buffer::Item(None),
                next_ticket: 0,
                other_wakers: Vec::new(),
                dropped_tickets: Vec::new(),
                generator_waker: None,
            }),
            serving: AtomicU64::new(0),
            disconnected: AtomicBool::new(false),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State<T>> {
        // A waker or a user's `IntoEvent` may panic while the lock is held. The state is still valid after that.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sets the waker of the generator.
    pub(super) fn set_generator_waker(&self, waker: Waker) {
        self.lock().generator_waker = Some(waker);
    }

    /// Makes each later `yield` return an error, because the client has disconnected.
    pub(super) fn disconnect(&self) {
        self.disconnected.store(true, Ordering::Release);
        let mut state = self.lock();
        state.buffer = Buffer::Item(None);
        state.wake_others();
    }

    /// Makes later yields write to `frame`, up to about `limit` bytes.
    pub(super) fn begin_frame(&self, frame: FrameBuffer, limit: usize) {
        let mut state = self.lock();
        state.buffer = Buffer::Frame(frame, limit);
        state.wake_others();
    }

    pub(super) fn take_frame(&self) -> FrameBuffer {
        match std::mem::replace(&mut self.lock().buffer, Buffer::Item(None)) {
            Buffer::Frame(frame, _) => frame,
            Buffer::Item(_) => FrameBuffer::default(),
        }
    }

    pub(super) fn take_one(&self) -> Option<Result<T>> {
        let mut state = self.lock();
        let Buffer::Item(item) = &mut state.buffer else {
            return None;
        };
        let item = item.take()?;
        self.serve_next(&mut state);
        state.wake_others();
        Some(item)
    }

    fn serve_next(&self, state: &mut State<T>) {
        let mut serving = self.serving.load(Ordering::Relaxed) + 1;
        while let Some(at) = state
            .dropped_tickets
            .iter()
            .position(|ticket| *ticket == serving)
        {
            state.dropped_tickets.swap_remove(at);
            serving += 1;
        }
        self.serving.store(serving, Ordering::Release);
    }
}

impl<T> State<T> {
    fn wait(&mut self, waker: &Waker) {
        let has_generator_waker = self
            .generator_waker
            .as_ref()
            .is_some_and(|own| own.will_wake(waker));
        if !has_generator_waker && !self.other_wakers.iter().any(|known| known.will_wake(waker)) {
            self.other_wakers.push(waker.clone());
        }
    }

    fn end_frame<P>(&mut self, error: Error) -> Poll<P> {
        if let Buffer::Frame(frame, _) = &mut self.buffer {
            frame.end = Some(Err(error));
        }
        Poll::Pending
    }

    fn wake_others(&mut self) {
        self.other_wakers.drain(..).for_each(Waker::wake);
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
    pub(super) fn new(slot: Arc<Slot<T>>) -> Self {
        Self { slot }
    }

    pub(crate) fn send<Y: Yield<T>>(
        &self,
        item: Y,
    ) -> impl Future<Output = Result<(), ClientDisconnect>> {
        YieldFuture {
            slot: &self.slot,
            item: Some(item),
            ticket: None,
        }
    }
}

/// The future of one `yield`. If it is dropped before the stream takes the item, the item is not sent.
struct YieldFuture<'a, T, Y> {
    slot: &'a Slot<T>,
    /// `None` after the item was moved into the slot.
    item: Option<Y>,
    ticket: Option<u64>,
}

// The item is moved, never pinned.
impl<T, Y> Unpin for YieldFuture<'_, T, Y> {}

impl<T, Y: Yield<T>> Future for YieldFuture<'_, T, Y> {
    type Output = Result<(), ClientDisconnect>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        if this.slot.disconnected.load(Ordering::Acquire) {
            // A generator may ignore the error and yield again. Its clean-up time-out must be polled in between.
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
            match &mut state.buffer {
                Buffer::Frame(frame, limit) if frame.has_room(*limit) => {
                    if let Some(item) = this.item.take() {
                        let written = item.write(frame);
                        if this.ticket.take().is_some() {
                            this.slot.serve_next(state);
                            state.wake_others();
                        }
                        match written {
                            Ok(()) => return Poll::Ready(Ok(())),
                            // The stream ends with the error, and drops the generator at this `yield`.
                            Err(error) => return state.end_frame(error),
                        }
                    }
                    return Poll::Pending;
                }
                Buffer::Item(buffered @ None) => {
                    if let Some(item) = this.item.take() {
                        *buffered = Some(item.into_item());
                    }
                }
                Buffer::Frame(..) | Buffer::Item(_) => {}
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

impl<T, Y> Drop for YieldFuture<'_, T, Y> {
    fn drop(&mut self) {
        let Some(ticket) = self.ticket else { return };
        let mut state = self.slot.lock();
        let serving = self.slot.serving.load(Ordering::Relaxed);
        if ticket == serving {
            if self.item.is_none()
                && let Buffer::Item(buffered) = &mut state.buffer
            {
                *buffered = None;
            }
            self.slot.serve_next(&mut state);
            state.wake_others();
            // The next yield may already wait for its turn.
            if let Some(generator) = &state.generator_waker
                && self.slot.serving.load(Ordering::Relaxed) < state.next_ticket
            {
                generator.wake_by_ref();
            }
        } else if ticket > serving {
            state.dropped_tickets.push(ticket);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{IntoEvent, ServerEvent};

    struct Text(&'static str);

    impl Yield<ServerEvent> for Text {
        fn into_item(self) -> Result<ServerEvent> {
            self.0.into_event()
        }

        fn write(self, frame: &mut FrameBuffer) -> Result<()> {
            self.0.write(&mut frame.own)
        }
    }

    fn slot() -> (Arc<Slot<ServerEvent>>, Yielder<ServerEvent>) {
        let slot = Arc::new(Slot::new());
        (Arc::clone(&slot), Yielder::new(slot))
    }

    #[test]
    fn a_yield_with_a_waker_of_its_own_stores_that_waker_once() {
        let (slot, yielder) = slot();
        let waker = futures_util::task::noop_waker();
        let mut cx = Context::from_waker(&waker);
        let mut waits = Box::pin(yielder.send(Text("one")));
        for _ in 0..1000 {
            assert!(waits.as_mut().poll(&mut cx).is_pending());
        }
        assert_eq!(slot.lock().other_wakers.len(), 1);
    }

    #[test]
    fn dropped_yields_leave_no_tickets_behind() {
        let (slot, yielder) = slot();
        let waker = futures_util::task::noop_waker();
        let mut cx = Context::from_waker(&waker);
        for _ in 0..10 {
            let mut first = Box::pin(yielder.send(Text("one")));
            assert!(first.as_mut().poll(&mut cx).is_pending());
            for _ in 0..100 {
                let mut dropped = Box::pin(yielder.send(Text("dropped")));
                assert!(dropped.as_mut().poll(&mut cx).is_pending());
            }
            assert!(slot.take_one().is_some());
            assert!(first.as_mut().poll(&mut cx).is_ready());
        }
        let state = slot.lock();
        assert_eq!(
            (state.dropped_tickets.len(), state.other_wakers.len()),
            (0, 0)
        );
    }
}

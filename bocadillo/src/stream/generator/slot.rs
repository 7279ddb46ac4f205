//! The slot that a generator and its stream share, and the future of a `yield`.

use std::fmt;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker, ready};

use super::ClientDisconnect;
use crate::error::{Error, Result};
use crate::stream::source::FrameBuffer;

/// What `yield` takes in a stream of `T`.
pub(crate) trait Yield<T> {
    fn into_item(self) -> Result<T>;
    fn write(self, frame: &mut FrameBuffer) -> Result<()>;
}

/// The place where a generator puts an item for its stream.
pub(super) struct Slot<T> {
    state: Mutex<State<T>>,
    /// The ticket of the yield whose turn it is. A yield that has to wait takes the next ticket, so yields are served in
    /// the order in which they were first polled. It is written under the lock, and read without.
    serving: AtomicU64,
    disconnected: AtomicBool,
}

struct State<T> {
    taking: Taking<T>,
    next_ticket: u64,
    /// Wakers of yields that wait under another waker than the generator's, for example in a `FuturesUnordered`. They
    /// are not polled when the generator is polled.
    foreign: Vec<Waker>,
    /// Tickets of yields that were dropped before their turn.
    abandoned: Vec<u64>,
    generator: Option<Waker>,
}

/// What the stream takes while it polls its generator.
enum Taking<T> {
    /// One item. Its `yield` ends when the stream asks for the next item.
    One(Option<Result<T>>),
    /// Items up to about this number of bytes. A `yield` ends when its item is written.
    Frame(FrameBuffer, usize),
}

impl<T> Slot<T> {
    pub(super) fn new() -> Self {
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
        // A waker or a user's `IntoEvent` may panic under this lock. The state is valid then.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sets the waker of the generator.
    pub(super) fn polled_with(&self, waker: Waker) {
        self.lock().generator = Some(waker);
    }

    /// The client has disconnected: each `yield` from now on returns an error.
    pub(super) fn disconnect(&self) {
        self.disconnected.store(true, Ordering::Release);
        let mut state = self.lock();
        state.taking = Taking::One(None);
        state.wake_foreign();
    }

    /// From now on the stream takes items for a frame.
    pub(super) fn begin_frame(&self, frame: FrameBuffer, limit: usize) {
        let mut state = self.lock();
        state.taking = Taking::Frame(frame, limit);
        state.wake_foreign();
    }

    pub(super) fn take_frame(&self) -> FrameBuffer {
        match std::mem::replace(&mut self.lock().taking, Taking::One(None)) {
            Taking::Frame(frame, _) => frame,
            Taking::One(_) => FrameBuffer::default(),
        }
    }

    pub(super) fn take_one(&self) -> Option<Result<T>> {
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

    fn end_frame<P>(&mut self, error: Error) -> Poll<P> {
        if let Taking::Frame(frame, _) = &mut self.taking {
            frame.end = Some(Err(error));
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
    pub(super) fn new(slot: Arc<Slot<T>>) -> Self {
        Self { slot }
    }

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

/// The future of one `yield`. If it is dropped before its stream has taken the item, the item is not sent.
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
            match &mut state.taking {
                Taking::Frame(frame, limit) if frame.has_room(*limit) => {
                    if let Some(item) = this.item.take() {
                        let written = item.write(frame);
                        if this.ticket.take().is_some() {
                            this.slot.serve_next(state);
                            state.wake_foreign();
                        }
                        match written {
                            Ok(()) => return Poll::Ready(Ok(())),
                            // The stream ends with the error, and drops the generator at this `yield`.
                            Err(error) => return state.end_frame(error),
                        }
                    }
                    return Poll::Pending;
                }
                Taking::One(one @ None) => {
                    if let Some(item) = this.item.take() {
                        *one = Some(item.into_item());
                    }
                }
                Taking::Frame(..) | Taking::One(_) => {}
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
            // The next yield may have been polled already, and waits.
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
    fn a_yield_that_is_polled_often_under_a_waker_of_its_own_leaves_that_waker_once() {
        let (slot, yielder) = slot();
        let waker = futures_util::task::noop_waker();
        let mut cx = Context::from_waker(&waker);
        let mut waits = Box::pin(yielder.hand_over(Text("one")));
        for _ in 0..1000 {
            assert!(waits.as_mut().poll(&mut cx).is_pending());
        }
        assert_eq!(slot.lock().foreign.len(), 1);
    }

    #[test]
    fn yields_that_were_dropped_before_their_turn_are_forgotten() {
        let (slot, yielder) = slot();
        let waker = futures_util::task::noop_waker();
        let mut cx = Context::from_waker(&waker);
        for _ in 0..10 {
            let mut first = Box::pin(yielder.hand_over(Text("one")));
            assert!(first.as_mut().poll(&mut cx).is_pending());
            for _ in 0..100 {
                let mut dropped = Box::pin(yielder.hand_over(Text("dropped")));
                assert!(dropped.as_mut().poll(&mut cx).is_pending());
            }
            assert!(slot.take_one().is_some());
            assert!(first.as_mut().poll(&mut cx).is_ready());
        }
        let state = slot.lock();
        assert_eq!((state.abandoned.len(), state.foreign.len()), (0, 0));
    }
}

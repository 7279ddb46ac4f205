//! What the connection of our server sees of a stream's body.

use std::sync::{Arc, Weak};
use std::task::Context;
use std::time::Duration;

use super::{Core, Shared, StreamBody};
use crate::stream::framing::{End, Framing};
use crate::stream::outgoing::{self, Outgoing};

impl<T: Framing> StreamBody<T> {
    /// Registers the stream with the connection that makes or polls its body.
    pub(super) fn register(&self) {
        let shared: Weak<Shared<T>> = Arc::downgrade(&self.0);
        let shared: Weak<dyn outgoing::Stream> = shared;
        if let Some(is_http2) = Outgoing::register(&shared) {
            let mut core = self.lock();
            core.is_observed = true;
            core.is_http2 |= is_http2;
        }
    }
}

impl<T: Framing> outgoing::Stream for Shared<T> {
    fn poll_state(&self, cx: &mut Context<'_>) -> outgoing::State {
        // A layer may poll the body in another task. That poll then sees that the stream has to end.
        let Ok(mut core) = self.0.try_lock() else {
            return outgoing::State::Waiting;
        };
        core.poll_state(cx)
    }

    fn end(&self) {
        self.lock().end_early(End::InOrder);
    }

    fn write_timeout(&self) -> Option<Duration> {
        self.lock().write_timeout()
    }
}

impl<T: Framing> Core<T> {
    /// Returns what the connection sees of the stream. Does not poll the source.
    fn poll_state(&mut self, cx: &mut Context<'_>) -> outgoing::State {
        if self.is_ending {
            return outgoing::State::Ending;
        }
        if self.is_waiting {
            // Its last `poll_frame` has registered the waker everywhere.
            return outgoing::State::Waiting;
        }
        self.set_waker(cx);
        if self.end.is_none() && self.poll_early_end(cx) {
            return outgoing::State::Ending;
        }
        outgoing::State::HandedOut(self.frames)
    }
}

//! Futures around hyper's connections and HTTP/2 streams. They cut a connection or a stream in three cases: the server
//! has ended it and the client does not read; the client takes nothing for too long; the client has left.

mod held_body;
mod http1;
mod http2;

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use tokio::time::{Instant, Sleep};

use crate::server::link::{HungUp, Link};
use crate::server::timeouts::WriteTimeouts;
use crate::stream::drain::Drain;

pub(super) use held_body::HeldBody;
pub(super) use http1::Http1Guard;
pub(super) use http2::{Executor, Http2Guard};

/// The time-outs after which a connection is cut, and the shutdown of the server.
#[derive(Clone, Debug)]
pub(crate) struct Limits {
    pub(crate) timeouts: WriteTimeouts,
    pub(crate) drain: Arc<Drain>,
}

/// A timer that exists only while there is something to wait for.
#[derive(Default)]
struct Deadline(Option<Pin<Box<Sleep>>>);

impl Deadline {
    /// Whether `at` has come. Otherwise the task is woken then, or earlier.
    fn has_come(&mut self, at: Option<Instant>, cx: &mut Context<'_>) -> bool {
        let Some(at) = at else {
            if self.0.as_ref().is_some_and(|timer| timer.is_elapsed()) {
                self.0 = None;
            }
            return false;
        };
        loop {
            if at <= Instant::now() {
                return true;
            }
            let timer = self
                .0
                .get_or_insert_with(|| Box::pin(tokio::time::sleep_until(at)));
            // A timer that is due earlier stays, and is set again when it fires. So progress costs nothing.
            if timer.is_elapsed() || at < timer.deadline() {
                timer.as_mut().reset(at);
            }
            if timer.as_mut().poll(cx).is_pending() {
                return false;
            }
        }
    }
}

/// Finds out that the client has closed the connection, while hyper does not read and so does not see it.
#[derive(Default)]
struct HungUpWatch(Option<HungUp>);

impl HungUpWatch {
    fn poll<C>(&mut self, is_watched: bool, link: &Link<C>, cx: &mut Context<'_>) -> Poll<Cut> {
        if !is_watched {
            self.0 = None;
            return Poll::Pending;
        }
        if self.0.is_none() {
            self.0 = link.hung_up();
        }
        match &mut self.0 {
            Some(hung_up) => hung_up.as_mut().poll(cx).map(|()| Cut::Left),
            None => Poll::Pending,
        }
    }
}

/// Why a connection is cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cut {
    /// The client does not read.
    Stalled,
    /// The client has closed the connection.
    Left,
    /// The client no longer acknowledges what is sent.
    Silent,
}

#[cfg(test)]
mod tests;

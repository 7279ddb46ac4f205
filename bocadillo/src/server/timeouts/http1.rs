//! The time-outs of HTTP/1 for the head of a request and between two requests.
//!
//! hyper has one timer for both. It starts when the last response is written, and stops when the head is complete. This
//! module replaces that timer by one that knows whether the head has begun.

use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use hyper::rt;
use pin_project_lite::pin_project;
use tokio::time::{Instant, Sleep, sleep_until};

use super::{Observer, SHUTDOWN, Timeouts};
use crate::stream::deadline::after;

/// The time-outs of one connection. Its socket, its timer and its service share them.
#[derive(Clone, Debug)]
pub(crate) struct Http1(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    timeouts: Timeouts,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// When the connection began, until hyper waits for the first head.
    start: Option<Instant>,
    /// Whether bytes of the next head have come.
    begun: bool,
    /// The last bytes that the client sent.
    tail: [u8; 3],
    /// Whether the last request had a body of a known length. Such a body can end with any bytes.
    has_length: bool,
    head: Head,
    /// How many bytes the client has sent since the end of the head, without those of the body.
    surplus: i64,
    /// The time by which a head has to be complete because the server shuts down.
    shutdown: Option<Instant>,
}

/// The state of reading a head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Head {
    /// No line has begun. Empty lines may stand before a head.
    Before,
    /// In a line that is not empty.
    Line,
    /// At the start of a line.
    LineStart,
    /// The head is complete.
    Complete,
    /// The head came together with an earlier request, and its bytes were not examined.
    Unknown,
}

impl Head {
    /// Examines `bytes` up to the empty line that ends the head. Returns the bytes after it.
    fn read(self, bytes: &[u8]) -> (Self, &[u8]) {
        let mut head = self;
        for (at, byte) in bytes.iter().enumerate() {
            head = match (head, byte) {
                (Self::Complete | Self::Unknown, _) => return (head, &bytes[at..]),
                (Self::LineStart, b'\n') => Self::Complete,
                (Self::Line, b'\n') => Self::LineStart,
                (Self::Before, b'\n' | b'\r') | (Self::LineStart, b'\r') => head,
                _ => Self::Line,
            };
        }
        (head, &[])
    }
}

impl State {
    /// Whether the last bytes can be the end of a request. hyper may have read a part of the next head together with
    /// the last request. Such a part does not end with an empty line.
    fn ends_request(&self) -> bool {
        self.has_length || self.tail.ends_with(b"\n\n") || self.tail.ends_with(b"\n\r\n")
    }

    /// Called when hyper has read a request and begins to wait for the next head.
    fn next(&mut self) {
        let has_more = self.head == Head::Complete && self.has_length && self.surplus > 0;
        self.begun = has_more || !self.ends_request();
        self.head = if self.begun {
            Head::Unknown
        } else {
            Head::Before
        };
        self.surplus = 0;
    }
}

impl Http1 {
    /// Makes the time-outs of a connection that began at `start`.
    pub(crate) fn new(timeouts: Timeouts, start: Instant) -> Self {
        let state = State {
            start: Some(start),
            begun: false,
            tail: *b"\n\r\n",
            has_length: false,
            head: Head::Before,
            surplus: 0,
            shutdown: None,
        };
        Self(Arc::new(Shared {
            timeouts,
            state: Mutex::new(state),
        }))
    }

    /// Called when a head is complete. `length` is the length of its body, if it is known.
    pub(crate) fn request(&self, length: Option<u64>) {
        let mut state = self.state();
        let length = length.unwrap_or(0);
        state.has_length = length > 0;
        state.surplus = state.surplus.saturating_sub_unsigned(length);
    }

    /// Called when the server shuts down. The connection has to be polled after this.
    pub(crate) fn shut_down(&self) {
        self.state().shutdown = Some(Instant::now() + SHUTDOWN);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Called when hyper begins to wait for a head.
    fn wait(&self) -> HeadSleep {
        let mut state = self.state();
        let now = Instant::now();
        let (phase, due) = match state.start.take() {
            Some(start) => (Phase::Head, after(start, self.0.timeouts.header)),
            None => (Phase::Idle, after(now, self.0.timeouts.idle)),
        };
        state.next();
        drop(state);
        HeadSleep {
            http1: self.clone(),
            phase,
            sleep: sleep_until(due),
        }
    }
}

impl Observer for Http1 {
    fn read(&mut self, bytes: &[u8]) {
        let mut state = self.state();
        state.begun = true;
        let (head, behind) = state.head.read(bytes);
        state.head = head;
        state.surplus = state.surplus.saturating_add_unsigned(behind.len() as u64);
        let last = bytes.len().min(state.tail.len());
        state.tail.rotate_left(last);
        let kept = state.tail.len() - last;
        state.tail[kept..].copy_from_slice(&bytes[bytes.len() - last..]);
    }
}

impl rt::Timer for Http1 {
    fn sleep(&self, _: Duration) -> Pin<Box<dyn rt::Sleep>> {
        Box::pin(self.wait())
    }

    fn sleep_until(&self, _: std::time::Instant) -> Pin<Box<dyn rt::Sleep>> {
        Box::pin(self.wait())
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Idle,
    Head,
}

pin_project! {
    /// Ready when the time-out has passed. hyper polls it after each read, until the head is complete.
    struct HeadSleep {
        http1: Http1,
        phase: Phase,
        #[pin]
        sleep: Sleep,
    }
}

impl Future for HeadSleep {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let mut this = self.project();
        let timeouts = this.http1.0.timeouts;
        let (begun, shutdown) = {
            let state = this.http1.state();
            (state.begun, state.shutdown)
        };
        if *this.phase == Phase::Idle && begun {
            *this.phase = Phase::Head;
            let due = after(Instant::now(), timeouts.header);
            this.sleep.as_mut().reset(due);
        }
        if let Some(due) = shutdown.filter(|due| *due < this.sleep.deadline()) {
            this.sleep.as_mut().reset(due);
        }
        this.sleep.poll(cx)
    }
}

impl rt::Sleep for HeadSleep {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_ends_with_an_empty_line() {
        for (bytes, behind) in [
            (&b"GET / HTTP/1.1\r\nhost: x\r\n\r\nbody"[..], 4),
            (b"\r\n\r\nGET / HTTP/1.1\r\n\r\n", 0),
            (b"\n\nGET / HTTP/1.1\n\nbody\n\n", 6),
            (b"GET / HTTP/1.1\nhost: x\r\n\n\r\n", 2),
        ] {
            let (head, rest) = Head::Before.read(bytes);
            assert_eq!((head, rest.len()), (Head::Complete, behind), "{bytes:?}");
            // Byte by byte.
            let (mut head, mut count) = (Head::Before, 0);
            for byte in bytes {
                let byte = [*byte];
                let (next, rest) = head.read(&byte);
                head = next;
                count += rest.len();
            }
            assert_eq!((head, count), (Head::Complete, behind), "{bytes:?}");
        }
        assert_eq!(Head::Before.read(b"GET / HTTP/1.1\r\nho").0, Head::Line);
        assert_eq!(Head::Before.read(b"GET / HTTP/1.1\r\n").0, Head::LineStart);
    }

    #[test]
    fn a_connection_with_a_stream_under_way_holds_few_bytes_more() {
        // With the two counts of each `Arc`, and the timer that hyper holds.
        let bytes = size_of::<Shared>() + 16 + size_of::<Http1>() + 16;
        assert!(bytes <= 152, "{bytes}");
    }
}

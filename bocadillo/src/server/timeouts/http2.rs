//! The time-outs of HTTP/2: for the client's first frames, for each head, and for a connection without streams.
//!
//! hyper shows a request only when its head is complete, so the frames are examined here (RFC 9113, section 4).

use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};

use futures_util::task::AtomicWaker;
use tokio::time::{Instant, Sleep, sleep_until};

use super::{Observer, SHUTDOWN, Timeouts};
use crate::stream::deadline::after;

/// The time-outs of one connection. Its socket, its requests and its [`ConnectionTimer`] share them.
#[derive(Clone, Debug)]
pub(crate) struct Http2(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    timeouts: Timeouts,
    state: Mutex<State>,
    waker: AtomicWaker,
}

#[derive(Debug)]
struct State {
    frames: Frames,
    /// When the client began a head, or its first frames, that it has not completed.
    head_since: Option<Instant>,
    streams: usize,
    /// When the last stream ended.
    idle_since: Instant,
    /// When the client last sent something.
    last_read: Instant,
}

impl Http2 {
    /// Makes the time-outs of a connection that began at `start`.
    pub(crate) fn new(timeouts: Timeouts, start: Instant) -> Self {
        let state = State {
            frames: Frames::default(),
            head_since: Some(start),
            streams: 0,
            idle_since: start,
            last_read: start,
        };
        Self(Arc::new(Shared {
            timeouts,
            state: Mutex::new(state),
            waker: AtomicWaker::new(),
        }))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts a stream as open until the guard is dropped.
    pub(crate) fn stream(&self) -> OpenStream {
        self.state().streams += 1;
        OpenStream(self.clone())
    }

    pub(crate) fn timer(&self) -> ConnectionTimer {
        ConnectionTimer {
            http2: self.clone(),
            sleep: None,
            closing: None,
        }
    }
}

impl Observer for Http2 {
    fn read(&mut self, bytes: &[u8]) {
        let mut state = self.state();
        state.last_read = Instant::now();
        if state.frames.read(bytes) {
            state.head_since = None;
        }
        if state.head_since.is_none() && state.frames.is_incomplete() {
            state.head_since = Some(state.last_read);
        }
    }
}

/// The state of reading the client's frames.
#[derive(Debug)]
struct Frames {
    header: [u8; 9],
    /// How many bytes of `header` were read.
    filled: usize,
    /// How many bytes of the frame's payload are still missing.
    payload: usize,
    kind: u8,
    /// Whether the client's SETTINGS are still missing.
    opening: bool,
    /// Whether a CONTINUATION frame with more of the head has to follow.
    continues: bool,
}

const PREFACE: usize = 24;
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const SETTINGS: u8 = 4;
const CONTINUATION: u8 = 9;
const END_HEADERS: u8 = 4;
/// Not a frame of the protocol.
const NONE: u8 = 255;

impl Default for Frames {
    fn default() -> Self {
        Self {
            header: [0; 9],
            filled: 0,
            payload: PREFACE,
            kind: NONE,
            opening: true,
            continues: false,
        }
    }
}

impl Frames {
    /// Examines `bytes`. Returns whether they contain the end of a frame that completes a head, or of another frame
    /// that is not a part of a head.
    fn read(&mut self, mut bytes: &[u8]) -> bool {
        let mut completed = false;
        while !bytes.is_empty() {
            if self.payload > 0 {
                let length = self.payload.min(bytes.len());
                self.payload -= length;
                bytes = &bytes[length..];
            } else {
                self.header[self.filled] = bytes[0];
                self.filled += 1;
                bytes = &bytes[1..];
                if self.filled < self.header.len() {
                    continue;
                }
                let [high, middle, low, kind, flags, ..] = self.header;
                self.filled = 0;
                self.payload = u32::from_be_bytes([0, high, middle, low]) as usize;
                self.kind = kind;
                if matches!(kind, HEADERS | CONTINUATION) {
                    self.continues = flags & END_HEADERS == 0;
                }
            }
            if self.payload == 0 {
                self.opening &= self.kind != SETTINGS;
                completed |= !self.opening && !self.continues;
            }
        }
        completed
    }

    /// Whether the client has to send the rest of a head or of a frame. The rest of a DATA frame may come later.
    fn is_incomplete(&self) -> bool {
        self.opening || self.continues || self.filled > 0 || (self.payload > 0 && self.kind != DATA)
    }
}

/// A stream that counts as open.
#[derive(Debug)]
pub(crate) struct OpenStream(Http2);

impl Drop for OpenStream {
    fn drop(&mut self) {
        let mut state = self.0.state();
        state.streams -= 1;
        let last = state.streams == 0;
        if last {
            state.idle_since = Instant::now();
        }
        drop(state);
        if last {
            self.0.0.waker.wake();
        }
    }
}

/// The time-out that has passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TimeoutKind {
    /// There was no stream for too long. The caller shuts the connection down.
    Idle,
    /// The client did not send its first frames, a head, or its part of a shutdown in time. The caller cuts the
    /// connection.
    Silent,
}

/// Waits for the next time-out of a connection. Poll it after the connection, in the same task.
#[derive(Debug)]
pub(crate) struct ConnectionTimer {
    http2: Http2,
    sleep: Option<Pin<Box<Sleep>>>,
    closing: Option<Instant>,
}

impl ConnectionTimer {
    /// Starts the time-out of the shutdown. Call it when the server sends GOAWAY.
    pub(crate) fn close(&mut self) {
        self.closing = Some(Instant::now());
    }

    fn due(&self) -> Option<(Instant, TimeoutKind)> {
        let state = self.http2.state();
        let timeouts = &self.http2.0.timeouts;
        Some(match (state.head_since, self.closing) {
            (Some(head), None) => (after(head, timeouts.header), TimeoutKind::Silent),
            (Some(head), Some(closing)) => {
                let due = after(head, timeouts.header).min(closing.max(head) + SHUTDOWN);
                (due, TimeoutKind::Silent)
            }
            (None, _) if state.streams > 0 => return None,
            (None, None) => (after(state.idle_since, timeouts.idle), TimeoutKind::Idle),
            // A slow client may still have to read the last bytes of a stream. Whatever it sends extends the time.
            (None, Some(closing)) => {
                let since = closing.max(state.idle_since).max(state.last_read);
                (since + SHUTDOWN, TimeoutKind::Silent)
            }
        })
    }

    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<TimeoutKind> {
        self.http2.0.waker.register(cx.waker());
        while let Some((due, kind)) = self.due() {
            // A `Sleep` that ends before `due` is not reset now. It is reset when it ends.
            let sleep = self.sleep.get_or_insert_with(|| Box::pin(sleep_until(due)));
            if due < sleep.deadline() || sleep.is_elapsed() {
                sleep.as_mut().reset(due);
            }
            ready!(sleep.as_mut().poll(cx));
            if due <= Instant::now() {
                return Poll::Ready(kind);
            }
        }
        Poll::Pending
    }
}

#[cfg(test)]
mod tests;

//! What generated code calls for `yield` and for a generator.

use bytes::Bytes;

use super::slot::{self, Yielder};
use super::{ClientDisconnect, Generator, Outcome};
use crate::error::Result;
use crate::event::{IntoEvent, ServerEvent};
use crate::stream::byte_stream::IntoChunk;
use crate::stream::source::{FrameBuffer, Payload};
use crate::stream::{ByteStream, EventStream};

/// The `yield` of a generator that is dropped when the client disconnects.
#[derive(Debug)]
pub struct Yield<T>(Yielder<T>);

/// The `yield` of a generator that gets an error when the client disconnects.
#[derive(Debug)]
pub struct RaisingYield<T>(Yielder<T>);

struct Event<E>(E);

impl<E: IntoEvent> slot::Yield<ServerEvent> for Event<E> {
    fn into_item(self) -> Result<ServerEvent> {
        self.0.into_event()
    }

    fn write(self, frame: &mut FrameBuffer) -> Result<()> {
        self.0.write(&mut frame.own)
    }
}

struct Chunk<C>(C);

impl<C: IntoChunk> slot::Yield<Bytes> for Chunk<C> {
    fn into_item(self) -> Result<Bytes> {
        self.0.into_chunk()
    }

    fn write(self, frame: &mut FrameBuffer) -> Result<()> {
        self.0.into_chunk().map(|chunk| chunk.write(frame))
    }
}

impl Yield<ServerEvent> {
    /// Gives one item to the stream, and waits until the stream takes it.
    pub async fn send(&self, event: impl IntoEvent) {
        // This generator is dropped when the client disconnects, so it does not see the error.
        let _ = self.0.send(Event(event)).await;
    }
}

impl RaisingYield<ServerEvent> {
    /// Gives one item to the stream, and waits until the stream takes it.
    pub async fn send(&self, event: impl IntoEvent) -> Result<(), ClientDisconnect> {
        self.0.send(Event(event)).await
    }
}

impl Yield<Bytes> {
    /// Gives one item to the stream, and waits until the stream takes it.
    pub async fn send(&self, chunk: impl IntoChunk) {
        let _ = self.0.send(Chunk(chunk)).await;
    }
}

impl RaisingYield<Bytes> {
    /// Gives one item to the stream, and waits until the stream takes it.
    pub async fn send(&self, chunk: impl IntoChunk) -> Result<(), ClientDisconnect> {
        self.0.send(Chunk(chunk)).await
    }
}

// `R` is a separate parameter so that generated code can name it. The error for a wrong return type is then at the
// user's type.
/// An event stream of a generator.
pub fn event_stream<R, F, Fut>(generator: F) -> EventStream
where
    R: Outcome,
    F: FnOnce(Yield<ServerEvent>) -> Fut,
    Fut: Future<Output = R> + Send + 'static,
{
    EventStream::from_source(Generator::new(false, |yielder| generator(Yield(yielder))))
}

/// An event stream of a generator with `raise_on_disconnect`.
pub fn event_stream_raising<R, F, Fut>(generator: F) -> EventStream
where
    R: Outcome,
    F: FnOnce(RaisingYield<ServerEvent>) -> Fut,
    Fut: Future<Output = R> + Send + 'static,
{
    EventStream::from_source(Generator::new(true, |yielder| {
        generator(RaisingYield(yielder))
    }))
}

/// A byte stream of a generator.
pub fn byte_stream<R, F, Fut>(generator: F) -> ByteStream
where
    R: Outcome,
    F: FnOnce(Yield<Bytes>) -> Fut,
    Fut: Future<Output = R> + Send + 'static,
{
    ByteStream::from_source(Generator::new(false, |yielder| generator(Yield(yielder))))
}

/// A byte stream of a generator with `raise_on_disconnect`.
pub fn byte_stream_raising<R, F, Fut>(generator: F) -> ByteStream
where
    R: Outcome,
    F: FnOnce(RaisingYield<Bytes>) -> Fut,
    Fut: Future<Output = R> + Send + 'static,
{
    ByteStream::from_source(Generator::new(true, |yielder| {
        generator(RaisingYield(yielder))
    }))
}

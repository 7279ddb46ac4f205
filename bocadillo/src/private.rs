//! What generated code calls, and nothing else may: no promise of stability is made for it.
#![allow(missing_docs, reason = "not for users")]

use std::future::Future;

use bytes::Bytes;
use http::HeaderValue;

pub use crate::body::Body;
pub use crate::byte_stream::IntoChunk;
pub use crate::client::Client;
pub use crate::endpoint::{Answer, Endpoint, Last, Part, PathParameter, RouteRequest};
pub use crate::event::{
    EventBuilder, EventId, EventName, IntoData, IntoEvent, IntoText, ServerEvent,
};
pub use crate::generator::Outcome;
pub use crate::json::JsonWriter;
pub use crate::route::{RouteArgument, RouteInfo};

use crate::byte_stream::ByteStream;
use crate::error::Result;
use crate::feed::{Batch, Payload};
use crate::generator::{self, ClientDisconnect, Generator, Yielder};
use crate::stream::EventStream;

/// A name that generated code uses as a user would.
pub mod words {
    pub use bocadillo_macros::yield_;
}

pub type Response = http::Response<Body>;

/// The `yield` of a generator that is dropped at the client's leaving.
#[derive(Debug)]
pub struct Yield<T>(Yielder<T>);

/// The `yield` of a generator that is told of it.
#[derive(Debug)]
pub struct RaisingYield<T>(Yielder<T>);

struct Event<E>(E);

impl<E: IntoEvent> generator::Yield<ServerEvent> for Event<E> {
    fn into_item(self) -> Result<ServerEvent> {
        self.0.into_event()
    }

    fn write(self, batch: &mut Batch) -> Result<()> {
        self.0.write(&mut batch.own)
    }
}

struct Chunk<C>(C);

impl<C: IntoChunk> generator::Yield<Bytes> for Chunk<C> {
    fn into_item(self) -> Result<Bytes> {
        self.0.into_chunk()
    }

    fn write(self, batch: &mut Batch) -> Result<()> {
        self.0.into_chunk().map(|chunk| chunk.write(batch))
    }
}

impl Yield<ServerEvent> {
    pub async fn send(&self, event: impl IntoEvent) {
        // The client's leaving drops this generator; it never sees the error.
        let _ = self.0.hand_over(Event(event)).await;
    }
}

impl RaisingYield<ServerEvent> {
    pub async fn send(&self, event: impl IntoEvent) -> Result<(), ClientDisconnect> {
        self.0.hand_over(Event(event)).await
    }
}

impl Yield<Bytes> {
    pub async fn send(&self, chunk: impl IntoChunk) {
        let _ = self.0.hand_over(Chunk(chunk)).await;
    }
}

impl RaisingYield<Bytes> {
    pub async fn send(&self, chunk: impl IntoChunk) -> Result<(), ClientDisconnect> {
        self.0.hand_over(Chunk(chunk)).await
    }
}

// The output is a parameter of its own, so that generated code can name it: a wrong one is then an error at the user's
// own type.
pub fn event_stream<R, F, Fut>(generator: F) -> EventStream
where
    R: Outcome,
    F: FnOnce(Yield<ServerEvent>) -> Fut,
    Fut: Future<Output = R> + Send + 'static,
{
    EventStream::from_source(Generator::new(false, |yielder| generator(Yield(yielder))))
}

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

pub fn byte_stream<R, F, Fut>(generator: F) -> ByteStream
where
    R: Outcome,
    F: FnOnce(Yield<Bytes>) -> Fut,
    Fut: Future<Output = R> + Send + 'static,
{
    ByteStream::from_source(Generator::new(false, |yielder| generator(Yield(yielder))))
}

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

/// Looks whether an argument is a [`Client`], by method resolution and not by the name of its type:
/// `(&Probe(&argument)).client()`.
#[derive(Debug)]
pub struct Probe<'a, T: ?Sized>(pub &'a T);

impl Probe<'_, Client> {
    #[must_use]
    pub fn client(&self) -> Option<Client> {
        Some(self.0.clone())
    }
}

pub trait ProbeAny {
    fn client(&self) -> Option<Client>;
}

impl<T: ?Sized> ProbeAny for Probe<'_, T> {
    fn client(&self) -> Option<Client> {
        None
    }
}

pub trait Bind: Sized {
    #[must_use]
    fn bind_client(self, client: Client) -> Self;
}

impl Bind for EventStream {
    fn bind_client(self, client: Client) -> Self {
        self.bind(client)
    }
}

impl Bind for ByteStream {
    fn bind_client(self, client: Client) -> Self {
        self.bind(client)
    }
}

pub fn bind<B: Bind>(stream: B, clients: impl IntoIterator<Item = Option<Client>>) -> B {
    clients.into_iter().flatten().fold(stream, B::bind_client)
}

/// For `#[stream(content_type = "…")]`; the macro has checked the literal.
#[must_use]
pub const fn header_value(literal: &'static str) -> HeaderValue {
    HeaderValue::from_static(literal)
}

pub fn respond<T: Answer>(value: T) -> Response {
    crate::response::respond(value)
}

#![doc = include_str!("../README.md")]
//!
//! # Where to look
//!
//! | for | there is |
//! |---|---|
//! | a stream of events | [`#[event_stream]`](macro@event_stream) in [`generators!`]; [`yield_!`](yield_) without it; [`EventStream`] for any `Stream`; [`inline`] within a handler |
//! | a stream of bytes or text | [`#[stream]`](macro@stream), [`ByteStream`], [`IntoChunk`] |
//! | an event | [`server_event!`], [`ServerEvent`] with [`EventName`] and [`EventId`]; [`IntoEvent`] for types of your own |
//! | the client's leaving | `raise_on_disconnect` with [`ClientDisconnect`], [`Client`] |
//! | a path and its arguments | [`#[route]`](macro@route); [`State`], [`Query`], [`Json`], [`LastEventId`], [`Peer`], and any [`FromRequestParts`] |
//! | an answer that is no stream | [`Problem`], [`Html`], [`Json`], [`StopReconnecting`], and any [`IntoResponse`] |
//! | the app | [`App`] with [`routes!`]; [`AppService`] as a `tower::Service` |
//! | the server | [`Server`] for an app or any tower service; [`Listener`] for connections of another kind; [`shutdown_signal`] |
//! | one event to many clients, resumed without loss | [`topic`] |
//! | the format itself, encoded and decoded | [`wire`] |
//! | tests of your own | `testing`, with the feature of that name |
//! | what goes wrong | [`Error`]; [`Error::chain`] for the whole of it on one line |
//!
//! # Features
//!
//! | feature | by default | what it adds |
//! |---|---|---|
//! | `log` | yes | [`App::run`] writes the log to standard error, where the program has no subscriber of its own |
//! | `redis` | no | `Hub::redis`: topics of several nodes over Redis Streams |
//! | `nats` | no | `Hub::nats`: topics of several nodes over NATS JetStream |
//! | `testing` | no | `testing`, the in-memory client for tests of your own |

mod app;
mod error;
mod event;
pub mod http;
mod macros;
mod server;
mod stream;
#[cfg(feature = "testing")]
pub mod testing;
pub mod topic;

#[doc(hidden)]
pub mod private;

#[doc(no_inline)]
pub use ::http::StatusCode;
#[doc(no_inline)]
pub use axum_core::extract::{FromRef, FromRequest, FromRequestParts};
#[doc(no_inline)]
pub use axum_core::response::{IntoResponse, Response};

pub use app::endpoint::Route;
pub use app::route::{RouteArgument, RouteInfo};
pub use app::{App, AppService};
pub use error::{Error, Result};
pub use event::{EventId, EventName, FieldError, IntoEvent, ServerEvent, wire};
pub use http::extract::{Json, LastEventId, Query, State};
pub use http::html::Html;
pub use http::problem::Problem;
pub use http::respond::StopReconnecting;
pub use server::Server;
pub use server::listener::Listener;
pub use server::peer::Peer;
pub use server::service::ServeService;
pub use server::signals::shutdown_signal;
pub use stream::{
    Body, ByteStream, Client, ClientDisconnect, EventStream, IntoChunk, KeepAlive, StreamOptions,
    Streams,
};

pub use macros::{event_stream, generators, route, routes, server_event, stream, yield_};

/// async-stream's macros, for a stream that is written inside a handler: `EventStream::new(stream!({ … yield … }))`.
///
/// They stand in a module of their own because `stream` is the name of the attribute [`macro@stream`] as well.
///
/// An `await` works in them, and so does `?` in `try_stream!`. `yield` has no value there, and nested `async` blocks and
/// other macros cannot hold it: for these write an [`#[event_stream]`](macro@event_stream).
///
/// # Examples
///
/// ```
/// use bocadillo::{EventStream, inline::stream, route};
///
/// #[route("/squares/{up_to}")]
/// async fn squares(up_to: u64) -> EventStream {
///     EventStream::new(stream!({
///         for n in 1..=up_to {
///             yield (n * n).to_string();
///         }
///     }))
/// }
/// # fn main() {}
/// ```
pub mod inline {
    #[doc(no_inline)]
    pub use async_stream::{stream, try_stream};
}

#![cfg_attr(feature = "server", doc = include_str!("../README.md"))]
//!
//! # Where to look
//!
//! | for | there is |
//! |---|---|
//! | a stream of events | [`#[event_stream]`](macro@event_stream) in [`generators!`]; [`yield_!`](yield_) without it; [`EventStream::new`] for any `Stream`, and for `async_stream::stream!` in a handler |
//! | a stream of bytes or text | [`#[stream]`](macro@stream), [`ByteStream`], [`IntoChunk`] |
//! | an event | [`server_event!`], [`ServerEvent`] with [`EventName`] and [`EventId`]; [`IntoEvent`] for your own types |
//! | a client that disconnects | `raise_on_disconnect` with [`ClientDisconnect`], [`Client`] |
//! | a path and its arguments | [`#[route]`](macro@route); [`State`], [`Query`], [`Json`], [`LastEventId`], [`Peer`], and any [`FromRequestParts`] |
//! | other responses | [`Problem`], [`Html`], [`Json`], [`StopReconnecting`], and any [`IntoResponse`] |
//! | the app | [`App`] with [`routes!`]; [`AppService`] as a `tower::Service` |
//! | streams in axum or another server | [`Streams`] with its [`layer`](Streams::layer) and its [`drain`](Streams::drain) |
//! | options of streams | [`StreamOptions`], [`KeepAlive`] |
//! | the server | [`Server`] for an app or any tower service; [`Listener`] for other kinds of connections; [`shutdown_signal`] |
//! | one event to many clients, resumed without loss | [`topic`] |
//! | the encoder and the decoder of the format | [`wire`] |
//! | your own tests | `testing`, with the feature of that name |
//! | common questions, such as tokens for `EventSource` | [`recipes`] |
//! | errors | [`Error`]; [`Error::chain`] prints an error with its sources on one line |
//!
//! # Features
//!
//! | feature | by default | what it adds |
//! |---|---|---|
//! | `server` | yes | `App` with `route` and `routes`, and the server. Without it the library needs no socket and nothing of Unix |
//! | `log` | yes | `App::run` writes the log to standard error, if the program has no subscriber of its own. It includes `server` |
//! | `redis` | no | `Hub::redis`: topics of several nodes over Redis Streams |
//! | `nats` | no | `Hub::nats`: topics of several nodes over NATS JetStream. It needs Rust 1.89 |
//! | `testing` | no | `testing`: a client in memory for your own tests |

// On docs.rs each item says which feature it needs.
#![cfg_attr(docsrs, feature(doc_cfg))]

#[cfg(feature = "server")]
mod app;
mod error;
mod event;
pub mod http;
mod macros;
#[cfg(any(doc, doctest))]
pub mod recipes;
#[cfg(feature = "server")]
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

#[cfg(feature = "server")]
pub use app::endpoint::Route;
#[cfg(feature = "server")]
pub use app::route::{RouteArgument, RouteInfo};
#[cfg(feature = "server")]
pub use app::{App, service::AppService};
pub use error::{Error, Result};
pub use event::{EventId, EventName, FieldError, IntoEvent, ServerEvent, wire};
pub use http::extract::{Json, LastEventId, Query, State};
pub use http::html::Html;
pub use http::layer::{StreamsFuture, StreamsLayer, StreamsService};
pub use http::problem::Problem;
pub use http::respond::StopReconnecting;
#[cfg(feature = "server")]
pub use server::{
    Server, listener::Listener, peer::Peer, service::ServeService, signals::shutdown_signal,
};
pub use stream::{
    Body, ByteStream, Client, ClientDisconnect, EventStream, IntoChunk, KeepAlive, StreamOptions,
    Streams,
};

pub use macros::{event_stream, generators, server_event, stream, yield_};
#[cfg(feature = "server")]
pub use macros::{route, routes};

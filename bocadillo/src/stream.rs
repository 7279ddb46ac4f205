//! A stream on its way to one client: its source, its options, its client, its clean-up and its HTTP body.

pub(crate) mod bind;
pub(crate) mod body;
pub(crate) mod byte_stream;
pub(crate) mod client;
pub(crate) mod deadline;
pub(crate) mod drain;
pub(crate) mod event_stream;
mod framing;
pub(crate) mod generator;
pub(crate) mod keep_alive;
pub(crate) mod membership;
pub(crate) mod options;
#[cfg(feature = "server")]
pub(crate) mod outgoing;
pub(crate) mod source;
pub(crate) mod stream_body;
pub(crate) mod streams;
mod sweep;
mod timer;

pub use body::Body;
pub use byte_stream::{ByteStream, IntoChunk};
pub use client::Client;
pub use event_stream::EventStream;
pub use generator::ClientDisconnect;
pub use keep_alive::KeepAlive;
pub use options::StreamOptions;
pub use streams::Streams;

//! Items for generated code only. They can change in any release.

#[cfg(feature = "server")]
pub use crate::app::endpoint::{
    Endpoint, FromRouteParts, FromRouteRequest, PathParameter, RouteRequest, RouteResponse, respond,
};
#[cfg(feature = "server")]
pub use crate::app::route::{RouteArgument, RouteInfo};
pub use crate::event::json::JsonWriter;
pub use crate::event::{
    EventBuilder, EventId, EventName, IntoData, IntoEvent, IntoText, ServerEvent,
};
pub use crate::http::respond::StreamResponse as Response;
pub use crate::stream::bind::{Bind, Probe, ProbeAny, bind};
pub use crate::stream::byte_stream::{IntoChunk, header_value};
pub use crate::stream::generator::{
    Outcome, RaisingYield, Yield, byte_stream, byte_stream_raising, event_stream,
    event_stream_raising,
};
pub use crate::stream::{Body, Client, StreamOptions};

/// A macro that generated code imports by its name, as a user does.
pub mod words {
    pub use bocadillo_macros::yield_;
}

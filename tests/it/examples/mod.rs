//! Starts each example as a user does, and uses it with a client.

mod axum_rooms;
pub(crate) mod chat;
mod completions;
mod in_axum;
mod machine_feed;
mod ndjson;
mod notifications;
mod prices;
mod temperature_feed;
mod view_then_stream;

use crate::support::Example;
use crate::support::http::{self, Protocol, Reply};

/// Sends a request as curl does.
async fn get(example: &Example, path: &str) -> Reply {
    http::get(Protocol::Http1, example.address, path).await
}

#[track_caller]
fn check(reply: &Reply, status: u16, content_type: &str) {
    assert_eq!(reply.status, status, "{reply:?}");
    assert_eq!(reply.header("content-type"), Some(content_type));
}

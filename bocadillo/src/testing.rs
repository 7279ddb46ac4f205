//! A client in memory for your own tests. It opens no socket, and reads an endless stream event by event.
//!
//! The client starts no task: it polls the service and the bodies itself. So it works with tokio's paused time: with
//! `#[tokio::test(start_paused = true)]` a keep-alive comment or a time-out comes without waiting. `start_paused` needs
//! the feature `test-util` of tokio:
//!
//! ```toml
//! [dev-dependencies]
//! bocadillo = { version = "0.1", features = ["testing"] }
//! tokio = { version = "1", features = ["macros", "rt", "test-util"] }
//! ```
//!
//! # Examples
//!
#![cfg_attr(feature = "server", doc = "```")]
#![cfg_attr(not(feature = "server"), doc = "```text")]
//! use bocadillo::{App, LastEventId, event_stream, generators, route, routes, server_event};
//! use bocadillo::testing::TestClient;
//!
//! generators!(
//!     #[route("/count")]
//!     #[event_stream]
//!     async fn count(LastEventId(last): LastEventId) {
//!         let seen = last.and_then(|id| id.as_str().parse().ok());
//!         for n in seen.map_or(0, |n: u64| n + 1).. {
//!             yield server_event!(id = n, data = n.to_string());
//!         }
//!     }
//! );
//!
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> bocadillo::Result<()> {
//! let client = TestClient::new(App::new().routes(routes![count]))?;
//! let mut stream = client.get("/count").send().await;
//! assert_eq!(stream.status(), 200);
//! assert_eq!(stream.next_event().await.expect("it is endless").data, "0");
//! assert_eq!(stream.next_event().await.expect("it is endless").data, "1");
//!
//! let mut again = stream.reconnect().await;
//! assert_eq!(again.next_event().await.expect("it is endless").data, "2");
//! # Ok(()) }
//! ```

mod client;
mod repeatable;
mod response;

pub use client::{TestClient, TestRequest};
pub use response::TestResponse;

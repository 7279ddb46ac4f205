//! Recipes: short answers to common questions, with code that the tests run.
//!
//! This module has no items. It exists only in the documentation.
//!
//! # A token for `EventSource`
//!
//! An `EventSource` cannot send an `Authorization` header. If the page has the same origin as the server, use a cookie: the
//! browser sends it by itself. Otherwise the page asks for a ticket, with its bearer token, and puts the ticket into the
//! URL. A ticket is valid for one stream and for a short time, because URLs end up in logs.
//!
//! An `EventSource` that reconnects uses the same URL again. If the ticket is no longer valid, the server answers 401, and
//! the browser gives up. Then the page asks for a new ticket.
//!
#![cfg_attr(all(feature = "server", feature = "testing"), doc = "```")]
#![cfg_attr(not(all(feature = "server", feature = "testing")), doc = "```text")]
//! use std::collections::HashMap;
//! use std::sync::{Arc, Mutex};
//! use std::time::{Duration, Instant};
//!
//! use bocadillo::http::{HeaderMap, header};
//! use bocadillo::topic::{Cursor, Hub};
//! use bocadillo::{App, EventStream, Problem, Query, State, StatusCode, route, routes};
//! use serde::Deserialize;
//!
//! #[derive(Clone)]
//! struct Jobs {
//!     hub: Hub,
//!     /// Until when each ticket is valid, and for which job.
//!     tickets: Arc<Mutex<HashMap<String, (u32, Instant)>>>,
//! }
//!
//! #[route("/jobs/{job}/ticket", methods = [POST])]
//! async fn ticket(job: u32, headers: HeaderMap, State(jobs): State<Jobs>) -> Result<String, Problem> {
//!     if headers.get(header::AUTHORIZATION).is_none_or(|token| token != "Bearer secret") {
//!         return Err(Problem::new(StatusCode::UNAUTHORIZED));
//!     }
//!     let ticket = random_text(); // at least 16 random bytes, for example of the crate `getrandom`
//!     let until = Instant::now() + Duration::from_secs(60);
//!     jobs.tickets.lock().unwrap().insert(ticket.clone(), (job, until));
//!     Ok(ticket)
//! }
//!
//! #[derive(Deserialize)]
//! struct Access {
//!     ticket: String,
//! }
//!
//! #[route("/jobs/{job}/events")]
//! async fn events(
//!     job: u32,
//!     Query(access): Query<Access>,
//!     State(jobs): State<Jobs>,
//!     cursor: Cursor,
//! ) -> Result<EventStream, Problem> {
//!     let mut tickets = jobs.tickets.lock().unwrap();
//!     tickets.retain(|_, (_, until)| *until > Instant::now());
//!     if tickets.get(&access.ticket).is_none_or(|(valid_for, _)| *valid_for != job) {
//!         return Err(Problem::new(StatusCode::UNAUTHORIZED));
//!     }
//!     Ok(jobs.hub.topic(format!("jobs/{job}"))?.subscribe_from(cursor.or_start()).into())
//! }
//! # fn random_text() -> String { "5fd1c0".to_owned() }
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let hub = Hub::memory();
//! # hub.topic("jobs/7")?.publish("started").await?;
//! # let app = App::with_state(Jobs { hub, tickets: Arc::default() }).routes(routes![ticket, events]);
//! # let client = bocadillo::testing::TestClient::new(app)?;
//! # assert_eq!(client.post("/jobs/7/ticket").send().await.status(), 401);
//! # let answer = client.post("/jobs/7/ticket").header("authorization", "Bearer secret").send().await;
//! # let ticket = answer.text().await;
//! # let mut stream = client.get(&format!("/jobs/7/events?ticket={ticket}")).send().await;
//! # assert_eq!(stream.next_event().await.unwrap().data, "started");
//! # assert_eq!(stream.reconnect().await.status(), 200);
//! # assert_eq!(client.get(&format!("/jobs/8/events?ticket={ticket}")).send().await.status(), 401);
//! # assert_eq!(client.get("/jobs/7/events?ticket=other").send().await.status(), 401);
//! # Ok(()) }
//! ```
//!
//! The page:
//!
//! ```js
//! async function watch(job) {
//!     const answer = await fetch(`/jobs/${job}/ticket`, { method: "POST", headers: { Authorization: "Bearer secret" } });
//!     const source = new EventSource(`/jobs/${job}/events?ticket=${await answer.text()}`);
//!     source.onmessage = (event) => console.log(event.data);
//!     source.onerror = () => {
//!         if (source.readyState === EventSource.CLOSED) watch(job); // the browser has given up
//!     };
//! }
//! ```
//!
//! # A check before path parameters are parsed
//!
//! A route parses its path parameters before its extractors run. So `/jobs/x` with `job: u32` is answered with 400, also if
//! the client is not allowed to ask. A layer runs before the route, and can answer 401 first. With
//! [`App::nest`](crate::App::nest) it is for a group of routes:
//!
#![cfg_attr(all(feature = "server", feature = "testing"), doc = "```")]
#![cfg_attr(not(all(feature = "server", feature = "testing")), doc = "```text")]
//! use axum::middleware::{Next, from_fn};
//! use bocadillo::http::{Request, header};
//! use bocadillo::{App, IntoResponse, Problem, Response, StatusCode, route, routes};
//!
//! async fn only_with_token(request: Request<axum::body::Body>, next: Next) -> Response {
//!     match request.headers().get(header::AUTHORIZATION) {
//!         Some(token) if token == "Bearer secret" => next.run(request).await,
//!         _ => Problem::new(StatusCode::UNAUTHORIZED).into_response(),
//!     }
//! }
//!
//! #[route("/{job}")]
//! async fn job(job: u32) -> String {
//!     format!("job {job}")
//! }
//!
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> bocadillo::Result<()> {
//! let jobs = App::new().routes(routes![job]).layer(from_fn(only_with_token));
//! let app = App::new().nest("/jobs", jobs);
//! # let client = bocadillo::testing::TestClient::new(app)?;
//! # let token = "Bearer secret";
//! # assert_eq!(client.get("/jobs/x").send().await.status(), 401);
//! # assert_eq!(client.get("/jobs/x").header("authorization", token).send().await.status(), 400);
//! # assert_eq!(client.get("/jobs/7").header("authorization", token).send().await.text().await, "job 7");
//! # Ok(()) }
//! ```
//!
//! # Stop a browser from reconnecting
//!
//! An `EventSource` reconnects after every end of a stream. If a generator returns, the browser reconnects, and the
//! generator runs again. To stop the browser, answer that request with 204, which is
//! [`StopReconnecting`](crate::StopReconnecting). The id of the last event tells which request that is:
//!
//! ```
//! use bocadillo::{IntoResponse, LastEventId, Response, StopReconnecting};
//! use bocadillo::{event_stream, generators, server_event};
//!
//! generators!(
//!     #[event_stream]
//!     async fn countdown() {
//!         for n in (0..3).rev() {
//!             yield server_event!(id = n, data = n.to_string());
//!         }
//!     }
//! );
//!
//! // A handler, in axum or with `#[route]`.
//! async fn countdown_once(LastEventId(last): LastEventId) -> Response {
//!     if last.is_some_and(|id| id == "0") {
//!         return StopReconnecting.into_response(); // this client has got the last event
//!     }
//!     countdown().into_response()
//! }
//! # #[tokio::main(flavor = "current_thread")] async fn main() {
//! # let got = |id: &str| LastEventId(id.try_into().ok());
//! # assert_eq!(countdown_once(LastEventId(None)).await.status(), 200);
//! # assert_eq!(countdown_once(got("1")).await.status(), 200);
//! # assert_eq!(countdown_once(got("0")).await.status(), 204);
//! # }
//! ```
//!
//! The page can stop by itself too: send an event named `done`, and call `source.close()` in its listener.
//!
//! # Watch a job that takes longer than five minutes
//!
//! The history of a topic has at most 1,000 events, 1 MiB, and the last five minutes by default. A client that comes later
//! than that gets a `reset`, and not the start of the job. Set the limits that fit your jobs:
//!
//! ```
//! use std::time::Duration;
//! use bocadillo::topic::{History, Hub};
//!
//! let day = History::new().max_age(Duration::from_secs(24 * 60 * 60)).max_events(10_000);
//! let hub = Hub::builder()
//!     .topics("jobs/*", move |topic| topic.history(day))
//!     .memory();
//! ```
//!
//! # Test a time-out without waiting for it
//!
//! `#[tokio::test(start_paused = true)]` lets the clock jump to the next time-out when nothing else can run. It needs the
//! feature `test-util` of tokio. The client of `bocadillo::testing` works with it, because it opens no socket:
//!
//! ```toml
//! [dev-dependencies]
//! bocadillo = { version = "0.1", features = ["testing"] }
//! tokio = { version = "1", features = ["macros", "rt", "test-util"] }
//! ```
//!
#![cfg_attr(feature = "testing", doc = "```")]
#![cfg_attr(not(feature = "testing"), doc = "```text")]
//! # use bocadillo::{EventStream, testing::TestClient, wire::Decoded};
//! # use axum::{Router, routing::get};
//! // In a project: #[tokio::test(start_paused = true)]
//! # #[tokio::main(flavor = "current_thread", start_paused = true)]
//! # async fn main() {
//! let silent = || async { EventStream::new(futures_util::stream::pending::<String>()) };
//! let app: Router = Router::new().route("/silent", get(silent));
//!
//! let mut stream = TestClient::of(app).get("/silent").send().await;
//! let keep_alive = stream.next().await.unwrap().unwrap(); // at once, and not after 15 seconds
//! assert!(matches!(keep_alive, Decoded::Comment(_)));
//! # }
//! ```

//! The macros, documented where users meet them. Their code is in `bocadillo-macros`.
//!
//! Longer than 400 lines: it is documentation alone.

/// Makes a route from a function. [`routes!`] lists routes for an app.
///
/// The function does not change, and can still be called. The macro adds a type with the same name, which the app uses. If
/// no app lists the route, the compiler warns.
///
/// `#[route("/path")]` answers GET and HEAD. `methods = [GET, POST]` lists other methods: GET, POST, PUT, PATCH, DELETE,
/// HEAD, OPTIONS and TRACE. The function is an `async fn`, a plain `fn`, or a generator. `#[route]` can stand above
/// `#[event_stream]` or below it.
///
/// # The path
///
/// `{name}` matches one segment, or a part of one (`/img-{id}.png`). `{*name}` at the end matches the rest of the path. Write
/// `{{` and `}}` for a brace. Building the app reports routes that conflict.
///
/// # Arguments
///
/// An argument with the name of a path parameter gets that parameter, decoded, and parsed by
/// [`FromStr`](std::str::FromStr). If the value cannot be parsed, the response is 400 with a [`Problem`](crate::Problem)
/// that names the parameter. Each parameter needs an argument.
///
/// Every other argument is an extractor: [`FromRequestParts`](crate::FromRequestParts), or
/// [`FromRequest`](crate::FromRequest) for the last one, which can read the body.
///
/// Path parameters are parsed first. Then the extractors run in their order. The first failure is the response, and the
/// function is not called. So a wrong path parameter is answered with 400 before an extractor can answer 401. If that
/// matters, check in a [layer](crate::App::layer), as [this recipe](crate::recipes#a-check-before-path-parameters-are-parsed)
/// does.
///
/// # Options
///
/// | option | what it does |
/// |---|---|
/// | `methods = [GET, …]` | the methods that the route answers. The default is GET, with HEAD |
/// | `crate = path` | the path of this crate, for your own macros that use this one |
///
/// # Without the macro
///
/// In an axum `Router`, handlers need no macro. An [`EventStream`](crate::EventStream) is a response there too:
///
/// ```
/// use axum::{Router, extract::Path, routing::get};
/// use bocadillo::{EventStream, Streams};
///
/// async fn count(Path(from): Path<u64>) -> EventStream {
///     EventStream::new(futures_util::stream::iter(from..).map(|n| n.to_string()))
/// }
///
/// let streams = Streams::new();
/// let app: Router = Router::new().route("/count/{from}", get(count)).layer(streams.layer());
/// # use futures_util::StreamExt;
/// ```
///
/// # Examples
///
/// ```
/// use bocadillo::{App, Json, Problem, State, StatusCode, route, routes};
///
/// #[route("/rooms/{room}/messages/{id}")]
/// async fn message(room: String, id: u32, State(greeting): State<String>) -> Result<String, Problem> {
///     if room != "kitchen" {
///         return Err(Problem::new(StatusCode::NOT_FOUND));
///     }
///     Ok(format!("{greeting} {id}"))
/// }
///
/// #[route("/echo", methods = [POST, PUT])]
/// async fn echo(Json(text): Json<String>) -> String {
///     text
/// }
///
/// # #[cfg(feature = "testing")]
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> bocadillo::Result<()> {
/// let app = App::with_state("hello".to_owned()).routes(routes![message, echo]);
/// let client = bocadillo::testing::TestClient::new(app)?;
/// assert_eq!(client.get("/rooms/kitchen/messages/7").send().await.text().await, "hello 7");
/// assert_eq!(client.get("/rooms/cellar/messages/7").send().await.status(), 404);
/// assert_eq!(client.get("/rooms/kitchen/messages/x").send().await.status(), 400);
/// # Ok(()) }
/// # #[cfg(not(feature = "testing"))] fn main() {}
/// ```
#[cfg(feature = "server")]
pub use bocadillo_macros::route;

/// Lists functions with [`#[route]`](macro@crate::route) for [`App::routes`](crate::App::routes).
///
/// Write a route of another module with its path. The compiler checks that the state of the app fits the arguments of each
/// route. If it says "expected type, found function", the function has no `#[route]`.
///
/// `routes![crate = path; a, b]` sets the path of this crate.
///
/// # Without the macro
///
/// In an axum `Router`, call `Router::route` for each handler, as in the example at [`#[route]`](macro@crate::route).
///
/// # Examples
///
/// ```
/// use bocadillo::{App, route, routes};
///
/// #[route("/")]
/// async fn index() -> &'static str {
///     "Hello"
/// }
///
/// mod api {
///     #[bocadillo::route("/api/version")]
///     pub async fn version() -> &'static str {
///         "1"
///     }
/// }
///
/// # fn main() {
/// let app: App = App::new().routes(routes![index, api::version]);
/// # }
/// ```
#[cfg(feature = "server")]
pub use bocadillo_macros::routes;

/// Makes an event stream from an `async fn` that yields events.
///
/// The result is a function with the same name that returns an [`EventStream`](crate::EventStream). Return the stream from
/// a handler of axum, serve the function with `#[route]`, or read the stream in a test.
///
/// Inside of [`generators!`] write `yield x`. Elsewhere write [`yield_!(x)`](crate::yield_). With a nightly compiler and
/// `#![feature(yield_expr)]`, `yield x` works everywhere.
///
/// # What can be yielded
///
/// Everything that implements [`IntoEvent`](crate::IntoEvent): text, a [`ServerEvent`](crate::ServerEvent), the result of
/// [`server_event!`], or a `Result` of one of these. An `Err` ends the stream, as if the function had returned it.
///
/// `yield` waits until the event is taken. Its value is `()`, or with `raise_on_disconnect` a
/// `Result<(), ClientDisconnect>`. It works where `.await` works: in a nested `async` block, in `join!` and in `select!`. It does
/// not work in a closure, or in a spawned task. A task can send its values through a channel to the generator.
///
/// # The function
///
/// The arguments are moved into the generator, and live as long as it does. They cannot be references, except for
/// `'static` ones, and there is no `self`. An argument of type [`Client`](crate::Client) tells when the client disconnects.
///
/// The function returns nothing or `Result<(), E>`. With a `Result`, the `?` operator works. `E` is any type that converts into
/// a boxed error. An `Err` is logged, and ends the stream. The function starts when the stream is polled for the first
/// time.
///
/// The values of extractors live until the stream ends, too. So a database connection is not free for others until then.
/// Drop it when you no longer need it:
///
/// ```
/// # struct Connection;
/// # impl Connection { async fn load(&self) -> String { String::new() } }
/// # async fn wait_for_news() -> String { String::new() }
/// # bocadillo::generators!(
/// #[bocadillo::event_stream]
/// async fn news(connection: Connection) {
///     let first = connection.load().await;
///     drop(connection); // before the stream waits
///     yield first;
///     loop {
///         yield wait_for_news().await;
///     }
/// }
/// # );
/// # fn main() {}
/// ```
///
/// If the function needs a connection again later, take the pool as the argument, and get a connection for each query.
///
/// # When the client disconnects
///
/// The generator is dropped at once. With `raise_on_disconnect` it continues, in a task of its own: its next `yield`
/// returns [`ClientDisconnect`](crate::ClientDisconnect), and it can clean up. The default time-out of the clean-up is 30
/// seconds. The compiler warns if the result of `yield` is not used (`unused_must_use`).
///
/// # When the function returns
///
/// The stream ends. A browser then reconnects, and the function runs again, because an `EventSource` does not distinguish a
/// planned end from a lost connection. [`StopReconnecting`](crate::StopReconnecting) stops it, as
/// [this recipe](crate::recipes#stop-a-browser-from-reconnecting) shows.
///
/// # Options
///
/// | option | what it sets |
/// |---|---|
/// | `raise_on_disconnect` | `yield` returns an error after a disconnect. The default is to drop the generator |
/// | `keep_alive = Duration`, `keep_alive = off` | [the time until a keep-alive is sent](crate::StreamOptions::keep_alive) |
/// | `retry = Duration` | [how long the client waits before it reconnects](crate::StreamOptions::retry) |
/// | `max_lifetime = Duration`, `max_lifetime = off` | [when the stream ends](crate::StreamOptions::max_lifetime) at the latest |
/// | `cleanup_timeout = Duration` | [how long a clean-up can take](crate::StreamOptions::cleanup_timeout), with `raise_on_disconnect` |
/// | `write_timeout = Duration`, `write_timeout = off` | [how long the client can read nothing](crate::StreamOptions::write_timeout) |
/// | `on_error = function` | [what the client sees of an error](crate::StreamOptions::on_error) |
/// | `charset = bool` | [whether `Content-Type` names UTF-8](crate::StreamOptions::charset) |
/// | `crate = path` | the path of this crate, for your own macros that use this one |
///
/// Except for `raise_on_disconnect` and `crate`, the options are the methods of [`StreamOptions`](crate::StreamOptions).
/// A value is any expression of its type. It can use arguments that are `Copy`.
///
/// # Without the macro
///
/// [`EventStream::new`](crate::EventStream::new) takes any `Stream`. `Drop` runs at a disconnect:
///
/// ```
/// use std::time::Duration;
/// use bocadillo::{EventStream, StreamOptions, server_event};
/// use futures_util::{StreamExt, stream};
///
/// fn countdown(from: u32) -> EventStream {
///     let events = stream::iter((0..from).rev())
///         .map(|n| server_event!("tick", json = {"left": n}))
///         .chain(stream::iter([server_event!(data = "lift-off")]));
///     EventStream::new(events).with(StreamOptions::new().keep_alive(Duration::from_secs(5)))
/// }
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// # assert_eq!(countdown(3).count().await, 4);
/// # }
/// ```
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use bocadillo::{event_stream, server_event};
///
/// #[event_stream(keep_alive = Duration::from_secs(5))]
/// async fn countdown(from: u32) {
///     for n in (0..from).rev() {
///         yield_!(server_event!("tick", json = {"left": n}));
///     }
///     yield_!("lift-off");
/// }
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// use futures_util::StreamExt;
/// assert_eq!(countdown(3).count().await, 4);
/// # }
/// ```
///
/// A handler that checks first, and then streams:
///
#[cfg_attr(feature = "server", doc = "```")]
#[cfg_attr(not(feature = "server"), doc = "```text")]
/// use bocadillo::{EventStream, Problem, StatusCode, event_stream, generators, route};
///
/// generators!(
///     #[event_stream]
///     async fn numbers(from: u32) {
///         for n in from.. {
///             yield n.to_string();
///         }
///     }
/// );
///
/// #[route("/numbers/{from}")]
/// async fn view(from: u32) -> Result<EventStream, Problem> {
///     if from > 1000 {
///         return Err(Problem::new(StatusCode::FORBIDDEN));
///     }
///     Ok(numbers(from))
/// }
/// # fn main() {}
/// ```
pub use bocadillo_macros::event_stream;

/// Makes a stream of bytes from an `async fn` that yields text or bytes, for example NDJSON.
///
/// The result is a function with the same name that returns a [`ByteStream`](crate::ByteStream). What is yielded implements
/// [`IntoChunk`](crate::IntoChunk). Everything else is as with [`#[event_stream]`](macro@crate::event_stream), except for the
/// end: an `Err` breaks the response off, and so does a shutdown. So a client does not take a part for the whole.
///
/// # Options
///
/// | option | what it sets |
/// |---|---|
/// | `content_type = "…"` | the `Content-Type` of the response: a literal, or an expression of type `http::HeaderValue`. The default is `application/octet-stream` |
/// | `raise_on_disconnect` | `yield` returns an error after a disconnect. The default is to drop the generator |
/// | `cleanup_timeout = Duration` | how long a clean-up can take, with `raise_on_disconnect` |
/// | `byte_write_timeout = Duration`, `byte_write_timeout = off` | how long the client can read nothing |
/// | `crate = path` | the path of this crate, for your own macros that use this one |
///
/// # Without the macro
///
/// axum's `Body::from_stream` sends any `Stream` of bytes. Such a response knows nothing of [`Streams`](crate::Streams), so a
/// shutdown does not end it:
///
/// ```
/// use axum::{body::Body, http::header, response::IntoResponse};
/// use futures_util::{StreamExt, stream};
///
/// async fn lines() -> impl IntoResponse {
///     let lines = stream::iter(0..3).map(|n| Ok::<_, std::io::Error>(format!("{{\"n\":{n}}}\n")));
///     ([(header::CONTENT_TYPE, "application/x-ndjson")], Body::from_stream(lines))
/// }
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// # let response = lines().await.into_response();
/// # assert_eq!(response.headers()["content-type"], "application/x-ndjson");
/// # }
/// ```
///
/// # Examples
///
#[cfg_attr(feature = "server", doc = "```")]
#[cfg_attr(not(feature = "server"), doc = "```text")]
/// use bocadillo::{generators, route, stream};
///
/// generators!(
///     #[route("/lines")]
///     #[stream(content_type = "application/x-ndjson")]
///     async fn lines() {
///         for n in 0..3 {
///             yield format!("{{\"n\":{n}}}\n");
///         }
///     }
/// );
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// use futures_util::StreamExt;
/// assert_eq!(lines().count().await, 3);
/// # }
/// ```
pub use bocadillo_macros::stream;

/// Makes the keyword `yield` work in the items inside, on stable Rust.
///
/// It takes any items, for example all items of a file. Each `yield x` becomes a call of [`yield_!`](crate::yield_), which
/// `#[event_stream]` or `#[stream]` then replaces. Nothing else changes. With round brackets, rustfmt formats the items
/// inside. With braces it does not.
///
/// The operand of `yield` ends where it ends for the compiler: `yield a + b` sends the sum, `(yield a)?` is about the
/// result of the `yield`, and in `if let Err(_) = yield event { … }` the braces belong to the `if`. In the brackets of
/// another macro this holds where they contain statements or expressions (`join!`, the blocks of `select!`). In other
/// syntax, the operand ends at the next `;`, `,` or `=>`, at the end of the brackets, or before the brace of an `if`,
/// `while`, `match` or `for`.
///
/// With a nightly compiler and `#![feature(yield_expr)]` you can remove `generators!`.
///
/// `generators!(crate = path; …)` sets the path of this crate.
///
/// # Without the macro
///
/// [`yield_!(x)`](crate::yield_) needs no `generators!`:
///
/// ```
/// use bocadillo::{ClientDisconnect, event_stream};
///
/// #[event_stream(raise_on_disconnect)]
/// async fn count() {
///     for n in 0.. {
///         if let Err(ClientDisconnect) = yield_!(format!("{n}")) {
///             return;
///         }
///     }
/// }
/// # fn main() {}
/// ```
///
/// # Examples
///
/// ```
/// use bocadillo::{ClientDisconnect, event_stream, generators};
///
/// generators!(
///     /// Counts until the client disconnects.
///     #[event_stream(raise_on_disconnect)]
///     async fn count() {
///         for n in 0.. {
///             if let Err(ClientDisconnect) = yield format!("{n}") {
///                 println!("the client got {n} events");
///                 return;
///             }
///         }
///     }
/// );
/// # fn main() {}
/// ```
pub use bocadillo_macros::generators;

/// The same as `yield`, in a form that stable Rust accepts in every place of a generator, also inside of other macros.
///
/// It needs no import in a function with [`#[event_stream]`](macro@crate::event_stream) or
/// [`#[stream]`](macro@crate::stream). A macro that such a function calls can expand to it. Outside of these functions it is
/// a compile error. The attribute finds it by its name, so do not rename it with `use … as`.
///
/// # Without the macro
///
/// A channel sends events from ordinary code, for example from a task. Its receiver is a `Stream`:
///
/// ```
/// use bocadillo::EventStream;
/// use futures_util::stream::poll_fn;
///
/// fn feed() -> EventStream {
///     let (sender, mut receiver) = tokio::sync::mpsc::channel(8);
///     tokio::spawn(async move {
///         // An error means that the client has disconnected.
///         while sender.send("tick").await.is_ok() {}
///     });
///     EventStream::new(poll_fn(move |cx| receiver.poll_recv(cx)))
/// }
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// # use futures_util::StreamExt;
/// # assert_eq!(feed().next().await.unwrap().unwrap().data(), Some("tick"));
/// # }
/// ```
///
/// # Examples
///
/// ```
/// use bocadillo::{Client, event_stream};
///
/// #[event_stream]
/// async fn feed(client: Client) {
///     loop {
///         tokio::select! {
///             () = client.disconnected() => return,
///             () = tokio::task::yield_now() => yield_!("tick"),
///         }
///     }
/// }
/// # fn main() {}
/// ```
pub use bocadillo_macros::yield_;

/// Makes a [`ServerEvent`](crate::ServerEvent) from its fields.
///
/// The value is always a `Result<ServerEvent>`: a value may not serialize, and a text may contain a character that a name or
/// an id cannot have. `yield` takes the `Result` as it is. Elsewhere write `?` after the macro.
///
/// # Fields
///
/// | field | value |
/// |---|---|
/// | the first value, or `name = …` | the name of the event: text without line ends. `error` and `open` are refused, because [browsers use them](crate::EventName) |
/// | `data = …` | text, or an iterable with one text for each line |
/// | `json = …` | any value that implements `Serialize`, or JSON with expressions in it |
/// | `id = …` | text without line ends and NUL, or an integer |
/// | `retry = …` | a [`Duration`](std::time::Duration), sent in milliseconds |
/// | `comment = …` | text, with one comment for each line |
/// | `crate = …` | the path of this crate |
///
/// At least one field is needed. `json` and `data` exclude each other. Names and ids that are literals are checked at
/// compile time. If an event has a name or an id but no data, it is sent with empty data, because clients ignore events
/// without data. A `retry` or a `comment` alone is not an event.
///
/// # JSON
///
/// Write objects and arrays as in JSON. Values are expressions, and `null` is null. A key is a string literal, or an expression
/// in round brackets. `?` and `.await` work in values. No `serde_json::Value` is built. NaN and infinity are errors, because
/// JSON does not have them.
///
/// # Without the macro
///
/// ```
/// use bocadillo::{EventId, EventName, ServerEvent, server_event};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let event = server_event!("temperature", json = {"celsius": 10.5}, id = 7)?;
///
/// let plain = ServerEvent::json(&serde_json::json!({"celsius": 10.5}))?
///     .with_name(EventName::try_from("temperature")?)
///     .with_id(EventId::from(7));
/// assert_eq!(event, plain);
/// # Ok(()) }
/// ```
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use bocadillo::server_event;
///
/// # fn main() -> bocadillo::Result<()> {
/// let greeting = server_event!("greeting", data = "Hello")?;
/// let lines = server_event!(data = ["one", "two"], id = 7)?;
/// let feed = server_event!(json = {"temperature": 10.5, "tags": ["indoor", null]})?;
/// let all = server_event!("x", id = "7", retry = Duration::from_secs(3), comment = "why", data = "y")?;
/// assert_eq!(feed.data(), Some(r#"{"temperature":10.5,"tags":["indoor",null]}"#));
/// # let _ = (greeting, lines, all);
/// # Ok(()) }
/// ```
///
/// A name with a line end does not compile, or is an error at run time:
///
/// ```compile_fail
/// let event = bocadillo::server_event!("line\nend");
/// ```
///
/// ```
/// # use bocadillo::server_event;
/// let name = String::from("line\nend");
/// assert!(server_event!(name, data = "x").is_err());
/// ```
pub use bocadillo_macros::server_event;

//! The macros, documented where users meet them. Their code is in `bocadillo-macros`.

/// Makes a route of a function, for [`routes!`] to list.
///
/// The function stays what it is, and can be called. Beside it comes a type of the same name, which the app calls
/// through; a warning says so when no app ever lists the route.
///
/// `#[route("/path")]` answers GET, and HEAD with it. Other methods are listed: `methods = [GET, POST]`, of GET, POST,
/// PUT, PATCH, DELETE, HEAD, OPTIONS and TRACE. The function is an `async fn`, a plain one, or a generator: `#[route]`
/// may stand above `#[event_stream]` or below it.
///
/// # The path
///
/// `{name}` stands for one segment, or for a part of one (`/img-{id}.png`); `{*name}` at the end for all that is left;
/// `{{` and `}}` for a brace. Conflicts between routes are found when the app is built.
///
/// # Arguments
///
/// An argument with the name of a parameter gets that parameter, decoded and parsed by its type's
/// [`FromStr`](std::str::FromStr). A value that does not parse is answered with 400 and a
/// [`Problem`](crate::Problem) that names the parameter. Each parameter needs its argument.
///
/// Any other argument is an extractor: [`FromRequestParts`](crate::FromRequestParts), or for the last one
/// [`FromRequest`](crate::FromRequest), so that it may read the body. Parameters come first, then extractors in their
/// order; the first that fails gives the answer, and the function is not called.
///
/// # Options
///
/// | option | what it does |
/// |---|---|
/// | `methods = [GET, …]` | the methods that are answered |
/// | `crate = path` | where this crate is found, for macros of your own that hand it on |
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
/// A route in another module is named by its path. The app's state has to serve each route's arguments, which is
/// checked here, at compile time. "Expected type, found function" means that the function has no `#[route]`.
///
/// `routes![crate = path; a, b]` says where this crate is found.
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

/// Makes an event stream of an `async fn` that yields.
///
/// What comes out is a function of the same name that returns an [`EventStream`](crate::EventStream): give it to the
/// app with [`#[route]`](macro@crate::route), call it from another handler, or read it in a test.
///
/// In a plain attribute as here, write [`yield_!(x)`](crate::yield_), which needs no import. Within [`generators!`] the keyword
/// `yield x` works, and so it does on nightly with `#![feature(yield_expr)]`.
///
/// # What is yielded
///
/// Anything that is [`IntoEvent`](crate::IntoEvent): text, an event, what [`server_event!`] gives, or a `Result` of one
/// of these, whose `Err` ends the stream as if the function had returned it. A `yield` waits until the event is taken.
/// It is an expression: of type `()`, or with `raise_on_disconnect` of type
/// `Result<(), ClientDisconnect>`. It works wherever `.await` does: in a nested `async` block, under `join!` and
/// `select!`, not in a closure, nor in a task that is spawned, since the generator may be gone before it: let the task
/// send through a channel, and yield what comes out.
///
/// # The function
///
/// Its arguments are moved into the generator and live as long as it. They own what they hold, since the stream outlives
/// the call: neither `self` nor `&str`, but `String` or `&'static str`. An argument of type [`Client`](crate::Client)
/// tells of the client's leaving. It returns nothing, or `Result<(), E>` with any `E` that turns into a boxed error, so
/// that `?` works; an `Err` is logged, and ends the stream. Nothing runs before the stream is first polled.
///
/// What an extractor gives is an argument too: a database connection, for example, is not free for others until the stream
/// ends. Drop it when you no longer need it:
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
/// A function that needs a connection again later takes the pool, and gets a connection for each query.
///
/// # When the client leaves
///
/// The generator is dropped where it stands, at once. With `raise_on_disconnect` it goes on, away from the connection:
/// its next `yield` gives [`ClientDisconnect`](crate::ClientDisconnect), and it may clean up within its time-out. To ignore that result is a
/// warning (`unused_must_use`).
///
/// # When the function returns
///
/// The stream ends. A browser then reconnects, and the function runs again: an `EventSource` does not know a planned end.
/// Answer the reconnect with [`StopReconnecting`](crate::StopReconnecting) to stop it.
///
/// # Options
///
/// | option | what it does |
/// |---|---|
/// | `raise_on_disconnect` | tells the generator of the disconnect instead of dropping it |
/// | `keep_alive = Duration`, `keep_alive = off` | [when a keep-alive is sent](crate::StreamOptions::keep_alive) |
/// | `retry = Duration` | [when the client reconnects](crate::StreamOptions::retry), sent at the start |
/// | `max_lifetime = Duration`, `max_lifetime = off` | [when the stream ends](crate::StreamOptions::max_lifetime) at the latest |
/// | `cleanup_timeout = Duration` | [how long a clean-up may take](crate::StreamOptions::cleanup_timeout), with `raise_on_disconnect` |
/// | `write_timeout = Duration`, `write_timeout = off` | [how long the client may take nothing](crate::StreamOptions::write_timeout) |
/// | `on_error = function` | [what the client sees of an error](crate::StreamOptions::on_error) |
/// | `charset = bool` | [whether `Content-Type` names UTF-8](crate::StreamOptions::charset) |
/// | `crate = path` | where this crate is found, for macros of your own that hand it on |
///
/// Except for `raise_on_disconnect` and `crate`, they are the methods of [`StreamOptions`](crate::StreamOptions).
/// A value is any expression of its type. It may use arguments that are `Copy`.
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
/// A view that checks first, and then streams:
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

/// Makes a stream of bytes of an `async fn` that yields text or bytes: the sibling of
/// [`#[event_stream]`](macro@crate::event_stream) for anything that is no event stream, such as NDJSON.
///
/// The function becomes one that returns a [`ByteStream`](crate::ByteStream). What is yielded is
/// [`IntoChunk`](crate::IntoChunk); all else is as there, the disconnect included, but for the ends: an `Err` breaks the
/// response off, as a shutdown does, so that the client does not take a part for the whole.
///
/// # Options
///
/// | option | what it does |
/// |---|---|
/// | `content_type = "…"` | the response's `Content-Type`: a literal, or an expression of type `http::HeaderValue` |
/// | `raise_on_disconnect` | tells the generator of the disconnect instead of dropping it |
/// | `cleanup_timeout = Duration` | how long a clean-up may take, with `raise_on_disconnect` |
/// | `byte_write_timeout = Duration`, `byte_write_timeout = off` | how long the client may take nothing |
/// | `crate = path` | where this crate is found, for macros of your own that hand it on |
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

/// Lets the items inside use the keyword `yield`, on stable Rust.
///
/// It holds any items, and goes around them once: a whole file's, if you like. Each `yield x` in them becomes a call of
/// [`yield_!`](crate::yield_) for the `#[event_stream]` or `#[stream]` above to take up. All else passes through
/// untouched. Write it with round brackets, and rustfmt formats what is inside; with braces it does not.
///
/// The operand of `yield` reaches as far as the compiler itself reads it: `yield a + b` sends the sum, `(yield a)?` asks
/// for the result of the `yield`, and in `if let Err(_) = yield event { … }` the braces are the `if`'s. Inside of another
/// macro's brackets this holds wherever they contain statements or expressions (`join!`, the blocks of `select!`); in
/// any other syntax the operand reaches to the next `;`, `,` or `=>`, to the end of the brackets, or in the head of an
/// `if`, `while`, `match` or `for` to the brace.
///
/// On nightly with `#![feature(yield_expr)]` the wrapper can be taken away.
///
/// `generators!(crate = path; …)` says where this crate is found.
///
/// # Examples
///
/// ```
/// use bocadillo::{ClientDisconnect, event_stream, generators};
///
/// generators!(
///     /// Counts until nobody listens any more.
///     #[event_stream(raise_on_disconnect)]
///     async fn count() {
///         for n in 0.. {
///             if let Err(ClientDisconnect) = yield format!("{n}") {
///                 println!("we got to {n}");
///                 return;
///             }
///         }
///     }
/// );
/// # fn main() {}
/// ```
pub use bocadillo_macros::generators;

/// `yield`, in a spelling that stable Rust accepts everywhere in a generator, inside of other macros too.
///
/// In a function with [`#[event_stream]`](macro@crate::event_stream) or [`#[stream]`](macro@crate::stream) it needs no
/// import, and a macro that such a function calls may expand to it. Outside of these functions it is a compile error. The
/// attribute looks for it by its name, so `use … as` cannot rename it.
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

/// Makes a [`ServerEvent`](crate::ServerEvent), as the fields are given.
///
/// The value is a `Result<ServerEvent>`, always: a value may fail to turn into JSON, a text at run time may hold what
/// cannot stand in a name or an id. `yield` takes it as it is; elsewhere write `?` after it.
///
/// # Fields
///
/// | field | value |
/// |---|---|
/// | the first, without a name, or `name = …` | the event's name: text without line ends, and neither `error` nor `open`, which [browsers use](crate::EventName) |
/// | `data = …` | text, or an iterable of text with one item for each line |
/// | `json = …` | anything that is `Serialize`, or JSON with expressions in it |
/// | `id = …` | text without line ends and NUL, or an integer |
/// | `retry = …` | a [`Duration`](std::time::Duration), whole milliseconds on the wire |
/// | `comment = …` | text, one comment for each line |
/// | `crate = …` | where this crate is found |
///
/// At least one is needed, and `json` excludes `data`. Names and ids that are literals are checked at compile time.
/// An event with a name or an id but no data is sent with empty data, since a receiver would throw it away else; a
/// `retry` or a `comment` alone is a line of its own and no event.
///
/// # JSON
///
/// Objects and arrays are written as in JSON, values are expressions; `null` is null. A key is a string literal, or an
/// expression in round brackets. Values are serialized where they stand, with nothing built in between; `?` and
/// `.await` work in them. NaN and the infinities are errors, for JSON has no numbers for them.
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
/// What cannot be sent does not compile, or is an error:
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

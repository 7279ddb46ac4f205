//! `Server`: what it serves, where it listens, its time-outs, and its shutdown.
//!
//! The file is longer than 400 lines because each of the sixteen methods has its own documentation with an example.

mod accept;
mod connection;
mod link;
pub(crate) mod listener;
#[cfg(feature = "log")]
mod log;
pub(crate) mod peer;
mod protocol;
mod run;
mod serve_connection;
pub(crate) mod service;
pub(crate) mod signals;
mod timeouts;
mod unanswered;

use std::fmt::{self, Display};
use std::future::{Future, pending};
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::time::Duration;

use axum_core::body::Body as AxumBody;
use bytes::Bytes;
use http::{Request, Response};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tower::Service;

use crate::error::{BoxError, Error, Result};
use crate::server::accept::AnyListener;
use crate::server::listener::Listener;
use crate::server::serve_connection::Connections;
use crate::server::service::{ServeService, Served};
use crate::server::signals::Signals;
use crate::server::timeouts::{Timeouts, WriteTimeouts};
use crate::stream::Streams;

/// Where a server listens if the program names no place.
const DEFAULT_ADDRESS: &str = "127.0.0.1:8000";
/// How long a shutdown waits, unless the program sets another time.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(20);

type Task = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Serves an [`App`](crate::App) or any tower service: it has the sockets, the time-outs, the signals and the shutdown.
///
/// It speaks HTTP/1 and HTTP/2. It listens on the addresses of [`bind`](Self::bind) and on the listeners of
/// [`listener`](Self::listener), and on 127.0.0.1:8000 if there is neither. All of them have the same time-outs, and one
/// shutdown.
///
/// The first lines of the log are the addresses, one a line; the routes of an app follow.
///
/// # Examples
///
/// An app:
///
/// ```no_run
/// use bocadillo::{App, Server, route, routes};
///
/// #[route("/hello")]
/// async fn hello() -> &'static str { "hello" }
///
/// fn main() -> bocadillo::Result<()> {
///     Server::new(App::new().routes(routes![hello]))
///         .bind("127.0.0.1:3000")
///         .bind("[::1]:3000")
///         .run()
/// }
/// ```
///
/// A tower service, such as axum's `Router`, in a runtime that is there already:
///
/// ```no_run
/// # use bocadillo::App;
/// # async fn f() -> bocadillo::Result<()> {
/// # let router = App::new().into_service()?;
/// use bocadillo::{Server, shutdown_signal};
///
/// Server::new(router).bind("127.0.0.1:3000").serve_until(shutdown_signal()).await?;
/// # Ok(()) }
/// ```
#[must_use = "a server does nothing until it is run or served"]
pub struct Server {
    service: Served,
    streams: Option<Streams>,
    places: Vec<Place>,
    background: Vec<Task>,
    timeouts: Timeouts,
    write_timeouts: WriteTimeouts,
    shutdown_timeout: Duration,
    signals: bool,
}

/// Where a server listens.
enum Place {
    Address(String),
    Listener(Box<dyn AnyListener>),
}

impl Server {
    /// A server of an [`App`](crate::App) or of a tower service; see [`ServeService`].
    ///
    /// If two routes of the app conflict, [`run`](Self::run) and [`serve`](Self::serve) return the error.
    ///
    /// # Examples
    ///
    /// ```
    /// use bocadillo::{App, Server};
    ///
    /// let server = Server::new(App::new());
    /// ```
    pub fn new(service: impl ServeService) -> Self {
        Self::of(service.into_served())
    }

    /// A server of a make-service: a service that takes the address of a client and returns the service for that
    /// client's connection.
    ///
    /// This is how axum's `ConnectInfo<SocketAddr>` works: give it
    /// `router.into_make_service_with_connect_info::<SocketAddr>()`. A handler that takes [`Peer`](crate::Peer) does not
    /// need this.
    ///
    /// A connection over a Unix socket has no such address. It is closed, with an error in the log: use
    /// [`new`](Self::new) there. A connection for which the make-service fails is closed in the same way.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::{convert::Infallible, net::SocketAddr};
    /// use bocadillo::{Server, http::Request, http::Response};
    /// use tower::service_fn;
    ///
    /// let server = Server::from_make_service(service_fn(async |client: SocketAddr| {
    ///     Ok::<_, Infallible>(service_fn(move |_: Request<_>| async move {
    ///         Ok::<_, Infallible>(Response::new(format!("you are {client}")))
    ///     }))
    /// }));
    /// ```
    pub fn from_make_service<M, T, B>(make_service: M) -> Self
    where
        M: Service<SocketAddr, Response = T, Error: Into<BoxError>, Future: Send>,
        M: Clone + Send + 'static,
        T: Service<Request<AxumBody>, Response = Response<B>, Error: Into<BoxError>, Future: Send>,
        T: Clone + Send + 'static,
        B: http_body::Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
    {
        Self::of(Served::make(make_service))
    }

    fn of(service: Served) -> Self {
        Self {
            service,
            streams: None,
            places: Vec::new(),
            background: Vec::new(),
            timeouts: Timeouts::default(),
            write_timeouts: WriteTimeouts::default(),
            shutdown_timeout: SHUTDOWN_TIMEOUT,
            signals: false,
        }
    }

    /// Adds an address to listen on: a host and a port. It may be called several times.
    ///
    /// The host is an address or a name: `127.0.0.1`, `0.0.0.0` for all interfaces, `[::1]`, `localhost`. If a name has
    /// several addresses, the server listens on the first one that works. Port 0 is any free port; the log shows which.
    /// The default is `127.0.0.1:8000`, if there is no [`listener`](Self::listener) either.
    ///
    /// # Examples
    ///
    /// ```
    /// use bocadillo::{App, Server};
    ///
    /// let server = Server::new(App::new()).bind("0.0.0.0:3000").bind("[::1]:3000");
    /// ```
    pub fn bind(mut self, address: impl Display) -> Self {
        self.places.push(Place::Address(address.to_string()));
        self
    }

    /// Adds a listener: a `TcpListener` or `UnixListener` of tokio, or one of your own. It may be called several times.
    ///
    /// # Examples
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use bocadillo::{App, Server};
    ///
    /// let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    /// let server = Server::new(App::new()).listener(listener);
    /// # Ok(()) }
    /// ```
    pub fn listener(mut self, listener: impl Listener) -> Self {
        self.places.push(Place::Listener(Box::new(listener)));
        self
    }

    /// Sets the [`Streams`] that all streams of this server belong to. The default is the `Streams` of the app, or a new
    /// one for a service that is not an app.
    ///
    /// Its options are the defaults of all event streams that are served here, also of those that a plain axum handler
    /// returns. Its drain begins when the server shuts down, and the shutdown waits for its clean-ups.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    /// use bocadillo::{App, Server, StreamOptions, Streams};
    ///
    /// let streams = Streams::new().defaults(StreamOptions::new().retry(Duration::from_secs(1)));
    /// let server = Server::new(App::new()).streams(streams);
    /// ```
    pub fn streams(mut self, streams: Streams) -> Self {
        self.streams = Some(streams);
        self
    }

    /// Runs `task` beside the server, for as long as the server runs: for example a task that publishes to a topic.
    ///
    /// The task is dropped at the end of the shutdown. If it ends or panics, the server goes on.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    /// use bocadillo::{App, Server};
    /// use bocadillo::topic::Hub;
    ///
    /// let ticks = Hub::memory().topic("ticks")?;
    /// let server = Server::new(App::with_state(ticks.clone())).background(async move {
    ///     while ticks.publish("tick").await.is_ok() {
    ///         tokio::time::sleep(Duration::from_secs(1)).await;
    ///     }
    /// });
    /// # Ok::<(), bocadillo::Error>(())
    /// ```
    pub fn background(mut self, task: impl Future + Send + 'static) -> Self {
        self.background.push(Box::pin(async move {
            task.await;
        }));
        self
    }

    /// Shuts down at SIGTERM or SIGINT. A second signal ends the wait for what is under way. [`run`](Self::run) always
    /// does this; with the other methods the default is not to listen to signals.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # async fn f() -> bocadillo::Result<()> {
    /// use bocadillo::{App, Server};
    ///
    /// Server::new(App::new()).signals().serve().await?;
    /// # Ok(()) }
    /// ```
    pub fn signals(mut self) -> Self {
        self.signals = true;
        self
    }

    /// Sets how long a client may take to send the head of a request. The default is 10 seconds.
    ///
    /// The time begins with the head's first byte. For the first request of a connection it begins with the connection,
    /// and in HTTP/2 the client also has to send its SETTINGS within it. A connection on which a head takes longer is
    /// closed.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    /// use bocadillo::{App, Server};
    ///
    /// let server = Server::new(App::new()).header_timeout(Duration::from_secs(3));
    /// ```
    pub fn header_timeout(mut self, timeout: Duration) -> Self {
        self.timeouts.header = timeout;
        self
    }

    /// Sets how long a connection stays open between two requests. The default is 75 seconds.
    ///
    /// The time begins when the response has been written, and ends with the first byte of the next request. In HTTP/2
    /// it is the time without an open stream.
    ///
    /// Behind a proxy that keeps connections open, set it to more than the proxy's own idle time. Otherwise a request
    /// can meet a connection that is being closed, and the proxy answers 502. nginx and the load balancers of AWS close
    /// after 60 seconds by default.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    /// use bocadillo::{App, Server};
    ///
    /// let server = Server::new(App::new()).idle_timeout(Duration::from_secs(120));
    /// ```
    pub fn idle_timeout(mut self, timeout: Duration) -> Self {
        self.timeouts.idle = timeout;
        self
    }

    /// Sets how long a client may be silent while the server waits for the body of its request. The default is 30
    /// seconds.
    ///
    /// Only time in which the handler waits for more of the body counts. The time is a budget: waiting uses it up, and
    /// each byte of the client gives a part of it back, as [`min_body_rate`](Self::min_body_rate) says.
    ///
    /// If the time is over before the handler has answered, the answer is 408, and the connection is closed. A handler
    /// that reads the body by itself sees an error, an [`io::Error`](std::io::Error) of the kind `TimedOut`. Its answer
    /// stays if it is not an error. From the start of a shutdown, the time is at most 2 seconds.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    /// use bocadillo::{App, Server};
    ///
    /// let server = Server::new(App::new()).body_timeout(Duration::from_secs(5));
    /// ```
    pub fn body_timeout(mut self, timeout: Duration) -> Self {
        self.timeouts.body = timeout;
        self
    }

    /// Sets how many bytes a second a client has to send of a request's body. The default is 240.
    ///
    /// A client that is slower uses up its [`body_timeout`](Self::body_timeout). With the defaults, each 240 bytes give
    /// a second back, up to 30 seconds, and a client that sends one byte every 29 seconds is refused after 30. With 0
    /// each byte gives the whole time back. Such a body may then come for ever, and in a shutdown until the
    /// [`shutdown_timeout`](Self::shutdown_timeout).
    ///
    /// In HTTP/2 bytes count when their frame is complete: with frames of 16 KiB, the slowest rate is 546 bytes a second.
    ///
    /// # Examples
    ///
    /// ```
    /// use bocadillo::{App, Server};
    ///
    /// // Clients that send an event now and then, in one long request.
    /// let server = Server::new(App::new()).min_body_rate(0);
    /// ```
    pub fn min_body_rate(mut self, bytes_per_second: u32) -> Self {
        self.timeouts.min_body_rate = bytes_per_second;
        self
    }

    /// Sets how long a client of a stream may acknowledge nothing before its connection is cut. The default is 30
    /// seconds.
    ///
    /// It finds clients whose network or power is gone. A client that is paused still acknowledges: for it there is
    /// [`write_timeout`](crate::StreamOptions::write_timeout). It works for HTTP/1 over TCP on Linux. In HTTP/2 a client
    /// that does not answer a ping is cut after 30 seconds.
    ///
    /// Where a paused client may stay longer than this time, the server reads the kernel's list of TCP sockets. A
    /// blocking thread reads it, at most once in a sixteenth of this time, for all connections together. With 10,000
    /// sockets a reading takes tens of milliseconds.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    /// use bocadillo::{App, Server};
    ///
    /// let server = Server::new(App::new()).ack_timeout(Duration::from_secs(10));
    /// ```
    pub fn ack_timeout(mut self, timeout: Duration) -> Self {
        self.write_timeouts.ack = timeout;
        self
    }

    /// Sets how long a client may take to read the end of a stream that the server has decided to end: by its
    /// [lifetime](crate::StreamOptions::max_lifetime), by a shutdown, or by the policy of a topic. The default is 500
    /// milliseconds.
    ///
    /// The stream's source is released at the decision. If a client does not read the end within this time, its
    /// connection is cut, or its stream is reset in HTTP/2. There, an event stream that its lifetime or a policy has ended
    /// has an empty comment as its last line, which shows whether the client's window has room.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    /// use bocadillo::{App, Server};
    ///
    /// let server = Server::new(App::new()).end_timeout(Duration::from_secs(2));
    /// ```
    pub fn end_timeout(mut self, timeout: Duration) -> Self {
        self.write_timeouts.end = timeout;
        self
    }

    /// Sets how long a shutdown waits for requests under way and for clean-ups. The default is 20 seconds.
    ///
    /// Keep it below what the platform grants between SIGTERM and SIGKILL (30 seconds on Kubernetes, 10 with Docker).
    /// The shutdown does not wait for streams: they end at once. A client that still has to send a part of a head, or in
    /// HTTP/2 has to answer the end of the connection, has 2 seconds. A request whose body is still coming is refused
    /// when its client is silent for 2 seconds, or slower than [`min_body_rate`](Self::min_body_rate).
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    /// use bocadillo::{App, Server};
    ///
    /// let server = Server::new(App::new()).shutdown_timeout(Duration::from_secs(8));
    /// ```
    pub fn shutdown_timeout(mut self, timeout: Duration) -> Self {
        self.shutdown_timeout = timeout;
        self
    }

    /// Serves until the future is dropped; with [`signals`](Self::signals), until a signal comes.
    ///
    /// # Errors
    ///
    /// When two routes of the app conflict, when an address cannot be listened on, when a listener cannot tell its
    /// address, or when signals cannot be listened to.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future closes the listeners and cuts all connections.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # async fn f() -> bocadillo::Result<()> {
    /// use bocadillo::{App, Server};
    ///
    /// Server::new(App::new()).bind("127.0.0.1:3000").serve().await?;
    /// # Ok(()) }
    /// ```
    pub async fn serve(self) -> Result<()> {
        self.serve_until(pending()).await
    }

    /// Serves until `stop` is ready, and then shuts down: the listeners close, event streams end, requests under way are
    /// answered, and clean-ups run to their ends, all within the [`shutdown_timeout`](Self::shutdown_timeout).
    ///
    /// What is left after that is cut, with a warning in the log. A stream of bytes is cut at once, so that its client
    /// does not take a part for the whole.
    ///
    /// # Errors
    ///
    /// The same as [`serve`](Self::serve).
    ///
    /// # Cancel safety
    ///
    /// Dropping the future closes the listeners and cuts all connections.
    ///
    /// # Examples
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use bocadillo::{App, Server};
    ///
    /// let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    /// let server = Server::new(App::new()).bind("127.0.0.1:0");
    /// let serving = tokio::spawn(server.serve_until(async {
    ///     stopped.await.ok();
    /// }));
    ///
    /// stop.send(()).expect("the server waits for it");
    /// serving.await??;
    /// # Ok(()) }
    /// ```
    pub async fn serve_until(self, stop: impl Future<Output = ()> + Send) -> Result<()> {
        if !self.signals {
            return self.serve_with(stop, pending()).await;
        }
        let mut signals = Signals::listen()?;
        let (first, second) = (CancellationToken::new(), CancellationToken::new());
        let watch = async {
            let name = signals.next().await;
            tracing::info!("{name}: ending the streams");
            first.cancel();
            let name = signals.next().await;
            tracing::warn!("{name} again: not waiting any longer");
            second.cancel();
            pending::<()>().await;
        };
        let stop = async {
            tokio::select! {
                () = stop => {}
                () = first.cancelled() => {}
            }
        };
        tokio::select! {
            served = self.serve_with(stop, second.cancelled()) => served,
            () = watch => Ok(()),
        }
    }

    async fn serve_with(
        self,
        stop: impl Future<Output = ()>,
        abort: impl Future<Output = ()>,
    ) -> Result<()> {
        let service = self.service.0?;
        let mut places = self.places;
        if places.is_empty() {
            places.push(Place::Address(DEFAULT_ADDRESS.to_owned()));
        }
        let mut listeners: Vec<Box<dyn AnyListener>> = Vec::new();
        let mut addresses = Vec::new();
        for place in places {
            let listener = match place {
                Place::Address(address) => Box::new(bind(&address).await?),
                Place::Listener(listener) => listener,
            };
            addresses.push(listener.local_addr().map_err(Error::listen)?);
            listeners.push(listener);
        }
        for address in addresses {
            tracing::info!("listening on {address}");
        }
        for route in service.routes() {
            tracing::info!("{route}");
        }
        let streams = self
            .streams
            .or_else(|| service.streams().cloned())
            .unwrap_or_default();
        let connections = Connections::new(service, streams, self.timeouts, self.write_timeouts);
        let _background: JoinSet<()> = self.background.into_iter().collect();
        accept::serve(listeners, connections, stop, self.shutdown_timeout, abort).await;
        Ok(())
    }
}

async fn bind(address: &str) -> Result<TcpListener> {
    TcpListener::bind(address).await.map_err(|error| {
        let hint = match error.kind() {
            io::ErrorKind::AddrInUse => "; use another port, or 0 for any free one",
            _ => "",
        };
        Error::listen(format!("cannot listen on {address}: {error}{hint}"))
    })
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server")
            .field("service", &self.service)
            .field("streams", &self.streams)
            .field("places", &self.places)
            .field("timeouts", &self.timeouts)
            .field("write_timeouts", &self.write_timeouts)
            .field("shutdown_timeout", &self.shutdown_timeout)
            .field("signals", &self.signals)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(address) => f.write_str(address),
            Self::Listener(listener) => match listener.local_addr() {
                Ok(address) => f.write_str(&address),
                Err(error) => write!(f, "{error}"),
            },
        }
    }
}

//! `Server`: what it serves, where it listens, and how long it runs.

mod accept;
mod bind;
mod connection;
mod link;
pub(crate) mod listener;
#[cfg(feature = "log")]
mod log;
mod options;
pub(crate) mod peer;
mod protocol;
mod run;
mod serve_connection;
pub(crate) mod service;
pub(crate) mod signals;
mod tcp_table;
mod timeouts;

use std::fmt::{self, Display};
use std::future::{Future, pending};
use std::net::SocketAddr;
use std::pin::Pin;
use std::time::Duration;

use axum_core::body::Body as AxumBody;
use bytes::Bytes;
use http::{Request, Response};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tower::Service;

use crate::error::{BoxError, Error, Result};
use crate::server::accept::AnyListener;
use crate::server::bind::{BindTarget, DEFAULT_ADDRESS};
use crate::server::listener::Listener;
use crate::server::serve_connection::Connections;
use crate::server::service::{ServeService, Served};
use crate::server::signals::Signals;
use crate::server::timeouts::{Timeouts, WriteTimeouts};
use crate::stream::Streams;

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
    targets: Vec<BindTarget>,
    background: Vec<Task>,
    timeouts: Timeouts,
    write_timeouts: WriteTimeouts,
    shutdown_timeout: Duration,
    signals: bool,
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
            targets: Vec::new(),
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
        self.targets.push(BindTarget::Address(address.to_string()));
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
        self.targets.push(BindTarget::Listener(Box::new(listener)));
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
        let mut targets = self.targets;
        if targets.is_empty() {
            targets.push(BindTarget::Address(DEFAULT_ADDRESS.to_owned()));
        }
        let mut listeners: Vec<Box<dyn AnyListener>> = Vec::new();
        let mut addresses = Vec::new();
        for target in targets {
            let listener = target.listen().await?;
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

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server")
            .field("service", &self.service)
            .field("streams", &self.streams)
            .field("targets", &self.targets)
            .field("timeouts", &self.timeouts)
            .field("write_timeouts", &self.write_timeouts)
            .field("shutdown_timeout", &self.shutdown_timeout)
            .field("signals", &self.signals)
            .finish_non_exhaustive()
    }
}

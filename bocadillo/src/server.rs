//! Serving: the accept loop, the two protocols, limits and the drain.

mod connection;
mod link;
pub(crate) mod listener;
#[cfg(feature = "log")]
mod log;
mod protocol;
mod run;
mod signals;
pub(crate) mod timeouts;
mod unanswered;

use std::convert::Infallible;
use std::future::{Future, pending, poll_fn};
use std::io;
use std::net::SocketAddr;
use std::os::fd::BorrowedFd;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use http::{Request, Response};
use hyper::body::{Body as _, Incoming};
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;
use tower::Service;

use crate::app::{App, AppService};
use crate::error::{Error, Result, chain};
use crate::server::connection::{Executor, HeldBody, Limits};
use crate::server::link::Link;
use crate::server::listener::Listener;
use crate::server::protocol::{Protocol, detect};
use crate::server::signals::Signals;
use crate::server::timeouts::body::RequestBody;
use crate::server::timeouts::http1::Http1;
use crate::server::timeouts::http2::{Expired, Http2, Tracked};
use crate::server::timeouts::{Timeouts, WriteTimeouts};
use crate::stream::body::Body;
use crate::stream::drain::Drain;
use crate::stream::outgoing::Outgoing;

/// What hyper gathers of a response before it writes, and the most that it reads of a request's head. In HTTP/2 hyper has
/// the same limit for a head by default.
const BUFFER: usize = 16 * 1024;
/// How much of one HTTP/2 stream waits for a client that does not read.
const HTTP2_SEND_BUFFER: usize = 64 * 1024;
/// How often an HTTP/2 client is asked whether it is still there. It has 20 seconds to answer, as hyper has it.
const HTTP2_PING: Duration = Duration::from_secs(10);
const HTTP2_STREAMS: u32 = 250;
/// How long the loop rests when the process can take no more connections.
const ACCEPT_PAUSE: Duration = Duration::from_secs(1);

/// The peer's address, among a request's extensions, where the connection has one.
///
/// Behind a proxy it is the proxy's.
///
/// # Examples
///
/// ```
/// use bocadillo::{Peer, route};
///
/// #[route("/whoami")]
/// async fn whoami(Peer(address): Peer) -> String {
///     address.map_or_else(|| "somebody".to_owned(), |address| address.to_string())
/// }
/// # fn main() {}
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer(pub Option<SocketAddr>);

impl<S: Sync> axum_core::extract::FromRequestParts<S> for Peer {
    type Rejection = Infallible;

    async fn from_request_parts(
        parts: &mut http::request::Parts,
        _: &S,
    ) -> Result<Self, Infallible> {
        Ok(parts.extensions.get().copied().unwrap_or(Self(None)))
    }
}

impl<S: Clone + Send + Sync + 'static> App<S> {
    /// Serves the app on `listener` until the process gets SIGTERM or SIGINT, and then drains it as
    /// [`serve_until`](Self::serve_until) does. A second signal ends the wait.
    ///
    /// # Errors
    ///
    /// When the routes conflict, when the listener has no address, or when signals cannot be listened to.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # async fn f() -> Result<(), Box<dyn std::error::Error>> {
    /// let listener = tokio::net::TcpListener::bind("127.0.0.1:8000").await?;
    /// bocadillo::App::new().serve(listener).await?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Cancel safety
    ///
    /// Dropping the future stops the accept loop and cuts all connections.
    pub async fn serve(self, listener: impl Listener) -> Result<()> {
        let mut signals = Signals::listen()?;
        let (stop, hurry) = (CancellationToken::new(), CancellationToken::new());
        let watch = async {
            let name = signals.next().await;
            tracing::info!("{name}: ending the streams");
            stop.cancel();
            let name = signals.next().await;
            tracing::warn!("{name} again: not waiting any longer");
            hurry.cancel();
            pending::<()>().await;
        };
        tokio::select! {
            served = self.serve_with(listener, stop.cancelled(), hurry.cancelled()) => served,
            () = watch => Ok(()),
        }
    }

    /// Serves the app on `listener` until `stop` is ready, and then drains it: no more connections are taken, event
    /// streams end, requests under way are answered and clean-ups run to their ends, all within the
    /// [`shutdown_timeout`](Self::shutdown_timeout).
    ///
    /// What is left after that is cut, with a warning in the log. A stream of bytes is cut at once, so that its client
    /// does not take a part for the whole.
    ///
    /// # Errors
    ///
    /// When the routes conflict, or when the listener has no address.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future stops the accept loop and cuts all connections.
    ///
    /// For a test, or for a program that decides by itself when it ends.
    ///
    /// # Examples
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    /// let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    /// let serving = tokio::spawn(bocadillo::App::new().serve_until(listener, async {
    ///     stopped.await.ok();
    /// }));
    ///
    /// stop.send(()).expect("it is served");
    /// serving.await??;
    /// # Ok(()) }
    /// ```
    pub async fn serve_until(
        self,
        listener: impl Listener,
        stop: impl Future<Output = ()> + Send,
    ) -> Result<()> {
        self.serve_with(listener, stop, pending()).await
    }

    async fn serve_with<L: Listener>(
        mut self,
        mut listener: L,
        stop: impl Future<Output = ()>,
        hurry: impl Future<Output = ()>,
    ) -> Result<()> {
        let address = listener.address().map_err(Error::listen)?;
        let infos: Vec<_> = self.route_infos().collect();
        let (timeouts, shutdown_timeout) = (self.timeouts, self.shutdown_timeout);
        let write_timeouts = self.write_timeouts;
        let background = std::mem::take(&mut self.background);
        let server = Arc::new(Server::new(self.into_service()?, timeouts, write_timeouts));
        tracing::info!("listening on {address}");
        infos.iter().for_each(|info| tracing::info!("{info}"));
        let _background: JoinSet<()> = background.into_iter().collect();

        let mut connections = JoinSet::new();
        let mut stop = pin!(stop);
        loop {
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                Some(_) = connections.join_next() => continue,
                () = &mut stop => break,
            };
            match accepted {
                Ok((connection, peer)) => {
                    let server = Arc::clone(&server);
                    connections.spawn(server.serve(connection, peer, L::socket));
                }
                Err(error) if concerns_one_connection(&error) => {
                    tracing::debug!(%error, "a connection was lost");
                }
                Err(error) => {
                    tracing::error!(%error, "no connection can be taken; trying again in a second");
                    tokio::select! {
                        () = sleep(ACCEPT_PAUSE) => {}
                        () = &mut stop => break,
                    }
                }
            }
        }
        // From here on a load balancer, or the next process on this port, gets the new ones.
        drop(listener);
        drain(
            server.service.streams.drain_state(),
            connections,
            shutdown_timeout,
            hurry,
        )
        .await;
        Ok(())
    }
}

/// Ends the streams and waits for what is under way; cuts the connections that are left after that.
async fn drain(
    drain: &Drain,
    mut connections: JoinSet<()>,
    wait: Duration,
    hurry: impl Future<Output = ()>,
) {
    drain.begin();
    let ended = async {
        while connections.join_next().await.is_some() {}
        drain.finished().await;
    };
    tokio::select! {
        () = ended => return,
        () = sleep(wait) => {}
        () = hurry => {}
    }
    let (connections, clean_ups) = (connections.len(), drain.tasks());
    tracing::warn!(
        connections,
        clean_ups,
        ?wait,
        "not all ended in time; connections are cut"
    );
}

fn concerns_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(
        error.kind(),
        ConnectionAborted | ConnectionRefused | ConnectionReset
    )
}

/// What all connections share.
struct Server {
    service: AppService,
    http1: http1::Builder,
    http2: http2::Builder<Executor>,
    timeouts: Timeouts,
    limits: Limits,
}

impl Server {
    fn new(service: AppService, timeouts: Timeouts, write_timeouts: WriteTimeouts) -> Self {
        let mut http1 = http1::Builder::new();
        http1
            // A switch alone: each connection has a timer of its own, which knows how long to wait.
            .header_read_timeout(Duration::ZERO)
            .max_buf_size(BUFFER)
            // Frames are gathered before they come to hyper; one flat buffer is then cheaper than a list of them.
            .writev(false);
        let limits = Limits {
            timeouts: write_timeouts,
            drain: Arc::clone(service.streams.drain_state()),
        };
        let mut http2 = http2::Builder::new(Executor(limits.clone()));
        http2
            .timer(TokioTimer::new())
            .keep_alive_interval(HTTP2_PING)
            .max_concurrent_streams(HTTP2_STREAMS)
            .max_send_buf_size(HTTP2_SEND_BUFFER);
        Self {
            service,
            http1,
            http2,
            timeouts,
            limits,
        }
    }

    /// Answers one request.
    fn call(
        &self,
        peer: Option<SocketAddr>,
        mut request: Request<Incoming>,
        outgoing: Option<&Arc<Outgoing>>,
    ) -> impl Future<Output = Result<Response<Body>, Infallible>> + Send + use<> {
        request.extensions_mut().insert(Peer(peer));
        let version = request.version();
        let (head, body) = request.into_parts();
        let (body, timed_out) =
            RequestBody::new(body, self.timeouts, self.service.streams.drain_state());
        let body = HeldBody::new(body, outgoing);
        let answer = self.service.clone().call(Request::from_parts(head, body));
        async move {
            let response = answer.await?;
            Ok(match timed_out {
                Some(timed_out) => timed_out.answer(version, response),
                None => response,
            })
        }
    }

    async fn serve<C>(
        self: Arc<Self>,
        connection: C,
        peer: Option<SocketAddr>,
        socket: fn(&C) -> Option<BorrowedFd<'_>>,
    ) where
        C: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let start = Instant::now();
        let mut drained = pin!(self.service.streams.drain_state().drained());
        // Boxed, so that an idle connection does not hold the room for it.
        let detected = Box::pin(timeout(self.timeouts.header, detect(connection)));
        let detected = tokio::select! {
            detected = detected => detected,
            // Nothing has been asked yet.
            () = &mut drained => return,
        };
        let (protocol, head, connection) = match detected {
            Ok(Ok(detected)) => detected,
            Ok(Err(error)) => {
                return tracing::debug!(%error, "a connection was lost before it asked for anything");
            }
            Err(_) => return tracing::debug!("a connection was cut: it asked for nothing in time"),
        };
        let link = Link::new(head, connection, socket);
        let limits = self.limits.clone();
        let served = match protocol {
            Protocol::Http1 => {
                let http1 = Http1::new(self.timeouts, start);
                let connection = TokioIo::new(link.io(http1.clone()));
                let mut guard = connection::Http1::new(link, limits);
                let outgoing = Arc::clone(guard.outgoing());
                let mut builder = self.http1.clone();
                builder.timer(http1.clone());
                let service = service_fn({
                    let (server, http1) = (Arc::clone(&self), http1.clone());
                    move |request: Request<Incoming>| {
                        http1.request(request.body().size_hint().exact());
                        server.call(peer, request, Some(&outgoing))
                    }
                });
                let serving = builder
                    .serve_connection(connection, service)
                    .with_upgrades();
                drop(builder);
                let mut serving = pin!(serving);
                let mut closing = false;
                poll_fn(|cx| {
                    if !closing && drained.as_mut().poll(cx).is_ready() {
                        closing = true;
                        http1.shut_down();
                        serving.as_mut().graceful_shutdown();
                    }
                    guard.poll(cx, |cx| serving.as_mut().poll(cx))
                })
                .await
            }
            Protocol::Http2 => {
                let http2 = Http2::new(self.timeouts, start);
                let mut watch = http2.watch();
                let connection = TokioIo::new(link.io(http2.clone()));
                let mut guard = connection::Http2::new(link, limits);
                let service = service_fn({
                    let server = Arc::clone(&self);
                    move |request: Request<Incoming>| {
                        let stream = http2.stream();
                        let answer = server.call(peer, request, None);
                        async {
                            let response = answer.await?;
                            Ok::<_, Infallible>(response.map(|body| Tracked::new(body, stream)))
                        }
                    }
                });
                // Boxed, so that it takes no room of the others.
                let mut serving = Box::pin(self.http2.serve_connection(connection, service));
                let mut closing = false;
                let served = poll_fn(|cx| {
                    loop {
                        if let Poll::Ready(served) = guard.poll(cx, |cx| serving.as_mut().poll(cx))
                        {
                            return Poll::Ready(Some(served));
                        }
                        let closes = match watch.poll(cx) {
                            Poll::Ready(Expired::Silent) => return Poll::Ready(None),
                            Poll::Ready(Expired::Idle) => true,
                            Poll::Pending => false,
                        };
                        if closing || !(closes || drained.as_mut().poll(cx).is_ready()) {
                            return Poll::Pending;
                        }
                        closing = true;
                        watch.close();
                        serving.as_mut().graceful_shutdown();
                    }
                });
                let Some(served) = served.await else {
                    return tracing::debug!(
                        "a connection was cut: its client did not send what it had to"
                    );
                };
                served
            }
        };
        match served {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                tracing::debug!(error = %chain(&error), "a connection ended with an error");
            }
            Err(cut) => tracing::debug!(?cut, "a connection was cut"),
        }
    }
}

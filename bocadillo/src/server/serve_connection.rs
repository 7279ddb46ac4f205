//! One connection, from its first byte to its end: the protocol, its time-outs, and its requests.

use std::convert::Infallible;
use std::future::{Future, poll_fn};
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
use tokio::time::{Instant, timeout};

use crate::error::chain;
use crate::http::guarded_body::GuardedBody;
use crate::server::connection::{Executor, HeldBody, Http1Guard, Http2Guard, Limits};
use crate::server::link::Link;
use crate::server::peer::Peer;
use crate::server::protocol::{Protocol, detect};
use crate::server::service::{ConnectionService, ServedKind};
use crate::server::timeouts::body::RequestBody;
use crate::server::timeouts::http1::Http1;
use crate::server::timeouts::http2::{Http2, TimeoutKind};
use crate::server::timeouts::{Timeouts, WriteTimeouts};
use crate::stream::Streams;
use crate::stream::body::Body;
use crate::stream::drain::Drain;
use crate::stream::outgoing::Outgoing;

/// How many bytes of a response hyper gathers before it writes, and the largest head of a request that it reads. In
/// HTTP/2 this is hyper's default for a head.
const BUFFER: usize = 16 * 1024;
/// How many bytes of one HTTP/2 stream wait for a client that does not read.
const HTTP2_SEND_BUFFER: usize = 64 * 1024;
/// How often an HTTP/2 client is asked whether it is still there. It has 20 seconds to answer, which is hyper's default.
const HTTP2_PING: Duration = Duration::from_secs(10);
const HTTP2_STREAMS: u32 = 250;

/// What serves the connections of one listener.
#[derive(Clone)]
pub(super) struct Connections {
    shared: Arc<Shared>,
    service: ServedKind,
}

/// What all connections of a server share.
struct Shared {
    streams: Streams,
    /// Begins when the server shuts down. The streams have a drain of their own, which can begin earlier.
    closing: Arc<Drain>,
    http1: http1::Builder,
    http2: http2::Builder<Executor>,
    timeouts: Timeouts,
    limits: Limits,
}

impl Connections {
    pub(super) fn new(
        service: ServedKind,
        streams: Streams,
        timeouts: Timeouts,
        write_timeouts: WriteTimeouts,
    ) -> Self {
        let mut http1 = http1::Builder::new();
        http1
            // This only switches the time-out on. The timer of each connection decides how long to wait.
            .header_read_timeout(Duration::ZERO)
            .max_buf_size(BUFFER)
            // Frames are gathered before they come to hyper. One flat buffer is then cheaper than a list of them.
            .writev(false);
        let closing = Arc::new(Drain::default());
        let limits = Limits {
            timeouts: write_timeouts,
            drain: Arc::clone(&closing),
        };
        let mut http2 = http2::Builder::new(Executor(limits.clone()));
        http2
            .timer(TokioTimer::new())
            .keep_alive_interval(HTTP2_PING)
            .max_concurrent_streams(HTTP2_STREAMS)
            .max_send_buf_size(HTTP2_SEND_BUFFER);
        let shared = Shared {
            streams,
            closing,
            http1,
            http2,
            timeouts,
            limits,
        };
        Self {
            shared: Arc::new(shared),
            service,
        }
    }

    pub(super) fn streams(&self) -> &Streams {
        &self.shared.streams
    }

    /// Tells all connections to close after the requests that are under way.
    pub(super) fn close(&self) {
        self.shared.closing.begin();
    }

    pub(super) async fn serve<C>(
        self,
        connection: C,
        peer: Option<SocketAddr>,
        socket: fn(&C) -> Option<BorrowedFd<'_>>,
    ) where
        C: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let service = match self.service.connect(peer, &self.shared.streams).await {
            Ok(service) => service,
            Err(error) => {
                return tracing::error!(error = %chain(&*error), "a connection was closed: there is no service for it");
            }
        };
        self.shared.serve(connection, peer, service, socket).await;
    }
}

impl Shared {
    /// Answers one request.
    fn call(
        &self,
        service: &ConnectionService,
        peer: Option<SocketAddr>,
        mut request: Request<Incoming>,
        outgoing: Option<&Arc<Outgoing>>,
    ) -> impl Future<Output = Result<Response<Body>, Infallible>> + Send + use<> {
        request.extensions_mut().insert(Peer(peer));
        let version = request.version();
        let (head, body) = request.into_parts();
        let (body, timed_out) = RequestBody::new(body, self.timeouts, &self.closing);
        let body = HeldBody::new(body, outgoing);
        let answer = service.call(Request::from_parts(head, body));
        async move {
            let response = answer.await;
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
        service: ConnectionService,
        socket: fn(&C) -> Option<BorrowedFd<'_>>,
    ) where
        C: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let start = Instant::now();
        let mut drained = pin!(self.closing.drained());
        // Boxed, so that it takes no memory of an idle connection.
        let detected = Box::pin(timeout(self.timeouts.header, detect(connection)));
        let detected = tokio::select! {
            detected = detected => detected,
            // The client has not sent a request yet.
            () = &mut drained => return,
        };
        let (protocol, head, connection) = match detected {
            Ok(Ok(detected)) => detected,
            Ok(Err(error)) => {
                return tracing::debug!(%error, "a connection was lost before its first request");
            }
            Err(_) => {
                return tracing::debug!("a connection was cut: its client sent no request in time");
            }
        };
        let link = Link::new(head, connection, socket);
        let limits = self.limits.clone();
        let served = match protocol {
            Protocol::Http1 => {
                let http1 = Http1::new(self.timeouts, start);
                let connection = TokioIo::new(link.io(http1.clone()));
                let mut guard = Http1Guard::new(link, limits);
                let outgoing = Arc::clone(guard.outgoing());
                let mut builder = self.http1.clone();
                builder.timer(http1.clone());
                let answers = service_fn({
                    let (shared, http1) = (Arc::clone(&self), http1.clone());
                    move |request: Request<Incoming>| {
                        http1.request(request.body().size_hint().exact());
                        shared.call(&service, peer, request, Some(&outgoing))
                    }
                });
                let serving = builder
                    .serve_connection(connection, answers)
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
                let mut timer = http2.timer();
                let connection = TokioIo::new(link.io(http2.clone()));
                let mut guard = Http2Guard::new(link, limits);
                let answers = service_fn({
                    let shared = Arc::clone(&self);
                    move |request: Request<Incoming>| {
                        let stream = http2.stream();
                        let answer = shared.call(&service, peer, request, None);
                        async {
                            let response = answer.await?;
                            Ok::<_, Infallible>(response.map(|body| GuardedBody::new(body, stream)))
                        }
                    }
                });
                // Boxed, so that it takes no memory of connections over HTTP/1.
                let mut serving = Box::pin(self.http2.serve_connection(connection, answers));
                let mut closing = false;
                let served = poll_fn(|cx| {
                    loop {
                        if let Poll::Ready(served) = guard.poll(cx, |cx| serving.as_mut().poll(cx))
                        {
                            return Poll::Ready(Some(served));
                        }
                        let closes = match timer.poll(cx) {
                            Poll::Ready(TimeoutKind::Silent) => return Poll::Ready(None),
                            Poll::Ready(TimeoutKind::Idle) => true,
                            Poll::Pending => false,
                        };
                        if closing || !(closes || drained.as_mut().poll(cx).is_ready()) {
                            return Poll::Pending;
                        }
                        closing = true;
                        timer.close();
                        serving.as_mut().graceful_shutdown();
                    }
                });
                let Some(served) = served.await else {
                    return tracing::debug!(
                        "a connection was cut: its client did not send its frames or a head in time"
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

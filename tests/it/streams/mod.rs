//! `Streams` in other servers.

mod rules;
mod shutdown;
mod stack;

use std::net::SocketAddr;

use axum::Router;
use bocadillo::Streams;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::support::wait::within;

/// The server of axum, used as the documentation of `Streams` shows.
#[derive(Debug)]
pub(crate) struct AxumServer {
    pub(crate) address: SocketAddr,
    signal: CancellationToken,
    served: JoinHandle<()>,
}

impl AxumServer {
    pub(crate) async fn start(app: Router, streams: &Streams) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0")
            .await
            .expect("a port is free");
        let address = listener.local_addr().expect("the listener is bound");
        let signal = CancellationToken::new();
        let server = axum::serve(listener, app).with_graceful_shutdown({
            let (streams, signal) = (streams.clone(), signal.clone());
            async move {
                signal.cancelled().await;
                streams.drain().await;
            }
        });
        let streams = streams.clone();
        let served = tokio::spawn(async move {
            tokio::select! {
                served = server.into_future() => served.expect("axum's server does not fail"),
                () = streams.shutdown_deadline() => {}
            }
        });
        Self {
            address,
            signal,
            served,
        }
    }

    /// Begins the shutdown, as SIGTERM does in a process.
    pub(crate) fn begin_shutdown(&self) {
        self.signal.cancel();
    }

    /// Waits until the server has ended.
    pub(crate) async fn ended(self) {
        within("the server's end", self.served)
            .await
            .expect("the server does not panic");
    }

    pub(crate) async fn stop(self) {
        self.begin_shutdown();
        self.ended().await;
    }
}

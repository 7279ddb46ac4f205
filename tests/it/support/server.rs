//! Serves the app of a test over real sockets, in the runtime of the test.

use std::net::SocketAddr;

use bocadillo::{App, Listener};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::wait;

/// What a test can serve: an app, or a server with options.
pub(crate) trait IntoServer {
    fn into_server(self) -> bocadillo::Server;
}

impl<S: Clone + Send + Sync + 'static> IntoServer for App<S> {
    fn into_server(self) -> bocadillo::Server {
        bocadillo::Server::new(self)
    }
}

impl IntoServer for bocadillo::Server {
    fn into_server(self) -> bocadillo::Server {
        self
    }
}

/// A server that runs. Dropping it begins the shutdown, as a signal does in a process. [`stop`](Self::stop) also waits
/// until the server has ended.
#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    stop: CancellationToken,
    served: Option<JoinHandle<()>>,
}

impl Server {
    /// Serves `app` on a free port of 127.0.0.1.
    pub(crate) async fn start(app: impl IntoServer) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0")
            .await
            .expect("a port is free");
        let address = listener.local_addr().expect("the listener is bound");
        let mut server = Self::on(app, listener);
        server.address = address;
        server
    }

    /// Serves `app` on a listener that the test has made. [`address`](Self::address) has no meaning then.
    pub(crate) fn on(app: impl IntoServer, listener: impl Listener) -> Self {
        let stop = CancellationToken::new();
        let stopped = stop.clone().cancelled_owned();
        let server = app.into_server().listener(listener);
        let served = tokio::spawn(async move {
            // If the server does not start, the output of the test shows why.
            let served = server.serve_until(stopped).await;
            served.expect("the routes do not conflict");
        });
        Self {
            address: SocketAddr::from(([0, 0, 0, 0], 0)),
            stop,
            served: Some(served),
        }
    }

    /// Begins the drain, and waits until the server has ended in order.
    pub(crate) async fn stop(mut self) {
        self.stop.cancel();
        let served = self.served.take().expect("nothing else takes it");
        wait::within("the server's end", served)
            .await
            .expect("the server does not panic");
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

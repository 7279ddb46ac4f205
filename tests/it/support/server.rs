//! An app of the test's own, served over real sockets within the test's runtime.

use std::net::SocketAddr;

use bocadillo::{App, Listener};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::wait;

/// What a test serves: an app, or a server with options.
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

/// A server that runs. Dropping it begins the shutdown, as the signal does in a process; [`stop`](Self::stop) waits for
/// its end as well.
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
            .expect("there is a free port");
        let address = listener.local_addr().expect("it is bound");
        let mut server = Self::on(app, listener);
        server.address = address;
        server
    }

    /// Serves `app` on a listener of the test's. [`address`](Self::address) says nothing then.
    pub(crate) fn on(app: impl IntoServer, listener: impl Listener) -> Self {
        let stop = CancellationToken::new();
        let stopped = stop.clone().cancelled_owned();
        let server = app.into_server().listener(listener);
        let served = tokio::spawn(async move {
            // A test whose server does not start sees why, beside the connection that it does not get.
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
        let served = self.served.take().expect("only this takes it");
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

//! An app of the test's own, served over real sockets within the test's runtime.

use std::net::SocketAddr;

use bocadillo::{App, Listener};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::wait;

/// Dropping it begins the drain, as the signal does in a process; [`stop`](Self::stop) waits for its end as well.
#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    stop: CancellationToken,
    served: Option<JoinHandle<()>>,
}

impl Server {
    /// Serves `app` on a free port of 127.0.0.1.
    pub(crate) async fn start<S: Clone + Send + Sync + 'static>(app: App<S>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0")
            .await
            .expect("there is a free port");
        let address = listener.local_addr().expect("it is bound");
        let mut server = Self::on(app, listener);
        server.address = address;
        server
    }

    /// Serves `app` on a listener of the test's. [`address`](Self::address) says nothing then.
    pub(crate) fn on<S: Clone + Send + Sync + 'static>(
        app: App<S>,
        listener: impl Listener,
    ) -> Self {
        let stop = CancellationToken::new();
        let stopped = stop.clone().cancelled_owned();
        let served = tokio::spawn(async move {
            // A test whose server does not start sees why, beside the connection that it does not get.
            let served = app.serve_until(listener, stopped).await;
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

//! The accept loops of a server, and its shutdown: one for all listeners together.

use std::future::Future;
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use tokio::task::JoinSet;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::server::listener::Listener;
use crate::server::serve_connection::Connections;

/// How long an accept loop waits when the process can take no more connections.
const ACCEPT_PAUSE: Duration = Duration::from_secs(1);

/// A [`Listener`] of any type.
pub(super) trait AnyListener: Send {
    fn local_addr(&self) -> io::Result<String>;

    /// Serves connections until `stop`, closes the listener, and returns the connections that are still open.
    fn accept_until(
        self: Box<Self>,
        serve: Connections,
        stop: CancellationToken,
    ) -> Pin<Box<dyn Future<Output = JoinSet<()>> + Send>>;
}

impl<L: Listener> AnyListener for L {
    fn local_addr(&self) -> io::Result<String> {
        Listener::local_addr(self)
    }

    fn accept_until(
        self: Box<Self>,
        serve: Connections,
        stop: CancellationToken,
    ) -> Pin<Box<dyn Future<Output = JoinSet<()>> + Send>> {
        Box::pin(accept_until(*self, serve, stop))
    }
}

async fn accept_until<L: Listener>(
    mut listener: L,
    serve: Connections,
    stop: CancellationToken,
) -> JoinSet<()> {
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            Some(_) = connections.join_next() => continue,
            () = stop.cancelled() => return connections,
        };
        match accepted {
            Ok((connection, peer)) => {
                connections.spawn(serve.clone().serve(connection, peer, L::socket));
            }
            Err(error) if concerns_one_connection(&error) => {
                tracing::debug!(%error, "a connection was lost");
            }
            Err(error) => {
                tracing::error!(%error, "no connection can be taken; trying again in a second");
                tokio::select! {
                    () = sleep(ACCEPT_PAUSE) => {}
                    () = stop.cancelled() => return connections,
                }
            }
        }
    }
}

fn concerns_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(
        error.kind(),
        ConnectionAborted | ConnectionRefused | ConnectionReset
    )
}

/// Serves all `listeners` until `stop`. Then ends the streams, and waits for requests and clean-ups: for `timeout` at
/// most, and not longer than until `abort`.
pub(super) async fn serve(
    listeners: Vec<Box<dyn AnyListener>>,
    serve: Connections,
    stop: impl Future<Output = ()>,
    timeout: Duration,
    abort: impl Future<Output = ()>,
) {
    let stopping = CancellationToken::new();
    let mut accepting =
        pin!(join_all(listeners.into_iter().map(|listener| {
            listener.accept_until(serve.clone(), stopping.clone())
        })));
    let mut connections = tokio::select! {
        connections = &mut accepting => connections,
        () = stop => {
            // The listeners close before the streams end. A client that comes back gets the next process.
            stopping.cancel();
            accepting.await
        }
    };
    let streams = Arc::clone(serve.streams().drain_state());
    serve.close();
    streams.begin();
    let ended = async {
        for connections in &mut connections {
            while connections.join_next().await.is_some() {}
        }
        streams.finished().await;
    };
    tokio::select! {
        () = ended => return,
        () = sleep(timeout) => {}
        () = abort => {}
    }
    let connections: usize = connections.iter().map(JoinSet::len).sum();
    tracing::warn!(
        connections,
        clean_ups = streams.tasks(),
        ?timeout,
        "not all ended in time; connections are cut"
    );
}

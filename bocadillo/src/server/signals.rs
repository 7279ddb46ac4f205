//! The signals that ask a process to end: SIGTERM and SIGINT.

use std::future::pending;

use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::error::{Error, Result};

#[derive(Debug)]
pub(crate) struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    pub(crate) fn listen() -> Result<Self> {
        let terminate = signal(SignalKind::terminate()).map_err(Error::listen)?;
        let interrupt = signal(SignalKind::interrupt()).map_err(Error::listen)?;
        Ok(Self {
            terminate,
            interrupt,
        })
    }

    /// Waits for the next signal and returns its name.
    pub(crate) async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        }
    }
}

/// Waits until the process gets SIGTERM or SIGINT.
///
/// It is for a program that is served by something else than a [`Server`](crate::Server), such as `axum::serve`. A
/// `Server` listens to signals by itself in [`run`](crate::Server::run), and with
/// [`signals`](crate::Server::signals).
///
/// After the first call, the two signals no longer end the process by themselves: the program has to end when the
/// future is ready. If the signals cannot be listened to, an error is logged, the future is never ready, and the signals
/// end the process as before.
///
/// # Panics
///
/// When it is polled outside of a tokio runtime with IO.
///
/// # Cancel safety
///
/// Safe to use in `tokio::select!`. A signal that comes while no future waits is lost.
///
/// # Examples
///
/// ```no_run
/// # async fn f() -> Result<(), Box<dyn std::error::Error>> {
/// use bocadillo::{Server, App, Streams, shutdown_signal};
///
/// let streams = Streams::new();
/// Server::new(App::new())
///     .streams(streams.clone())
///     .serve_until(shutdown_signal())
///     .await?;
/// # Ok(()) }
/// ```
pub async fn shutdown_signal() {
    match Signals::listen() {
        Ok(mut signals) => {
            let name = signals.next().await;
            tracing::info!("{name}: shutting down");
        }
        Err(error) => {
            tracing::error!(error = %error.chain(), "SIGTERM and SIGINT cannot be listened to");
            pending::<()>().await;
        }
    }
}

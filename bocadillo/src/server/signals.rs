//! The signals that ask a process to end.

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

    /// Waits for the next one and gives its name.
    pub(crate) async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        }
    }
}

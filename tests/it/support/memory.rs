//! A server over pipes in memory. Tests with paused time use it, because it does not wait for the kernel.

use std::io;
use std::net::SocketAddr;

use bocadillo::Listener;
use tokio::io::DuplexStream;
use tokio::sync::mpsc;

use super::IntoServer;

struct Pipes(mpsc::UnboundedReceiver<DuplexStream>);

impl Listener for Pipes {
    type Connection = DuplexStream;

    async fn accept(&mut self) -> io::Result<(DuplexStream, Option<SocketAddr>)> {
        match self.0.recv().await {
            Some(pipe) => Ok((pipe, None)),
            None => std::future::pending().await,
        }
    }

    fn local_addr(&self) -> io::Result<String> {
        Ok("memory".to_owned())
    }
}

/// Opens connections to an app that runs in this runtime.
#[derive(Debug)]
pub(crate) struct Memory(mpsc::UnboundedSender<DuplexStream>);

impl Memory {
    pub(crate) fn serve(app: impl IntoServer) -> Self {
        let (sender, receiver) = mpsc::unbounded_channel();
        let server = app.into_server().listener(Pipes(receiver));
        tokio::spawn(async move {
            server.serve().await.expect("the routes do not conflict");
        });
        Self(sender)
    }

    /// Opens a connection that buffers `room` bytes in each direction.
    pub(crate) fn connect(&self, room: usize) -> DuplexStream {
        let (client, server) = tokio::io::duplex(room);
        self.0.send(server).expect("the server runs");
        client
    }
}

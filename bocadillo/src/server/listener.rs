//! Where connections come from: TCP, Unix sockets, and whatever else hands connections over.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd};

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};

/// A source of connections for [`Server::listener`](crate::Server::listener).
///
/// tokio's `TcpListener` and `UnixListener` are listeners. Implement the trait for anything else that accepts
/// connections, such as a listener that speaks TLS. The server recognises HTTP/2 by its first bytes, so for ALPN it is
/// enough to offer `h2` among the protocols.
///
/// # Examples
///
/// ```
/// use std::{io, net::SocketAddr};
/// use bocadillo::Listener;
/// use tokio::net::{TcpListener, TcpStream};
///
/// /// Prints the address of each client.
/// struct Watched(TcpListener);
///
/// impl Listener for Watched {
///     type Connection = TcpStream;
///
///     async fn accept(&mut self) -> io::Result<(TcpStream, Option<SocketAddr>)> {
///         let (connection, peer) = self.0.accept().await?;
///         println!("{peer} has connected");
///         Ok((connection, Some(peer)))
///     }
///
///     fn local_addr(&self) -> io::Result<String> {
///         Ok(format!("http://{}", self.0.local_addr()?))
///     }
/// }
/// ```
pub trait Listener: Send + 'static {
    /// The type of a connection.
    type Connection: AsyncRead + AsyncWrite + Unpin + Send + 'static;

    /// Waits for the next connection. Returns it with the address of its client, if it has one.
    ///
    /// After an error the server waits for a second and tries again. It does not wait if the error concerns that
    /// connection alone. Do a TLS handshake in the connection's first read: here it would hold up all other clients.
    ///
    /// # Cancel safety
    ///
    /// It must be safe to drop the future before it is ready: no connection may be lost.
    fn accept(
        &mut self,
    ) -> impl Future<Output = io::Result<(Self::Connection, Option<SocketAddr>)>> + Send;

    /// The socket beneath a connection, if there is one. The default is none.
    ///
    /// The server watches the socket to see when the client closes the connection. The kernel tells this also when
    /// bytes of the client have not been read. The server resets the socket when a client does not read the end of its
    /// stream. Without the socket, the server finds a client that has sent bytes and left when a write fails. A listener
    /// that wraps the connections of another one passes on the socket of the inner connection.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::os::fd::{AsFd, BorrowedFd};
    /// use tokio::net::TcpStream;
    ///
    /// /// The connection of a listener that counts bytes, say.
    /// struct Counted(TcpStream);
    ///
    /// // In `impl Listener for …`:
    /// fn socket(connection: &Counted) -> Option<BorrowedFd<'_>> {
    ///     Some(connection.0.as_fd())
    /// }
    /// ```
    fn socket(_connection: &Self::Connection) -> Option<BorrowedFd<'_>> {
        None
    }

    /// The address that the listener is bound to, as the log shows it: a URL, if there is one.
    ///
    /// # Errors
    ///
    /// When the socket cannot tell its address.
    fn local_addr(&self) -> io::Result<String>;
}

impl Listener for TcpListener {
    type Connection = TcpStream;

    async fn accept(&mut self) -> io::Result<(TcpStream, Option<SocketAddr>)> {
        let (stream, peer) = Self::accept(self).await?;
        // Nagle's algorithm would hold an event back until the client has acknowledged the one before.
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "TCP_NODELAY could not be set");
        }
        Ok((stream, Some(peer)))
    }

    fn socket(stream: &TcpStream) -> Option<BorrowedFd<'_>> {
        Some(stream.as_fd())
    }

    fn local_addr(&self) -> io::Result<String> {
        Self::local_addr(self).map(|address| format!("http://{address}"))
    }
}

impl Listener for UnixListener {
    type Connection = UnixStream;

    async fn accept(&mut self) -> io::Result<(UnixStream, Option<SocketAddr>)> {
        Self::accept(self).await.map(|(stream, _)| (stream, None))
    }

    fn socket(stream: &UnixStream) -> Option<BorrowedFd<'_>> {
        Some(stream.as_fd())
    }

    fn local_addr(&self) -> io::Result<String> {
        let address = Self::local_addr(self)?;
        Ok(address.as_pathname().map_or_else(
            || "an unnamed Unix socket".to_owned(),
            |path| format!("unix:{}", path.display()),
        ))
    }
}

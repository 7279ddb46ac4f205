//! Where connections come from: TCP, Unix sockets, and whatever else hands connections over.

use std::fmt::Display;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd};

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};

/// A source of connections for [`App::serve`](crate::App::serve).
///
/// `TcpListener` and `UnixListener` of tokio are listeners. Implement it for anything else that accepts connections,
/// such as one that speaks TLS: HTTP/2 is recognised by its first bytes, so ALPN needs nothing more than `h2` among the
/// protocols offered.
///
/// # Examples
///
/// ```
/// use std::{io, net::SocketAddr};
/// use bocadillo::Listener;
/// use tokio::net::{TcpListener, TcpStream};
///
/// /// Logs who comes.
/// struct Watched(TcpListener);
///
/// impl Listener for Watched {
///     type Connection = TcpStream;
///
///     async fn accept(&mut self) -> io::Result<(TcpStream, Option<SocketAddr>)> {
///         let (connection, peer) = self.0.accept().await?;
///         println!("{peer} has come");
///         Ok((connection, Some(peer)))
///     }
///
///     fn address(&self) -> io::Result<String> {
///         Ok(format!("http://{}", self.0.local_addr()?))
///     }
/// }
/// ```
pub trait Listener: Send + 'static {
    /// What a client is talked to over.
    type Connection: AsyncRead + AsyncWrite + Unpin + Send + 'static;

    /// The next connection, and its peer's address where it has one.
    ///
    /// After an error the server waits for a second and asks again, unless the error concerns that connection alone. A
    /// TLS handshake belongs into the connection's first read, not in here: here it would hold up everyone else.
    ///
    /// # Cancel safety
    ///
    /// It must be safe to drop the future before it is ready: no connection may be lost.
    fn accept(
        &mut self,
    ) -> impl Future<Output = io::Result<(Self::Connection, Option<SocketAddr>)>> + Send;

    /// The socket beneath a connection, if there is one. The default is none.
    ///
    /// The server watches it for the peer's leaving, which the kernel tells although bytes stand unread before it, and
    /// resets it when a peer does not read what is to be its last. Without it a peer that has sent bytes and then left
    /// is found when a write fails. A listener that wraps another one's connections hands through what is beneath.
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

    /// What the log calls the place: a URL, where there is one.
    ///
    /// # Errors
    ///
    /// When the socket cannot tell its address.
    fn address(&self) -> io::Result<String>;
}

impl Listener for TcpListener {
    type Connection = TcpStream;

    async fn accept(&mut self) -> io::Result<(TcpStream, Option<SocketAddr>)> {
        let (stream, peer) = Self::accept(self).await?;
        // An event is worth most at once; Nagle's algorithm would hold it back until the last one is acknowledged.
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "TCP_NODELAY could not be set");
        }
        Ok((stream, Some(peer)))
    }

    fn socket(stream: &TcpStream) -> Option<BorrowedFd<'_>> {
        Some(stream.as_fd())
    }

    fn address(&self) -> io::Result<String> {
        self.local_addr().map(|address| url(&address))
    }
}

fn url(address: &impl Display) -> String {
    format!("http://{address}")
}

impl Listener for UnixListener {
    type Connection = UnixStream;

    async fn accept(&mut self) -> io::Result<(UnixStream, Option<SocketAddr>)> {
        Self::accept(self).await.map(|(stream, _)| (stream, None))
    }

    fn socket(stream: &UnixStream) -> Option<BorrowedFd<'_>> {
        Some(stream.as_fd())
    }

    fn address(&self) -> io::Result<String> {
        let address = self.local_addr()?;
        Ok(address.as_pathname().map_or_else(
            || "an unnamed Unix socket".to_owned(),
            |path| format!("unix:{}", path.display()),
        ))
    }
}

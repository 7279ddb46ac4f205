//! Where connections come from: TCP, Unix sockets, and whatever else hands connections over.

use std::fmt::Display;
use std::future::Future;
use std::io;
use std::mem::MaybeUninit;
use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::time::Duration;

use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, Interest};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};

/// After this time without an answer the kernel gives a connection up: it is how a client that vanished is found, and
/// one that stops reading.
const USER_TIMEOUT: Duration = Duration::from_secs(30);

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

    /// Whether the peer has closed the connection or its sending half, as far as is known without waiting. Asked before
    /// each write, so it has to be cheap.
    ///
    /// It is for the one case in which the server does not read: a client that has sent a part of its next request and
    /// then left. A listener that cannot tell says `false`, and such a client is found when a write to it fails.
    fn is_hung_up(_connection: &Self::Connection) -> bool {
        false
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
        #[cfg(any(target_os = "android", target_os = "fuchsia", target_os = "linux"))]
        if let Err(error) = SockRef::from(&stream).set_tcp_user_timeout(Some(USER_TIMEOUT)) {
            tracing::debug!(%error, "TCP_USER_TIMEOUT could not be set");
        }
        Ok((stream, Some(peer)))
    }

    fn is_hung_up(stream: &TcpStream) -> bool {
        ends(stream.try_io(Interest::READABLE, || peek(stream)))
    }

    fn address(&self) -> io::Result<String> {
        self.local_addr().map(|address| url(&address))
    }
}

fn url(address: &impl Display) -> String {
    format!("http://{address}")
}

/// Looks at what there is to read. tokio asks the kernel for it only after the kernel has said that there is something.
fn peek(stream: &impl AsFd) -> io::Result<usize> {
    SockRef::from(stream).peek(&mut [MaybeUninit::uninit()])
}

fn ends(peeked: io::Result<usize>) -> bool {
    match peeked {
        Ok(length) => length == 0,
        Err(error) => error.kind() != io::ErrorKind::WouldBlock,
    }
}

impl Listener for UnixListener {
    type Connection = UnixStream;

    async fn accept(&mut self) -> io::Result<(UnixStream, Option<SocketAddr>)> {
        Self::accept(self).await.map(|(stream, _)| (stream, None))
    }

    fn is_hung_up(stream: &UnixStream) -> bool {
        ends(stream.try_io(Interest::READABLE, || peek(stream)))
    }

    fn address(&self) -> io::Result<String> {
        let address = self.local_addr()?;
        Ok(address.as_pathname().map_or_else(
            || "an unnamed Unix socket".to_owned(),
            |path| format!("unix:{}", path.display()),
        ))
    }
}

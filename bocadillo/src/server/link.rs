//! The wrapper of a connection's socket. hyper reads and writes through it. The future around hyper's asks it whether
//! writes make no progress, whether hyper reads, and whether the client has closed the connection.

use std::io;
use std::mem;
use std::os::fd::BorrowedFd;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Buf, BytesMut};
use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
use tokio::net::UnixStream;
use tokio::time::Instant;

use crate::server::tcp_table;
use crate::server::timeouts::Observer;

/// How many bytes the kernel takes that it cannot send yet.
///
/// It bounds what a client that does not read holds in the kernel. A socket is writable again when half of it has been
/// sent, so a client that reads slowly shows its progress often enough for the write time-out.
const UNSENT: u32 = 64 * 1024;

pub(crate) struct Link<C> {
    state: Mutex<State<C>>,
    socket: fn(&C) -> Option<BorrowedFd<'_>>,
}

struct State<C> {
    connection: C,
    /// Bytes that were read to detect the protocol. hyper reads them first.
    head: BytesMut,
    blocked: Option<Instant>,
    written: u64,
    is_read: bool,
}

/// The state of a connection after hyper has been polled.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LinkView {
    /// Since when the socket has taken nothing of what hyper wants to write.
    pub(crate) blocked: Option<Instant>,
    /// How many bytes the socket has taken.
    pub(crate) written: u64,
    /// Whether hyper waits for bytes of the client. Then it sees the end of the connection by itself.
    pub(crate) is_read: bool,
}

/// hyper's end of the connection. `O` watches the bytes that come in.
pub(crate) struct Io<C, O> {
    link: Arc<Link<C>>,
    observer: O,
}

impl<C> Link<C> {
    /// Makes a link. `head` holds the bytes that have been read from `connection` already.
    pub(crate) fn new(
        head: BytesMut,
        connection: C,
        socket: fn(&C) -> Option<BorrowedFd<'_>>,
    ) -> Arc<Self> {
        #[cfg(any(target_os = "android", target_os = "linux"))]
        if let Some(socket) = socket(&connection) {
            // It fails for what is not TCP, and nothing is lost.
            let _ = SockRef::from(&socket).set_tcp_notsent_lowat(UNSENT);
        }
        Arc::new(Self {
            state: Mutex::new(State {
                connection,
                head,
                blocked: None,
                written: 0,
                is_read: false,
            }),
            socket,
        })
    }

    pub(crate) fn io<O>(self: &Arc<Self>, observer: O) -> Io<C, O> {
        Io {
            link: Arc::clone(self),
            observer,
        }
    }

    fn lock(&self) -> MutexGuard<'_, State<C>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns what has happened since the last call. It is called after each poll of hyper.
    pub(crate) fn view(&self) -> LinkView {
        let mut state = self.lock();
        LinkView {
            blocked: state.blocked,
            written: state.written,
            is_read: mem::take(&mut state.is_read),
        }
    }

    fn with_socket<R>(&self, f: impl FnOnce(BorrowedFd<'_>) -> R) -> Option<R> {
        (self.socket)(&self.lock().connection).map(f)
    }

    /// Makes the kernel close a connection whose client acknowledges nothing, or has no room, for this long.
    pub(crate) fn set_ack_timeout(&self, timeout: Option<Duration>) {
        #[cfg(any(target_os = "android", target_os = "fuchsia", target_os = "linux"))]
        self.with_socket(|socket| {
            // It fails for what is not TCP, and nothing is lost.
            let _ = SockRef::from(&socket).set_tcp_user_timeout(timeout);
        });
    }

    /// The number of the socket in the kernel's table.
    pub(crate) fn inode(&self) -> Option<u64> {
        self.with_socket(tcp_table::inode).flatten()
    }

    /// Makes the kernel discard what it has not sent when the connection is dropped. Otherwise it would keep those bytes
    /// for a client that does not read.
    pub(crate) fn discard(&self) {
        let set =
            self.with_socket(|socket| SockRef::from(&socket).set_linger(Some(Duration::ZERO)));
        if let Some(Err(error)) = set {
            tracing::debug!(%error, "SO_LINGER could not be set");
        }
    }

    /// Returns a future that is ready when the client has closed its side, even if bytes before the end have not been
    /// read. `None` if there is no socket to watch.
    pub(crate) fn hung_up(&self) -> Option<HungUp> {
        // It needs a descriptor of its own, because it waits beside hyper.
        let socket = self.with_socket(|socket| socket.try_clone_to_owned())?;
        match socket.and_then(|socket| UnixStream::from_std(socket.into())) {
            Ok(socket) => Some(Box::pin(async move {
                if let Err(error) = closed(&socket).await {
                    tracing::debug!(%error, "a connection cannot be watched");
                    std::future::pending::<()>().await;
                }
            })),
            Err(error) => {
                tracing::debug!(%error, "a connection cannot be watched");
                None
            }
        }
    }
}

/// Waits until the client has closed its side. The socket can be of any kind: only its readiness is used.
async fn closed(socket: &UnixStream) -> io::Result<()> {
    // On Linux only urgent data and the end wake this. On other systems all bytes wake it.
    #[cfg(any(target_os = "android", target_os = "linux"))]
    const END: Interest = Interest::PRIORITY;
    #[cfg(not(any(target_os = "android", target_os = "linux")))]
    const END: Interest = Interest::READABLE;
    while !socket.ready(END).await?.is_read_closed() {
        // hyper's own reads do not use this readiness.
        let _ = socket.try_io(END, || {
            io::Result::<()>::Err(io::ErrorKind::WouldBlock.into())
        });
    }
    Ok(())
}

pub(crate) type HungUp = Pin<Box<dyn Future<Output = ()> + Send>>;

impl<C> State<C> {
    fn flushed<T>(&mut self, flushed: &Poll<io::Result<T>>) {
        if flushed.is_ready() {
            self.blocked = None;
        } else {
            self.blocked.get_or_insert_with(Instant::now);
        }
    }

    fn wrote(&mut self, written: &Poll<io::Result<usize>>) {
        self.flushed(written);
        if let Poll::Ready(Ok(length)) = written {
            self.written += *length as u64;
        }
    }
}

impl<C: AsyncRead + Unpin> State<C> {
    fn poll_read(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.head.is_empty() {
            let read = Pin::new(&mut self.connection).poll_read(cx, buf);
            self.is_read = read.is_pending();
            return read;
        }
        let length = self.head.len().min(buf.remaining());
        buf.put_slice(&self.head[..length]);
        self.head.advance(length);
        if self.head.is_empty() {
            self.head = BytesMut::new();
            // Reads what follows into the same buffer: hyper would make a larger one for a second read. An error comes
            // again with that read.
            let _ = Pin::new(&mut self.connection).poll_read(cx, buf);
        }
        Poll::Ready(Ok(()))
    }
}

impl<C: AsyncRead + Unpin, O: Observer + Unpin> AsyncRead for Io<C, O> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let read = self.link.lock().poll_read(cx, buf);
        let bytes = buf.filled().get(before..).unwrap_or_default();
        if !bytes.is_empty() {
            self.observer.read(bytes);
        }
        read
    }
}

impl<C: AsyncWrite + Unpin, O: Unpin> AsyncWrite for Io<C, O> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let mut state = self.link.lock();
        let written = Pin::new(&mut state.connection).poll_write(cx, buf);
        state.wrote(&written);
        written
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut state = self.link.lock();
        let flushed = Pin::new(&mut state.connection).poll_flush(cx);
        state.flushed(&flushed);
        flushed
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut state = self.link.lock();
        let closed = Pin::new(&mut state.connection).poll_shutdown(cx);
        state.flushed(&closed);
        closed
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let mut state = self.link.lock();
        let written = Pin::new(&mut state.connection).poll_write_vectored(cx, bufs);
        state.wrote(&written);
        written
    }

    fn is_write_vectored(&self) -> bool {
        self.link.lock().connection.is_write_vectored()
    }
}

#[cfg(test)]
pub(crate) mod tests;

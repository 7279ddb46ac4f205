//! A connection that hyper reads and writes, and that the future around hyper's looks at: whether its writes stand
//! still, whether anybody reads, whether the peer has left.

use std::io;
use std::os::fd::BorrowedFd;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
use tokio::net::UnixStream;
use tokio::time::Instant;

use crate::server::protocol::Rewound;
use crate::server::unanswered;

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
    connection: Rewound<C>,
    blocked: Option<Instant>,
    written: u64,
    is_read: bool,
    ack_timeout: Option<Duration>,
}

/// hyper's end of it.
pub(crate) struct Io<C>(Arc<Link<C>>);

impl<C> Link<C> {
    pub(crate) fn new(
        connection: Rewound<C>,
        socket: fn(&C) -> Option<BorrowedFd<'_>>,
    ) -> Arc<Self> {
        #[cfg(any(target_os = "android", target_os = "linux"))]
        if let Some(socket) = socket(connection.get_ref()) {
            // It fails for what is not TCP, and nothing is lost.
            let _ = SockRef::from(&socket).set_tcp_notsent_lowat(UNSENT);
        }
        Arc::new(Self {
            state: Mutex::new(State {
                connection,
                blocked: None,
                written: 0,
                is_read: false,
                ack_timeout: None,
            }),
            socket,
        })
    }

    pub(crate) fn io(self: &Arc<Self>) -> Io<C> {
        Io(Arc::clone(self))
    }

    fn lock(&self) -> MutexGuard<'_, State<C>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Call it before hyper is polled. [`is_read`](Self::is_read) then tells what happened since.
    pub(crate) fn begin(&self) {
        self.lock().is_read = false;
    }

    /// Whether hyper waits for bytes of the peer, and so would see its leaving.
    pub(crate) fn is_read(&self) -> bool {
        self.lock().is_read
    }

    /// Since when the socket has taken nothing of what hyper wants to write.
    pub(crate) fn blocked(&self) -> Option<Instant> {
        self.lock().blocked
    }

    /// How many bytes the socket has taken.
    pub(crate) fn written(&self) -> u64 {
        self.lock().written
    }

    fn with_socket<R>(&self, f: impl FnOnce(BorrowedFd<'_>) -> R) -> Option<R> {
        (self.socket)(self.lock().connection.get_ref()).map(f)
    }

    /// Makes the kernel give up a peer that acknowledges nothing, or has no room, for this long.
    pub(crate) fn set_ack_timeout(&self, timeout: Option<Duration>) {
        let mut state = self.lock();
        if state.ack_timeout == timeout {
            return;
        }
        state.ack_timeout = timeout;
        #[cfg(any(target_os = "android", target_os = "fuchsia", target_os = "linux"))]
        if let Some(socket) = (self.socket)(state.connection.get_ref()) {
            // It fails for what is not TCP, and nothing is lost.
            let _ = SockRef::from(&socket).set_tcp_user_timeout(timeout);
        }
    }

    /// The number by which the kernel lists the socket.
    pub(crate) fn inode(&self) -> Option<u64> {
        self.with_socket(unanswered::inode).flatten()
    }

    /// Makes the kernel discard what has not been sent once the connection is dropped. Otherwise it would keep those
    /// bytes for a peer that does not read.
    pub(crate) fn discard(&self) {
        let set =
            self.with_socket(|socket| SockRef::from(&socket).set_linger(Some(Duration::ZERO)));
        if let Some(Err(error)) = set {
            tracing::debug!(%error, "SO_LINGER could not be set");
        }
    }

    /// Ready once the peer has closed its side, even if bytes before the end are unread. `None` when there is no socket to
    /// watch.
    pub(crate) fn hung_up(&self) -> Option<HungUp> {
        // A descriptor of its own, because it waits beside hyper, and only while hyper does not read.
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

/// Waits for the peer's end. The type stands for a socket of any kind: nothing but its readiness is asked for.
async fn closed(socket: &UnixStream) -> io::Result<()> {
    // On Linux urgent data and the end alone wake this. Elsewhere each arrival of bytes does.
    #[cfg(any(target_os = "android", target_os = "linux"))]
    const END: Interest = Interest::PRIORITY;
    #[cfg(not(any(target_os = "android", target_os = "linux")))]
    const END: Interest = Interest::READABLE;
    while !socket.ready(END).await?.is_read_closed() {
        // Its reader has a readiness of its own.
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

impl<C: AsyncRead + Unpin> AsyncRead for Io<C> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let mut state = self.0.lock();
        let read = Pin::new(&mut state.connection).poll_read(cx, buf);
        state.is_read = read.is_pending();
        read
    }
}

impl<C: AsyncWrite + Unpin> AsyncWrite for Io<C> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let mut state = self.0.lock();
        let written = Pin::new(&mut state.connection).poll_write(cx, buf);
        state.wrote(&written);
        written
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut state = self.0.lock();
        let flushed = Pin::new(&mut state.connection).poll_flush(cx);
        state.flushed(&flushed);
        flushed
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut state = self.0.lock();
        let closed = Pin::new(&mut state.connection).poll_shutdown(cx);
        state.flushed(&closed);
        closed
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let mut state = self.0.lock();
        let written = Pin::new(&mut state.connection).poll_write_vectored(cx, bufs);
        state.wrote(&written);
        written
    }

    fn is_write_vectored(&self) -> bool {
        self.0.lock().connection.is_write_vectored()
    }
}

//! A connection to Redis. It is closed if no byte arrives or leaves for too long, not if an answer takes long.

use std::future::Future;
use std::io;
use std::mem::MaybeUninit;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client, ConnectionAddr, ErrorKind, RedisError};
use socket2::{SockRef, Socket};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream};
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::sync::{CancellationToken, DropGuard};

use super::settings::Server;

type Result<T> = std::result::Result<T, RedisError>;

/// The time-out for connecting.
const CONNECTING: Duration = Duration::from_secs(2);

/// The time-out without a byte while an answer is due.
const SILENCE: Duration = Duration::from_secs(5);

/// The maximum number of unsent bytes in the kernel. So the progress of a slow upload is noticed.
#[cfg(any(target_os = "linux", target_os = "android"))]
const UNSEEN: u32 = 64 * 1024;

/// After this idle time, a connection is pinged before it is used.
const IDLE: Duration = Duration::from_millis(500);

#[derive(Clone)]
pub(super) struct Connection {
    /// Send commands through [`Connection::answer`].
    pub(super) multiplexed: MultiplexedConnection,
    meter: Arc<Meter>,
    /// The same socket, to check whether the server has closed it.
    socket: Arc<Socket>,
    /// Ends the task of the connection when the last clone is dropped.
    _task: Arc<DropGuard>,
}

/// When bytes last arrived or left.
struct Meter {
    since: Instant,
    /// Milliseconds after `since`.
    last: AtomicU64,
    is_closed: AtomicBool,
}

impl Meter {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            since: Instant::now(),
            last: AtomicU64::new(0),
            is_closed: AtomicBool::new(false),
        })
    }

    fn mark(&self) {
        let now = u64::try_from(self.since.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.last.store(now, Ordering::Relaxed);
    }

    fn last(&self) -> Instant {
        self.since + Duration::from_millis(self.last.load(Ordering::Relaxed))
    }
}

impl Connection {
    pub(super) async fn connect(server: &Server) -> Result<Self> {
        timeout(CONNECTING, Self::open(server))
            .await
            .map_err(|_| timed_out("Redis does not answer to a new connection"))?
    }

    async fn open(Server { client, tls }: &Server) -> Result<Self> {
        let meter = Meter::new();
        match client.get_connection_info().addr() {
            ConnectionAddr::Tcp(host, port) => {
                let stream = TcpStream::connect((host.as_str(), *port)).await?;
                stream.set_nodelay(true)?;
                #[cfg(any(target_os = "linux", target_os = "android"))]
                SockRef::from(&stream).set_tcp_notsent_lowat(UNSEEN)?;
                let socket = SockRef::from(&stream).try_clone()?;
                let stream = Metered::new(stream, &meter);
                match tls {
                    Some(tls) => {
                        let stream = tls.connect(host, stream).await?;
                        Self::over(client, stream, socket, meter).await
                    }
                    None => Self::over(client, stream, socket, meter).await,
                }
            }
            ConnectionAddr::Unix(path) => {
                let stream = UnixStream::connect(path).await?;
                let socket = SockRef::from(&stream).try_clone()?;
                let stream = Metered::new(stream, &meter);
                Self::over(client, stream, socket, meter).await
            }
            _ => Err((
                ErrorKind::InvalidClientConfig,
                "it is neither a TCP address nor a Unix socket",
            )
                .into()),
        }
    }

    async fn over(
        client: &Client,
        stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
        socket: Socket,
        meter: Arc<Meter>,
    ) -> Result<Self> {
        let settings = client.get_connection_info().redis_settings();
        let config = AsyncConnectionConfig::new().set_response_timeout(None);
        let (multiplexed, driver) =
            MultiplexedConnection::new_with_config(settings, stream, config).await?;
        let ended = CancellationToken::new();
        let guard = ended.clone().drop_guard();
        let closing = Arc::clone(&meter);
        tokio::spawn(async move {
            ended.run_until_cancelled(driver).await;
            closing.is_closed.store(true, Ordering::Relaxed);
        });
        Ok(Self {
            multiplexed,
            meter,
            socket: Arc::new(socket),
            _task: Arc::new(guard),
        })
    }

    /// Waits for an answer as long as bytes arrive or leave, and `patience` longer.
    pub(super) async fn answer<T>(
        &self,
        patience: Duration,
        asking: impl Future<Output = Result<T>>,
    ) -> Result<T> {
        let mut asking = pin!(asking);
        let asked = Instant::now();
        loop {
            let deadline = asked.max(self.meter.last()) + SILENCE + patience;
            tokio::select! {
                biased;
                answer = &mut asking => {
                    self.meter.mark();
                    return answer;
                }
                () = sleep_until(deadline) => {
                    if asked.max(self.meter.last()) + SILENCE + patience <= Instant::now() {
                        return Err(timed_out("Redis has not sent anything for too long"));
                    }
                }
            }
        }
    }

    pub(super) fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.meter, &other.meter)
    }

    pub(super) async fn ping(&self) -> Result<()> {
        let mut multiplexed = self.multiplexed.clone();
        let ping = async move { redis::cmd("PING").query_async(&mut multiplexed).await };
        self.answer(Duration::ZERO, ping).await
    }

    /// Checks whether the connection works. A connection that was idle is pinged. After an error the command is not sent, so it
    /// is certain that it was not executed.
    pub(super) async fn check(&self) -> Result<()> {
        if self.meter.is_closed.load(Ordering::Relaxed) || is_closed(&self.socket) {
            return Err(io::Error::from(io::ErrorKind::BrokenPipe).into());
        }
        if self.meter.last().elapsed() < IDLE {
            return Ok(());
        }
        self.ping().await
    }
}

/// Whether the server has closed the connection. Does not wait.
fn is_closed(socket: &Socket) -> bool {
    match socket.peek(&mut [MaybeUninit::uninit()]) {
        Ok(length) => length == 0,
        Err(error) => error.kind() != io::ErrorKind::WouldBlock,
    }
}

fn timed_out(why: &'static str) -> RedisError {
    (ErrorKind::Io, why).into()
}

/// A stream that tells the meter when bytes arrive or leave.
struct Metered<S> {
    stream: S,
    meter: Arc<Meter>,
}

impl<S> Metered<S> {
    fn new(stream: S, meter: &Arc<Meter>) -> Self {
        Self {
            stream,
            meter: Arc::clone(meter),
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Metered<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = ready!(Pin::new(&mut self.stream).poll_read(cx, buffer));
        if read.is_err() || buffer.filled().len() == before {
            self.meter.is_closed.store(true, Ordering::Relaxed);
        } else {
            self.meter.mark();
        }
        Poll::Ready(read)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Metered<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = ready!(Pin::new(&mut self.stream).poll_write(cx, bytes));
        match &written {
            Ok(1..) => self.meter.mark(),
            _ => self.meter.is_closed.store(true, Ordering::Relaxed),
        }
        Poll::Ready(written)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::super::settings::Redis;
    use super::*;

    fn server(url: &str) -> Server {
        Server::try_from(Redis::new(url)).unwrap()
    }

    /// A connection, and the server's end of it.
    async fn connected() -> (Connection, UnixStream) {
        let Server { client, .. } = server("redis://127.0.0.1/");
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        let socket = SockRef::from(&ours).try_clone().unwrap();
        let meter = Meter::new();
        let ours = Metered::new(ours, &meter);
        let (connection, ()) = tokio::join!(
            Connection::over(&client, ours, socket, meter),
            greet(&mut theirs)
        );
        (connection.unwrap(), theirs)
    }

    /// Answers what a new connection says: `CLIENT SETINFO`, twice.
    async fn greet(theirs: &mut (impl AsyncRead + AsyncWrite + Unpin)) {
        let mut bytes = Vec::new();
        while bytes.windows(7).filter(|seven| seven == b"SETINFO").count() < 2 {
            theirs.read_buf(&mut bytes).await.unwrap();
        }
        theirs.write_all(b"+OK\r\n+OK\r\n").await.unwrap();
    }

    #[tokio::test]
    async fn a_silent_connection_is_closed_after_five_seconds() {
        let (connection, _theirs) = connected().await;
        tokio::time::pause();
        for patience in [0, 2] {
            let patience = Duration::from_secs(patience);
            let silent = std::future::pending::<Result<()>>();
            let start = Instant::now();
            assert!(connection.answer(patience, silent).await.is_err());
            let waited = start.elapsed() - patience;
            assert!((4_900..5_100).contains(&waited.as_millis()), "{waited:?}");
        }
    }

    #[tokio::test]
    async fn a_slow_answer_is_waited_for() {
        let (connection, mut theirs) = connected().await;
        tokio::time::pause();
        let answers = async {
            for byte in b"$10\r\n0123456789\r\n" {
                tokio::time::sleep(Duration::from_secs(4)).await;
                theirs.write_all(&[*byte]).await.unwrap();
            }
            theirs
        };
        let (pinged, _theirs) = tokio::join!(connection.ping(), answers);
        pinged.unwrap();
    }

    #[tokio::test]
    async fn an_idle_connection_is_pinged_and_a_closed_one_is_noticed() {
        let (connection, mut theirs) = connected().await;
        tokio::time::pause();
        connection.meter.mark();
        tokio::time::advance(Duration::from_millis(499)).await;
        // A ping would get no answer.
        connection.check().await.unwrap();
        tokio::time::advance(Duration::from_millis(2)).await;
        let answers = async {
            let mut bytes = [0; 64];
            let read = timeout(Duration::from_secs(1), theirs.read(&mut bytes)).await;
            let length = read.expect("it is pinged").unwrap();
            assert!(bytes[..length].ends_with(b"PING\r\n"));
            theirs.write_all(b"+PONG\r\n").await.unwrap();
            theirs
        };
        let (checked, theirs) = tokio::join!(connection.check(), answers);
        checked.unwrap();
        drop(theirs);
        assert!(connection.check().await.is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn connecting_to_a_server_that_does_not_answer_ends_after_two_seconds() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        for scheme in ["redis", "rediss"] {
            let start = Instant::now();
            let connected = Connection::connect(&server(&format!("{scheme}://{address}/"))).await;
            assert!(connected.is_err());
            let waited = start.elapsed();
            assert!((1_900..2_100).contains(&waited.as_millis()), "{waited:?}");
        }
    }

    #[tokio::test]
    #[cfg(any(target_os = "linux", target_os = "android"))]
    async fn the_send_buffer_of_the_kernel_is_small() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let server = server(&format!("redis://{}/", listener.local_addr().unwrap()));
        let (connection, theirs) = tokio::join!(Connection::connect(&server), async {
            let (mut theirs, _) = listener.accept().await.unwrap();
            greet(&mut theirs).await;
            theirs
        });
        let connection = connection.unwrap();
        assert_eq!(connection.socket.tcp_notsent_lowat().unwrap(), 64 * 1024);
        drop(theirs);
    }
}

//! One connection to Redis. It is given up when nothing arrives or leaves for too long, not when an answer takes long.

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

type Result<T> = std::result::Result<T, RedisError>;

/// How long connecting may take.
const CONNECTING: Duration = Duration::from_secs(2);

/// How long a connection may be silent while an answer is due.
const SILENCE: Duration = Duration::from_secs(5);

/// The same over TLS, where only whole answers show that the connection works.
const SILENCE_OVER_TLS: Duration = Duration::from_secs(30);

/// How long a connection may have been idle and still be used without a ping first.
const IDLE: Duration = Duration::from_millis(500);

#[derive(Clone)]
pub(super) struct Line {
    /// Send commands through [`Line::answer`].
    pub(super) connection: MultiplexedConnection,
    meter: Arc<Meter>,
    silence: Duration,
    /// The same socket again, to see at once that the server has closed it.
    socket: Option<Arc<Socket>>,
    /// Ends the task of the connection with the last clone.
    _task: Option<Arc<DropGuard>>,
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

impl Line {
    pub(super) async fn connect(client: &Client) -> Result<Self> {
        timeout(CONNECTING, Self::open(client))
            .await
            .map_err(|_| timed_out("Redis does not answer to a new connection"))?
    }

    async fn open(client: &Client) -> Result<Self> {
        let info = client.get_connection_info();
        match info.addr() {
            ConnectionAddr::Tcp(host, port) => {
                let stream = TcpStream::connect((host.as_str(), *port)).await?;
                stream.set_nodelay(true)?;
                // So that a slow upload shows as progress, and does not wait unseen in the kernel.
                #[cfg(any(target_os = "linux", target_os = "android"))]
                SockRef::from(&stream).set_tcp_notsent_lowat(64 * 1024)?;
                let socket = SockRef::from(&stream).try_clone()?;
                Self::over(client, stream, socket).await
            }
            ConnectionAddr::Unix(path) => {
                let stream = UnixStream::connect(path).await?;
                let socket = SockRef::from(&stream).try_clone()?;
                Self::over(client, stream, socket).await
            }
            _ => {
                let config = config().set_connection_timeout(Some(CONNECTING));
                let connection = client
                    .get_multiplexed_async_connection_with_config(&config)
                    .await?;
                Ok(Self {
                    connection,
                    meter: Meter::new(),
                    silence: SILENCE_OVER_TLS,
                    socket: None,
                    _task: None,
                })
            }
        }
    }

    async fn over(
        client: &Client,
        stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
        socket: Socket,
    ) -> Result<Self> {
        let meter = Meter::new();
        let metered = Metered {
            stream,
            meter: Arc::clone(&meter),
        };
        let settings = client.get_connection_info().redis_settings();
        let (connection, driver) =
            MultiplexedConnection::new_with_config(settings, metered, config()).await?;
        let ended = CancellationToken::new();
        let guard = ended.clone().drop_guard();
        let closing = Arc::clone(&meter);
        tokio::spawn(async move {
            ended.run_until_cancelled(driver).await;
            closing.is_closed.store(true, Ordering::Relaxed);
        });
        Ok(Self {
            connection,
            meter,
            silence: SILENCE,
            socket: Some(Arc::new(socket)),
            _task: Some(Arc::new(guard)),
        })
    }

    /// Waits for an answer for as long as the connection shows signs of life, and `patience` longer.
    pub(super) async fn answer<T>(
        &self,
        patience: Duration,
        asking: impl Future<Output = Result<T>>,
    ) -> Result<T> {
        let mut asking = pin!(asking);
        let asked = Instant::now();
        loop {
            let deadline = asked.max(self.meter.last()) + self.silence + patience;
            tokio::select! {
                biased;
                answer = &mut asking => {
                    self.meter.mark();
                    return answer;
                }
                () = sleep_until(deadline) => {
                    if asked.max(self.meter.last()) + self.silence + patience <= Instant::now() {
                        return Err(timed_out("nothing has come from Redis for too long"));
                    }
                }
            }
        }
    }

    pub(super) fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.meter, &other.meter)
    }

    pub(super) async fn ping(&self) -> Result<()> {
        let mut connection = self.connection.clone();
        let ping = async move { redis::cmd("PING").query_async(&mut connection).await };
        self.answer(Duration::ZERO, ping).await
    }

    /// Whether the connection works, as far as can be told: one that was idle is asked. A command that is not sent after an error is
    /// certainly not executed.
    pub(super) async fn check(&self) -> Result<()> {
        if self.meter.is_closed.load(Ordering::Relaxed)
            || self.socket.as_deref().is_some_and(is_closed)
        {
            return Err(io::Error::from(io::ErrorKind::BrokenPipe).into());
        }
        if self.meter.last().elapsed() < IDLE {
            return Ok(());
        }
        self.ping().await
    }
}

/// Whether the server has closed the connection, without waiting.
fn is_closed(socket: &Socket) -> bool {
    match socket.peek(&mut [MaybeUninit::uninit()]) {
        Ok(length) => length == 0,
        Err(error) => error.kind() != io::ErrorKind::WouldBlock,
    }
}

fn config() -> AsyncConnectionConfig {
    AsyncConnectionConfig::new().set_response_timeout(None)
}

fn timed_out(why: &'static str) -> RedisError {
    (ErrorKind::Io, why).into()
}

/// A stream that tells the meter what passes.
struct Metered<S> {
    stream: S,
    meter: Arc<Meter>,
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

    use super::*;

    /// A connection, and the server's end of it.
    async fn connected() -> (Line, UnixStream) {
        let client = Client::open("redis://127.0.0.1/").unwrap();
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        let socket = SockRef::from(&ours).try_clone().unwrap();
        let greeted = async {
            // `CLIENT SETINFO`, twice.
            let mut bytes = Vec::new();
            while bytes.windows(7).filter(|seven| seven == b"SETINFO").count() < 2 {
                theirs.read_buf(&mut bytes).await.unwrap();
            }
            theirs.write_all(b"+OK\r\n+OK\r\n").await.unwrap();
        };
        let (line, ()) = tokio::join!(Line::over(&client, ours, socket), greeted);
        (line.unwrap(), theirs)
    }

    #[tokio::test]
    async fn a_connection_that_is_silent_is_given_up() {
        let (line, _theirs) = connected().await;
        tokio::time::pause();
        let start = Instant::now();
        assert!(line.ping().await.is_err());
        assert!(start.elapsed() < SILENCE * 2, "{:?}", start.elapsed());
    }

    #[tokio::test]
    async fn a_slow_answer_is_waited_for() {
        let (line, mut theirs) = connected().await;
        tokio::time::pause();
        let answers = async {
            for byte in b"$10\r\n0123456789\r\n" {
                tokio::time::sleep(SILENCE - Duration::from_secs(1)).await;
                theirs.write_all(&[*byte]).await.unwrap();
            }
            theirs
        };
        let (pinged, _theirs) = tokio::join!(line.ping(), answers);
        pinged.unwrap();
    }

    #[tokio::test]
    async fn a_connection_that_was_idle_is_pinged_and_a_closed_one_is_seen() {
        let (line, mut theirs) = connected().await;
        line.check().await.unwrap();
        tokio::time::pause();
        tokio::time::advance(IDLE).await;
        let answers = async {
            let mut bytes = [0; 64];
            let length = theirs.read(&mut bytes).await.unwrap();
            assert!(bytes[..length].ends_with(b"PING\r\n"));
            theirs.write_all(b"+PONG\r\n").await.unwrap();
            theirs
        };
        let (checked, theirs) = tokio::join!(line.check(), answers);
        checked.unwrap();
        drop(theirs);
        assert!(line.check().await.is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn connecting_to_a_server_that_does_not_answer_ends() {
        let server = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("redis://{}/", server.local_addr().unwrap());
        let start = Instant::now();
        assert!(Line::connect(&Client::open(url).unwrap()).await.is_err());
        assert!(start.elapsed() <= CONNECTING * 2, "{:?}", start.elapsed());
    }
}

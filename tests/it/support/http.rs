//! HTTP clients: one that writes the bytes of HTTP/1 itself, and hyper for both protocols.

use std::fmt;
use std::io;
use std::net::SocketAddr;

use bytes::Bytes;
use futures_util::stream;
use http::{HeaderMap, Method, Request, StatusCode, Version};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Empty, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::mpsc;

use super::wait;

pub(crate) type RequestBody = BoxBody<Bytes, io::Error>;

pub(crate) fn empty() -> RequestBody {
    Empty::new().map_err(|never| match never {}).boxed()
}

pub(crate) fn full(body: impl Into<Bytes>) -> RequestBody {
    Full::new(body.into())
        .map_err(|never| match never {})
        .boxed()
}

/// A body that is sent in pieces. Dropping the sender ends it. An error cuts it off.
pub(crate) fn pieces() -> (mpsc::UnboundedSender<io::Result<&'static str>>, RequestBody) {
    let (sender, mut receiver) = mpsc::unbounded_channel();
    let frames = stream::poll_fn(move |cx| {
        let piece = receiver.poll_recv(cx);
        piece.map(|piece| {
            piece.map(|text: io::Result<&'static str>| text.map(|text| Frame::data(text.into())))
        })
    });
    (sender, BodyExt::boxed(StreamBody::new(frames)))
}

/// The first bytes that a client of HTTP/2 sends.
pub(crate) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// A connection whose bytes the test writes and reads itself.
#[derive(Debug)]
pub(crate) struct Raw<C = TcpStream> {
    pub(crate) connection: C,
    /// Bytes that were read from the socket and that no call has returned yet.
    unread: Vec<u8>,
}

impl Raw {
    pub(crate) async fn connect(address: SocketAddr) -> Self {
        Self::over(
            TcpStream::connect(address)
                .await
                .expect("the server listens"),
        )
    }

    /// Opens a connection, sends `bytes`, and reads until the server closes the connection.
    pub(crate) async fn exchange(address: SocketAddr, bytes: impl AsRef<[u8]>) -> String {
        let mut raw = Self::connect(address).await;
        raw.send(bytes).await;
        raw.rest().await
    }
}

impl<C: AsyncRead + AsyncWrite + Unpin> Raw<C> {
    pub(crate) fn over(connection: C) -> Self {
        Self {
            connection,
            unread: Vec::new(),
        }
    }

    pub(crate) async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        let sent = self.connection.write_all(bytes.as_ref());
        wait::within("the server to take bytes", sent)
            .await
            .expect("the connection is open");
    }

    /// Reads up to and including `mark`.
    #[track_caller]
    pub(crate) fn until(&mut self, mark: &str) -> impl Future<Output = String> {
        let what = format!("{mark:?} from the server");
        async move {
            loop {
                if let Some(at) = find(&self.unread, mark.as_bytes()) {
                    let rest = self.unread.split_off(at + mark.len());
                    return text(std::mem::replace(&mut self.unread, rest));
                }
                let read = self.connection.read_buf(&mut self.unread);
                let read = wait::within(&what, read).await;
                if !matches!(read, Ok(1..)) {
                    panic!(
                        "waited for {what}: {read:?} after {:?}",
                        text(self.unread.clone())
                    );
                }
            }
        }
    }

    /// Closes the sending half of the connection.
    pub(crate) async fn end(&mut self) {
        self.connection
            .shutdown()
            .await
            .expect("the connection is open");
    }

    /// Reads until the server closes or resets the connection.
    pub(crate) async fn rest(&mut self) -> String {
        loop {
            let read = self.connection.read_buf(&mut self.unread);
            match wait::within("the server to close the connection", read).await {
                Ok(1..) => {}
                // If the server closes the socket before it has read all of our bytes, the kernel sends a reset.
                Ok(0) | Err(_) => return text(std::mem::take(&mut self.unread)),
            }
        }
    }
}

fn find(bytes: &[u8], mark: &[u8]) -> Option<usize> {
    bytes.windows(mark.len()).position(|window| window == mark)
}

fn text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).expect("the server writes UTF-8 here")
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Protocol {
    Http1,
    Http2,
}

pub(crate) const BOTH: [Protocol; 2] = [Protocol::Http1, Protocol::Http2];

/// A connection of hyper. It closes when it and all of its responses are dropped.
pub(crate) struct Connection {
    sender: Sender,
    authority: String,
}

enum Sender {
    Http1(http1::SendRequest<RequestBody>),
    Http2(http2::SendRequest<RequestBody>),
}

impl Connection {
    pub(crate) async fn open(protocol: Protocol, address: SocketAddr) -> Self {
        let connection = TcpStream::connect(address)
            .await
            .expect("the server listens");
        Self::over(protocol, connection, &address.to_string()).await
    }

    pub(crate) async fn over<C>(protocol: Protocol, connection: C, authority: &str) -> Self
    where
        C: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let io = TokioIo::new(connection);
        let sender = match protocol {
            Protocol::Http1 => {
                let (sender, driver) = http1::handshake(io).await.expect("nothing is sent yet");
                tokio::spawn(driver);
                Sender::Http1(sender)
            }
            Protocol::Http2 => {
                let (sender, driver) = http2::handshake(TokioExecutor::new(), io)
                    .await
                    .expect("the server speaks HTTP/2");
                tokio::spawn(driver);
                Sender::Http2(sender)
            }
        };
        Self {
            sender,
            authority: authority.to_owned(),
        }
    }

    pub(crate) async fn get(&mut self, path: &str) -> Reply {
        self.send(Method::GET, path, &[], empty()).await
    }

    pub(crate) async fn send(
        &mut self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: RequestBody,
    ) -> Reply {
        self.try_send(method, path, headers, body)
            .await
            .expect("the server answers")
    }

    pub(crate) async fn try_send(
        &mut self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: RequestBody,
    ) -> hyper::Result<Reply> {
        let mut request = Request::builder().method(method);
        request = match self.sender {
            Sender::Http1(_) => request.uri(path).header("host", &self.authority),
            Sender::Http2(_) => request.uri(format!("http://{}{path}", self.authority)),
        };
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(body).expect("the test makes a valid request");
        let response = match &mut self.sender {
            Sender::Http1(sender) => {
                wait::within("the connection to be free", sender.ready()).await?;
                wait::within("a response", sender.send_request(request)).await?
            }
            Sender::Http2(sender) => {
                wait::within("the connection to be free", sender.ready()).await?;
                wait::within("a response", sender.send_request(request)).await?
            }
        };
        let (head, body) = response.into_parts();
        Ok(Reply {
            status: head.status,
            version: head.version,
            headers: head.headers,
            body,
            unread: String::new(),
        })
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection")
            .field("authority", &self.authority)
            .finish_non_exhaustive()
    }
}

/// Sends one request on a new connection.
pub(crate) async fn get(protocol: Protocol, address: SocketAddr, path: &str) -> Reply {
    Connection::open(protocol, address).await.get(path).await
}

/// A response whose body has not been read. Dropping it disconnects the client.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: StatusCode,
    pub(crate) version: Version,
    pub(crate) headers: HeaderMap,
    body: Incoming,
    unread: String,
}

impl Reply {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        Some(self.headers.get(name)?.to_str().expect("a header of text"))
    }

    /// Reads up to and including `mark`. With `"\n\n"` it returns one event and everything before it.
    pub(crate) async fn until(&mut self, mark: &str) -> String {
        loop {
            if let Some(at) = self.unread.find(mark) {
                let rest = self.unread.split_off(at + mark.len());
                return std::mem::replace(&mut self.unread, rest);
            }
            let more = self.more(&format!("{mark:?} in the body")).await;
            assert!(
                matches!(more, Ok(true)),
                "the body ended with {more:?} before {mark:?}, after {:?}",
                self.unread
            );
        }
    }

    /// Reads the rest of the body as text. The body has to end without an error.
    pub(crate) async fn text(mut self) -> String {
        while self
            .more("the body's end")
            .await
            .expect("the body ends in order")
        {}
        self.unread
    }

    /// Reads to the end of the body. Returns what was read, and whether the body ended with an error.
    pub(crate) async fn end(mut self) -> (String, hyper::Result<()>) {
        loop {
            match self.more("the body's end").await {
                Ok(true) => {}
                Ok(false) => return (self.unread, Ok(())),
                Err(error) => return (self.unread, Err(error)),
            }
        }
    }

    pub(crate) async fn json(self) -> serde_json::Value {
        let text = self.text().await;
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error} in {text:?}"))
    }

    /// Reads the rest of the body as bytes.
    pub(crate) async fn bytes(self) -> Bytes {
        let body = wait::within("the body's end", self.body.collect()).await;
        body.expect("the body ends in order").to_bytes()
    }

    /// Reads the next frame of the body as bytes.
    pub(crate) async fn frame(&mut self) -> Bytes {
        let frame = wait::within("a piece of the body", self.body.frame()).await;
        let frame = frame
            .expect("the body has another frame")
            .expect("the body is not cut");
        frame.into_data().expect("no trailers are sent")
    }

    /// Returns the text that was read but not returned yet, or else the next frame. `None` means that the body has
    /// ended or was cut off.
    pub(crate) async fn chunk(&mut self) -> Option<String> {
        if self.unread.is_empty() && !matches!(self.more("more of the body").await, Ok(true)) {
            return None;
        }
        Some(std::mem::take(&mut self.unread))
    }

    async fn more(&mut self, what: &str) -> hyper::Result<bool> {
        let Some(frame) = wait::within(what, self.body.frame()).await else {
            return Ok(false);
        };
        if let Ok(data) = frame?.into_data() {
            let text =
                std::str::from_utf8(&data).expect("no frame of this test splits a character");
            self.unread.push_str(text);
        }
        Ok(true)
    }
}

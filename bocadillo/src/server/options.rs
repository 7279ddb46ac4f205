//! The time-outs of a `Server`.

use std::time::Duration;

use crate::server::Server;

impl Server {
    /// Sets how long a client may take to send the head of a request. The default is 10 seconds.
    ///
    /// The time begins with the head's first byte. For the first request of a connection it begins with the connection,
    /// and in HTTP/2 the client also has to send its SETTINGS within it. A connection on which a head takes longer is
    /// closed.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    /// use bocadillo::{App, Server};
    ///
    /// let server = Server::new(App::new()).header_timeout(Duration::from_secs(3));
    /// ```
    pub fn header_timeout(mut self, timeout: Duration) -> Self {
        self.timeouts.header = timeout;
        self
    }

    /// Sets how long a connection stays open between two requests. The default is 75 seconds.
    ///
    /// The time begins when the response has been written, and ends with the first byte of the next request. In HTTP/2
    /// it is the time without an open stream.
    ///
    /// Behind a proxy that keeps connections open, set it to more than the proxy's own idle time. Otherwise a request
    /// can meet a connection that is being closed, and the proxy answers 502. nginx and the load balancers of AWS close
    /// after 60 seconds by default.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    /// use bocadillo::{App, Server};
    ///
    /// let server = Server::new(App::new()).idle_timeout(Duration::from_secs(120));
    /// ```
    pub fn idle_timeout(mut self, timeout: Duration) -> Self {
        self.timeouts.idle = timeout;
        self
    }

    /// Sets how long a client may be silent while the server waits for the body of its request. The default is 30
    /// seconds.
    ///
    /// Only time in which the handler waits for more of the body counts. The time is a budget: waiting uses it up, and
    /// each byte of the client gives a part of it back, as [`min_body_rate`](Self::min_body_rate) says.
    ///
    /// If the time is over before the handler has answered, the answer is 408, and the connection is closed. A handler
    /// that reads the body by itself sees an error, an [`io::Error`](std::io::Error) of the kind `TimedOut`. Its answer
    /// stays if it is not an error. From the start of a shutdown, the time is at most 2 seconds.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    /// use bocadillo::{App, Server};
    ///
    /// let server = Server::new(App::new()).body_timeout(Duration::from_secs(5));
    /// ```
    pub fn body_timeout(mut self, timeout: Duration) -> Self {
        self.timeouts.body = timeout;
        self
    }

    /// Sets how many bytes a second a client has to send of a request's body. The default is 240.
    ///
    /// A client that is slower uses up its [`body_timeout`](Self::body_timeout). With the defaults, each 240 bytes give
    /// a second back, up to 30 seconds, and a client that sends one byte every 29 seconds is refused after 30. With 0
    /// each byte gives the whole time back. Such a body may then come for ever, and in a shutdown until the
    /// [`shutdown_timeout`](Self::shutdown_timeout).
    ///
    /// In HTTP/2 bytes count when their frame is complete: with frames of 16 KiB, the slowest rate is 546 bytes a second.
    ///
    /// # Examples
    ///
    /// ```
    /// use bocadillo::{App, Server};
    ///
    /// // Clients that send an event now and then, in one long request.
    /// let server = Server::new(App::new()).min_body_rate(0);
    /// ```
    pub fn min_body_rate(mut self, bytes_per_second: u32) -> Self {
        self.timeouts.min_body_rate = bytes_per_second;
        self
    }

    /// Sets how long a client of a stream may acknowledge nothing before its connection is cut. The default is 30
    /// seconds.
    ///
    /// It finds clients whose network or power is gone. A client that is paused still acknowledges: for it there is
    /// [`write_timeout`](crate::StreamOptions::write_timeout). It works for HTTP/1 over TCP on Linux. In HTTP/2 a client
    /// that does not answer a ping is cut after 30 seconds.
    ///
    /// Where a paused client may stay longer than this time, the server reads the kernel's list of TCP sockets. A
    /// blocking thread reads it, at most once in a sixteenth of this time, for all connections together. With 10,000
    /// sockets a reading takes tens of milliseconds.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    /// use bocadillo::{App, Server};
    ///
    /// let server = Server::new(App::new()).ack_timeout(Duration::from_secs(10));
    /// ```
    pub fn ack_timeout(mut self, timeout: Duration) -> Self {
        self.write_timeouts.ack = timeout;
        self
    }

    /// Sets how long a client may take to read the end of a stream that the server has decided to end: by its
    /// [lifetime](crate::StreamOptions::max_lifetime), by a shutdown, or by the policy of a topic. The default is 500
    /// milliseconds.
    ///
    /// The stream's source is released at the decision. If a client does not read the end within this time, its
    /// connection is cut, or its stream is reset in HTTP/2. There, an event stream that its lifetime or a policy has ended
    /// has an empty comment as its last line, which shows whether the client's window has room.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    /// use bocadillo::{App, Server};
    ///
    /// let server = Server::new(App::new()).end_timeout(Duration::from_secs(2));
    /// ```
    pub fn end_timeout(mut self, timeout: Duration) -> Self {
        self.write_timeouts.end = timeout;
        self
    }

    /// Sets how long a shutdown waits for requests under way and for clean-ups. The default is 20 seconds.
    ///
    /// Keep it below what the platform grants between SIGTERM and SIGKILL (30 seconds on Kubernetes, 10 with Docker).
    /// The shutdown does not wait for streams: they end at once. A client that still has to send a part of a head, or in
    /// HTTP/2 has to answer the end of the connection, has 2 seconds. A request whose body is still coming is refused
    /// when its client is silent for 2 seconds, or slower than [`min_body_rate`](Self::min_body_rate).
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    /// use bocadillo::{App, Server};
    ///
    /// let server = Server::new(App::new()).shutdown_timeout(Duration::from_secs(8));
    /// ```
    pub fn shutdown_timeout(mut self, timeout: Duration) -> Self {
        self.shutdown_timeout = timeout;
        self
    }
}

//! `StreamOptions`: the options of one stream, or the defaults of many.

mod setting;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use crate::error::Error;
use crate::event::{ServerEvent, wire};
use crate::stream::keep_alive::KeepAlive;

use setting::Setting;

/// How long the client of an event stream may take nothing.
const WRITE_TIMEOUT: Duration = Duration::from_secs(30);
const KEEP_ALIVE: Duration = Duration::from_secs(15);
const CLEANUP_TIMEOUT: Duration = Duration::from_secs(30);

/// The options of a stream: keep-alive, retry, lifetime, time-outs and errors.
///
/// Use it for one stream, or for the defaults of all streams. An option that is set in one place of this list overrides
/// the places below it:
///
/// 1. [`EventStream::with`](crate::EventStream::with), and the options of the attribute
///    [`#[event_stream]`](macro@crate::event_stream), which have the same names
/// 2. `App::stream_options`
/// 3. [`Streams::defaults`](crate::Streams::defaults)
/// 4. the default that each method names
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use bocadillo::{StreamOptions, Streams};
///
/// let options = StreamOptions::new()
///     .keep_alive(Duration::from_secs(20))
///     .retry(Duration::from_secs(2));
/// let streams = Streams::new().defaults(options);
/// ```
#[derive(Clone, Default)]
#[must_use = "options do nothing until they are given to a stream, an app or `Streams`"]
pub struct StreamOptions {
    keep_alive: Setting<KeepAlive>,
    retry: Option<Duration>,
    max_lifetime: Setting<Duration>,
    cleanup_timeout: Option<Duration>,
    on_error: Option<OnError>,
    write_timeout: Setting<Duration>,
    byte_write_timeout: Setting<Duration>,
    charset: Option<bool>,
}

/// Returns the last event of a stream that ends with an error.
type OnError = Arc<dyn Fn(&Error) -> Option<ServerEvent> + Send + Sync>;

impl StreamOptions {
    pub(crate) const UNSET: Self = Self {
        keep_alive: Setting::Unset,
        retry: None,
        max_lifetime: Setting::Unset,
        cleanup_timeout: None,
        on_error: None,
        write_timeout: Setting::Unset,
        byte_write_timeout: Setting::Unset,
        charset: None,
    };

    /// Options of which none is set.
    ///
    /// # Examples
    ///
    /// ```
    /// let options = bocadillo::StreamOptions::new();
    /// ```
    pub fn new() -> Self {
        Self::default()
    }

    /// Sends a keep-alive when an event stream has been silent for an interval. The default is a comment line every 15
    /// seconds.
    ///
    /// Proxies then do not close an idle connection (WHATWG HTML, section 9.2.7), and the server notices a client whose
    /// network is gone, because a write to it fails. Set the interval lower than the read time-out of your clients: the
    /// default of `httpx` is 5 seconds. An interval of zero means [`no_keep_alive`](Self::no_keep_alive). To send
    /// something other than a comment line, use a [`KeepAlive`].
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    /// use bocadillo::{KeepAlive, StreamOptions};
    ///
    /// let options = StreamOptions::new().keep_alive(Duration::from_secs(5));
    /// let options = StreamOptions::new().keep_alive(KeepAlive::every(Duration::from_secs(5)).blank_line());
    /// ```
    pub fn keep_alive(mut self, keep_alive: impl Into<KeepAlive>) -> Self {
        self.keep_alive = Setting::On(keep_alive.into());
        self
    }

    /// Sends no keep-alive.
    ///
    /// The server then notices a client whose power or network is gone only when it sends the next event.
    ///
    /// # Examples
    ///
    /// ```
    /// let options = bocadillo::StreamOptions::new().no_keep_alive();
    /// ```
    pub fn no_keep_alive(mut self) -> Self {
        self.keep_alive = Setting::Off;
        self
    }

    /// Sends the client the time to wait before it reconnects, at the start of an event stream. The default is to send
    /// nothing: a browser then waits for a few seconds. A stream that is opened during a shutdown says 3 seconds.
    ///
    /// The time is sent in whole milliseconds (WHATWG HTML, section 9.2.6).
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// let options = bocadillo::StreamOptions::new().retry(Duration::from_millis(500));
    /// ```
    pub fn retry(mut self, delay: Duration) -> Self {
        self.retry = Some(delay);
        self
    }

    /// Ends an event stream after this time, shortened by a random part of up to a tenth. The default is no limit.
    ///
    /// The client reconnects, so the handler authorises it again. Because of the random part, streams that started
    /// together do not end together.
    ///
    /// The source of the stream is released at the end of the lifetime, even if the client does not read. Under a server
    /// other than ours this can take a second, and the connection of that client stays open.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// let options = bocadillo::StreamOptions::new().max_lifetime(Duration::from_secs(60 * 60));
    /// ```
    pub fn max_lifetime(mut self, lifetime: Duration) -> Self {
        self.max_lifetime = Setting::On(lifetime);
        self
    }

    /// Does not limit the lifetime of an event stream.
    ///
    /// # Examples
    ///
    /// ```
    /// let options = bocadillo::StreamOptions::new().no_max_lifetime();
    /// ```
    pub fn no_max_lifetime(mut self) -> Self {
        self.max_lifetime = Setting::Off;
        self
    }

    /// Sets how long the clean-up of a generator with `raise_on_disconnect` may take. The default is 30 seconds.
    ///
    /// The time starts when the client disconnects. A clean-up that takes longer is dropped, and a warning is logged. A
    /// shutdown waits for a clean-up only until the [`drain_timeout`](crate::Streams::drain_timeout).
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// let options = bocadillo::StreamOptions::new().cleanup_timeout(Duration::from_secs(5));
    /// ```
    pub fn cleanup_timeout(mut self, timeout: Duration) -> Self {
        self.cleanup_timeout = Some(timeout);
        self
    }

    /// Sets the last event of a stream that ends with an error. The default is no event.
    ///
    /// The error is always logged. The function decides how much of it the client may see.
    ///
    /// Do not name this event `error`: a browser then calls `onerror`, as for a lost connection. See
    /// [`EventName`](crate::EventName).
    ///
    /// # Examples
    ///
    /// ```
    /// use bocadillo::{EventName, ServerEvent, StreamOptions};
    ///
    /// const FAILED: EventName = EventName::from_static("failed");
    /// let options = StreamOptions::new()
    ///     .on_error(|_| Some(ServerEvent::new("try again later").with_name(FAILED)));
    /// ```
    pub fn on_error(
        mut self,
        show: impl Fn(&Error) -> Option<ServerEvent> + Send + Sync + 'static,
    ) -> Self {
        self.on_error = Some(Arc::new(show));
        self
    }

    /// Sets how long the client of an event stream may take nothing while there is something to send. The default is 30
    /// seconds.
    ///
    /// After this time the connection is cut, or in HTTP/2 the stream is reset. A client that is paused takes nothing: its
    /// kernel still acknowledges, but its buffers are full. The policy of a [topic](crate::topic::SlowPolicy) may end the
    /// stream earlier. A generator waits at its `yield` until this time is over, also if it reads from a subscription
    /// that has ended in the meantime.
    ///
    /// Only the `Server` of this crate has this limit. Under another server, a stream cannot cut its connection.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// let options = bocadillo::StreamOptions::new().write_timeout(Duration::from_secs(10));
    /// ```
    pub fn write_timeout(mut self, timeout: Duration) -> Self {
        self.write_timeout = Setting::On(timeout);
        self
    }

    /// Does not limit how long the client of an event stream may take nothing.
    ///
    /// A client that no longer acknowledges is still cut, within about 30 seconds. In HTTP/2 a client has to answer
    /// pings: a client whose process is stopped is cut after 30 seconds.
    ///
    /// # Examples
    ///
    /// ```
    /// let options = bocadillo::StreamOptions::new().no_write_timeout();
    /// ```
    pub fn no_write_timeout(mut self) -> Self {
        self.write_timeout = Setting::Off;
        self
    }

    /// Sets how long the client of a [`ByteStream`](crate::ByteStream) may take nothing before it is cut. The default is
    /// no limit: a paused download can continue.
    ///
    /// A client that no longer acknowledges is cut without this option. In HTTP/2 a client has to answer pings: a client
    /// whose process is stopped is cut after 30 seconds.
    ///
    /// Ordinary responses have no write time-out. A client that acknowledges but does not read such a response keeps its
    /// connection open. Use a stream for a large response, or a proxy with a write time-out.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// let options = bocadillo::StreamOptions::new().byte_write_timeout(Duration::from_secs(600));
    /// ```
    pub fn byte_write_timeout(mut self, timeout: Duration) -> Self {
        self.byte_write_timeout = Setting::On(timeout);
        self
    }

    /// Does not limit how long the client of a [`ByteStream`](crate::ByteStream) may take nothing.
    ///
    /// # Examples
    ///
    /// ```
    /// let options = bocadillo::StreamOptions::new().no_byte_write_timeout();
    /// ```
    pub fn no_byte_write_timeout(mut self) -> Self {
        self.byte_write_timeout = Setting::Off;
        self
    }

    /// Sets whether the `Content-Type` of an event stream ends with `; charset=utf-8`. The default is `false`.
    ///
    /// An event stream is always UTF-8, and browsers ignore the parameter (WHATWG HTML, section 9.2.5 and the
    /// registration of `text/event-stream`). Some clients need it: `iter_lines(decode_unicode=True)` of Python's
    /// `requests` reads text without a charset as Latin-1.
    ///
    /// # Examples
    ///
    /// ```
    /// let options = bocadillo::StreamOptions::new().charset(true);
    /// ```
    pub fn charset(mut self, charset: bool) -> Self {
        self.charset = Some(charset);
        self
    }

    /// Combines two values. An option that is not set in `self` is taken from `defaults`.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    /// use bocadillo::StreamOptions;
    ///
    /// let defaults = StreamOptions::new().retry(Duration::from_secs(1)).charset(true);
    /// let options = StreamOptions::new().charset(false).or(&defaults);
    /// ```
    pub fn or(self, defaults: &Self) -> Self {
        Self {
            keep_alive: self.keep_alive.or_else(|| defaults.keep_alive.clone()),
            retry: self.retry.or(defaults.retry),
            max_lifetime: self.max_lifetime.or_else(|| defaults.max_lifetime.clone()),
            cleanup_timeout: self.cleanup_timeout.or(defaults.cleanup_timeout),
            on_error: self.on_error.or_else(|| defaults.on_error.clone()),
            write_timeout: self
                .write_timeout
                .or_else(|| defaults.write_timeout.clone()),
            byte_write_timeout: (self.byte_write_timeout)
                .or_else(|| defaults.byte_write_timeout.clone()),
            charset: self.charset.or(defaults.charset),
        }
    }

    /// The interval of the keep-alive.
    pub(crate) fn keep_alive_interval(&self) -> Option<Duration> {
        match &self.keep_alive {
            Setting::Unset => Some(KEEP_ALIVE),
            Setting::Off => None,
            Setting::On(keep_alive) => Some(keep_alive.interval),
        }
        // An interval of zero would send without a pause.
        .filter(|interval| !interval.is_zero())
    }

    /// What a silent stream sends.
    pub(crate) fn keep_alive_bytes(&self) -> Bytes {
        match &self.keep_alive {
            Setting::On(keep_alive) => keep_alive.bytes.clone(),
            Setting::Unset | Setting::Off => Bytes::from_static(wire::KEEP_ALIVE),
        }
    }

    pub(crate) fn retry_delay(&self) -> Option<Duration> {
        self.retry
    }

    pub(crate) fn lifetime(&self) -> Option<Duration> {
        self.max_lifetime.get(None)
    }

    pub(crate) fn cleanup_timeout_or_default(&self) -> Duration {
        self.cleanup_timeout.unwrap_or(CLEANUP_TIMEOUT)
    }

    /// The last event for the client after `error`.
    pub(crate) fn shown(&self, error: &Error) -> Option<ServerEvent> {
        self.on_error.as_ref().and_then(|show| show(error))
    }

    /// How long the client of a stream of events, or of bytes, may take nothing.
    pub(crate) fn write_timeout_or_default(&self, is_events: bool) -> Option<Duration> {
        if is_events {
            self.write_timeout.get(Some(WRITE_TIMEOUT))
        } else {
            self.byte_write_timeout.get(None)
        }
    }

    pub(crate) fn has_charset(&self) -> Option<bool> {
        self.charset
    }
}

impl fmt::Debug for StreamOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StreamOptions")
            .field("keep_alive", &self.keep_alive)
            .field("retry", &self.retry)
            .field("max_lifetime", &self.max_lifetime)
            .field("cleanup_timeout", &self.cleanup_timeout)
            .field("on_error", &self.on_error.is_some())
            .field("write_timeout", &self.write_timeout)
            .field("byte_write_timeout", &self.byte_write_timeout)
            .field("charset", &self.charset)
            .finish()
    }
}

#[cfg(test)]
mod tests;

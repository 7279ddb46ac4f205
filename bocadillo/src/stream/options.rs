//! `StreamOptions`: what can be set for one stream, or as the default of many.

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
/// The same value sets the options of one stream and the defaults of all. From the strongest to the weakest:
/// [`EventStream::with`](crate::EventStream::with) or an option of the attribute
/// [`#[event_stream]`](macro@crate::event_stream), then [`App::stream_options`](crate::App::stream_options), then
/// [`Streams::defaults`](crate::Streams::defaults), then the default that each method here names. An option that is not
/// set is taken from the next weaker place.
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

/// What the client sees last of a stream that ends with an error.
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

    /// Sends a keep-alive whenever an event stream has been silent for an interval. The default is a comment line every
    /// 15 seconds.
    ///
    /// It keeps proxies from closing an idle connection, as the standard advises (WHATWG HTML, section 9.2.7). It also
    /// shows that a client has gone without a word, because writing to it fails. Set the interval lower than the read
    /// time-out of your clients: the default of `httpx` is 5 seconds. An interval of zero is
    /// [`no_keep_alive`](Self::no_keep_alive). A [`KeepAlive`] sends something else than a comment line.
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
    /// A client that has gone without a word (its power, its network) is then found at the next event only.
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

    /// Tells the client, at the start of an event stream, how long to wait before it reconnects. The default is to say
    /// nothing: a browser then waits for a few seconds.
    ///
    /// It is sent in whole milliseconds (WHATWG HTML, section 9.2.6).
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

    /// Ends an event stream after this time, less up to a tenth at random. The default is no limit.
    ///
    /// The client reconnects by itself, and is authorised again. The random part keeps streams that began together from
    /// ending together.
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

    /// Lets an event stream last for as long as it likes.
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

    /// How long the clean-up of a generator with `raise_on_disconnect` may take. The default is 30 seconds.
    ///
    /// The time begins when the client leaves. A clean-up that takes longer is dropped, with a warning in the log. During
    /// a drain, its own time-out is a second limit.
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

    /// What the client sees last of an event stream that ends with an error. The default is nothing.
    ///
    /// The error is logged in any case. The function decides what of it the client may know.
    ///
    /// Do not name this event `error`: a browser then runs `onerror`, as for a lost connection. See
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

    /// How long the client of an event stream may take nothing. The default is 30 seconds.
    ///
    /// After this time the connection is cut, or in HTTP/2 the stream is reset. A client that is paused takes nothing: its
    /// kernel still acknowledges, but its buffers are full. The policy of a [topic](crate::topic::SlowPolicy) may end the
    /// stream earlier. A generator waits at its `yield`, and is released after this time, also when it reads from
    /// a subscription that has ended meanwhile. The limit needs our [`Server`](crate::Server): other servers do
    /// not let a stream cut its connection.
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

    /// Lets the client of an event stream take nothing for as long as it likes.
    ///
    /// A client that no longer acknowledges is still found, within about 30 seconds. In HTTP/2 a client has to answer
    /// pings: one whose process is stopped is cut after 30 seconds.
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

    /// How long the client of a [`ByteStream`](crate::ByteStream) may take nothing before it is cut. The default is no
    /// limit.
    ///
    /// A download that is paused goes on where it was. A client that no longer acknowledges is found without this. In
    /// HTTP/2 a client has to answer pings: one whose process is stopped is cut after 30 seconds.
    ///
    /// It does not apply to ordinary responses, which have no write time-out. A client that reads nothing of one but
    /// acknowledges keeps its connection open. Stream what is large, or put a proxy with a write time-out in front.
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

    /// Lets the client of a [`ByteStream`](crate::ByteStream) take nothing for as long as it likes.
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

    /// Whether the `Content-Type` of an event stream ends in `; charset=utf-8`. The default is `false`.
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

    /// The options that are set here, and those of `defaults` where none is.
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

    /// What the client sees of `error`.
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

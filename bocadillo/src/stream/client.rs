//! `Client`: tells a generator that its client has disconnected.

use std::convert::Infallible;

use axum_core::extract::FromRequestParts;
use http::request::Parts;
use tokio_util::sync::CancellationToken;

/// The client of a stream. A generator waits for its [`disconnected`](Self::disconnected) and for something else at the
/// same time.
///
/// If an `#[event_stream]` or `#[stream]` function has an argument of this type, the argument is bound to the stream of
/// the call. It is an extractor, so a route creates it. A clone is bound to the same stream: give clones to the tasks
/// that work for this client.
///
/// # Examples
///
#[cfg_attr(feature = "server", doc = "```")]
#[cfg_attr(not(feature = "server"), doc = "```text")]
/// use bocadillo::{Client, event_stream, generators, route};
///
/// async fn next_price() -> String { "42".into() }
///
/// generators!(
///     #[route("/prices")]
///     #[event_stream(raise_on_disconnect)]
///     async fn prices(client: Client) {
///         loop {
///             tokio::select! {
///                 price = next_price() => if (yield price).is_err() { break },
///                 () = client.disconnected() => break,
///             }
///         }
///         // The clean-up. It runs to its end although the client has disconnected.
///     }
/// );
/// # fn main() {}
/// ```
#[derive(Clone, Debug, Default)]
pub struct Client {
    gone: CancellationToken,
}

impl Client {
    /// Creates a client that is not bound to a stream yet.
    ///
    /// # Examples
    ///
    /// ```
    /// let client = bocadillo::Client::new();
    /// assert!(!client.is_disconnected());
    /// ```
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Waits until the stream ends: the client disconnects, or the stream ends by itself.
    ///
    /// # Cancel safety
    ///
    /// Safe to use in `tokio::select!`: nothing is lost when it is dropped.
    ///
    /// # Examples
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() {
    /// use bocadillo::{Client, EventStream};
    ///
    /// let client = Client::new();
    /// let events = EventStream::new(futures_util::stream::pending::<String>()).bind(client.clone());
    /// drop(events);
    /// client.disconnected().await;
    /// # }
    /// ```
    pub async fn disconnected(&self) {
        self.gone.cancelled().await;
    }

    /// Whether the stream has ended.
    ///
    /// For code without an `.await`, such as a loop on a blocking thread.
    ///
    /// # Examples
    ///
    /// ```
    /// use bocadillo::Client;
    ///
    /// fn sum_for(client: &Client, numbers: &[u64]) -> Option<u64> {
    ///     numbers.chunks(1000).try_fold(0, |sum, some| {
    ///         (!client.is_disconnected()).then(|| sum + some.iter().sum::<u64>())
    ///     })
    /// }
    ///
    /// assert_eq!(sum_for(&Client::new(), &[1, 2, 3]), Some(6));
    /// ```
    #[must_use]
    pub fn is_disconnected(&self) -> bool {
        self.gone.is_cancelled()
    }

    pub(crate) fn set_disconnected(&self) {
        self.gone.cancel();
    }
}

impl<S: Sync> FromRequestParts<S> for Client {
    type Rejection = Infallible;

    async fn from_request_parts(_: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        Ok(Self::new())
    }
}

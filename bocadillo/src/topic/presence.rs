//! Whether a topic has subscribers on this node.

use tokio::sync::watch;

use super::registry::TopicRef;

/// Waits for the first subscriber of a topic to come and for the last one to go, so that an expensive source runs only while
/// there are subscribers. Made by [`Topic::presence`](super::Topic::presence).
///
/// It counts the subscribers on this node. A client that vanished without closing its connection counts until the server
/// closes the connection.
///
/// # Examples
///
/// ```
/// use bocadillo::topic::Hub;
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> bocadillo::Result<()> {
/// let topic = Hub::memory().topic("camera")?;
/// let mut presence = topic.presence();
///
/// let subscription = topic.subscribe();
/// presence.occupied().await;          // returns at once
/// drop(subscription);
/// presence.vacant().await;            // returns at once
/// # Ok(()) }
/// ```
#[derive(Debug)]
pub struct Presence {
    /// Keeps the topic, and with it the sender of `watch`.
    topic: TopicRef,
    watch: watch::Receiver<usize>,
}

impl Presence {
    pub(super) fn new(topic: TopicRef, watch: watch::Receiver<usize>) -> Self {
        Self { topic, watch }
    }

    /// The current number of subscribers.
    ///
    /// # Examples
    ///
    /// ```
    /// # use bocadillo::topic::Hub;
    /// let topic = Hub::memory().topic("camera")?;
    /// assert_eq!(topic.presence().subscribers(), 0);
    /// # Ok::<(), bocadillo::Error>(())
    /// ```
    #[must_use]
    pub fn subscribers(&self) -> usize {
        self.topic.channel().subscribers()
    }

    /// Waits until there is a subscriber. Returns at once if there is one.
    ///
    /// # Examples
    ///
    /// ```
    /// # use bocadillo::topic::Hub;
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> bocadillo::Result<()> {
    /// let topic = Hub::memory().topic("camera")?;
    /// let subscription = topic.subscribe();
    /// topic.presence().occupied().await;
    /// # Ok(()) }
    /// ```
    ///
    /// # Cancel safety
    ///
    /// It can be dropped and called again at any time.
    pub async fn occupied(&mut self) {
        self.wait(|subscribers| subscribers > 0).await;
    }

    /// Waits until there is no subscriber. Returns at once if there is none.
    ///
    /// # Examples
    ///
    /// ```
    /// # use bocadillo::topic::Hub;
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> bocadillo::Result<()> {
    /// let topic = Hub::memory().topic("camera")?;
    /// topic.presence().vacant().await;
    /// # Ok(()) }
    /// ```
    ///
    /// # Cancel safety
    ///
    /// It can be dropped and called again at any time.
    pub async fn vacant(&mut self) {
        self.wait(|subscribers| subscribers == 0).await;
    }

    /// Waits until the number of subscribers differs from the number at the last call, and returns it. A change that is
    /// undone between two calls is not noticed.
    ///
    /// # Examples
    ///
    /// ```
    /// use bocadillo::topic::Hub;
    ///
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> bocadillo::Result<()> {
    /// let topic = Hub::memory().topic("camera")?;
    /// let mut presence = topic.presence();
    /// let one = topic.subscribe();
    /// let other = topic.subscribe();
    /// assert_eq!(presence.changed().await, 2);
    /// # Ok(()) }
    /// ```
    ///
    /// # Cancel safety
    ///
    /// It can be dropped and called again at any time.
    pub async fn changed(&mut self) -> usize {
        if self.watch.changed().await.is_err() {
            // Does not happen, because `topic` keeps the sender.
            std::future::pending::<()>().await;
        }
        *self.watch.borrow_and_update()
    }

    async fn wait(&mut self, mut is_so: impl FnMut(usize) -> bool) {
        if self
            .watch
            .wait_for(|subscribers| is_so(*subscribers))
            .await
            .is_err()
        {
            std::future::pending::<()>().await;
        }
    }
}

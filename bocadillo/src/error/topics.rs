//! The predicates of what can go wrong with topics and their broker. At most one of them is true of an error.

use super::{Error, ErrorKind};

impl Error {
    /// Whether the name of a topic is invalid, or a stream was asked for no topic or for more than eight.
    ///
    /// Names often come from the client, so a [`Problem`](crate::Problem) made from it has the status 400 and gives the reason.
    ///
    /// # Examples
    ///
    /// ```
    /// use bocadillo::topic::Hub;
    ///
    /// assert!(Hub::memory().topic("").unwrap_err().is_topic());
    /// ```
    #[must_use]
    pub fn is_topic(&self) -> bool {
        self.kind == ErrorKind::Topic
    }

    /// Whether an event cannot be published to a topic: it has an id of its own, or it has neither data nor a name.
    ///
    /// A [`Problem`](crate::Problem) made from it has the status 500.
    ///
    /// # Examples
    ///
    /// ```
    /// use bocadillo::ServerEvent;
    /// use bocadillo::topic::Hub;
    ///
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> bocadillo::Result<()> {
    /// let topic = Hub::memory().topic("news")?;
    /// let error = topic.publish(ServerEvent::new("hello").with_id(7)).await.unwrap_err();
    /// assert!(error.is_event());
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn is_event(&self) -> bool {
        self.kind == ErrorKind::Event
    }

    /// Whether the options of a hub cannot be used: a URL that is not one of the broker, or a prefix that the broker
    /// does not take.
    ///
    /// A [`Problem`](crate::Problem) made from it has the status 500.
    ///
    /// # Examples
    ///
    /// ```
    /// # #[cfg(feature = "redis")] {
    /// use bocadillo::topic::Hub;
    ///
    /// assert!(Hub::redis("http://127.0.0.1").unwrap_err().is_config());
    /// # }
    /// ```
    #[must_use]
    pub fn is_config(&self) -> bool {
        self.kind == ErrorKind::Config
    }

    /// Whether the broker cannot be reached. Nothing was published.
    ///
    /// A [`Problem`](crate::Problem) made from it has the status 503 and a `Retry-After` of one second.
    ///
    /// # Examples
    ///
    /// ```
    /// use bocadillo::{IntoResponse, Problem, Response, StatusCode};
    /// use bocadillo::topic::Topic;
    ///
    /// async fn post(room: &Topic, text: String) -> Response {
    ///     match room.publish(text).await {
    ///         Ok(id) => (StatusCode::CREATED, id.to_string()).into_response(),
    ///         Err(error) if error.is_unavailable() => "try again in a minute".into_response(),
    ///         Err(error) => Problem::from(error).into_response(),
    ///     }
    /// }
    /// ```
    #[must_use]
    pub fn is_unavailable(&self) -> bool {
        self.kind == ErrorKind::Unavailable
    }

    /// Whether the broker answered and refused. Nothing was published.
    ///
    /// It may be out of memory, the user may lack the permission, or the key may be used for something else. The source
    /// is what the broker said. A [`Problem`](crate::Problem) made from it has the status 500, and does not repeat what the
    /// broker said.
    ///
    /// # Examples
    ///
    /// ```
    /// use bocadillo::topic::Topic;
    ///
    /// async fn publish(topic: &Topic, text: String) -> bocadillo::Result<()> {
    ///     match topic.publish(text).await {
    ///         // To try again helps only after the configuration of the broker has changed.
    ///         Err(error) if error.is_refused() => eprintln!("{}", error.chain()),
    ///         outcome => drop(outcome?),
    ///     }
    ///     Ok(())
    /// }
    /// ```
    #[must_use]
    pub fn is_refused(&self) -> bool {
        self.kind == ErrorKind::Refused
    }

    /// Whether the connection to the broker was lost after the event was sent and before the broker confirmed it.
    ///
    /// The event may have been published or not. If you publish it again, there may be two of it. A
    /// [`Problem`](crate::Problem) made from it has the status 503 without a `Retry-After`.
    ///
    /// # Examples
    ///
    /// ```
    /// use bocadillo::EventId;
    /// use bocadillo::topic::Topic;
    ///
    /// /// For events that may be there twice.
    /// async fn at_least_once(topic: &Topic, text: &str) -> bocadillo::Result<EventId> {
    ///     loop {
    ///         match topic.publish(text.to_owned()).await {
    ///             Err(error) if error.is_unconfirmed() => {}
    ///             outcome => return outcome,
    ///         }
    ///     }
    /// }
    /// ```
    #[must_use]
    pub fn is_unconfirmed(&self) -> bool {
        self.kind == ErrorKind::Unconfirmed
    }
}

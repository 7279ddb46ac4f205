//! Topics over real sockets: resuming, slow clients, hostile ids. What needs no socket is tested beside the code.

mod errors;
mod every_hub;
mod hostile;
mod memory;
mod nats;
pub(crate) mod nodes;
mod redis;
mod resume;
mod slow;
mod together;

use std::collections::HashMap;
use std::net::SocketAddr;

use bocadillo::topic::{Cursor, Hub};
use bocadillo::{
    App, EventStream, LastEventId, Problem, State, StatusCode, event_stream, generators, route,
    routes,
};
use futures_util::StreamExt;
use http::Method;

use crate::support::Server;
use crate::support::http::{Connection, Protocol, Reply, empty};

/// The fast path: the topic's own bytes.
#[route("/topics/{topic}")]
async fn fast(
    topic: String,
    State(hub): State<Hub>,
    last: LastEventId,
) -> Result<EventStream, Problem> {
    let topic = hub
        .topic(topic)
        .map_err(|error| Problem::new(StatusCode::NOT_FOUND).detail(error.to_string()))?;
    Ok(topic.subscribe_from(Cursor::from(last).or_start()).into())
}

/// Two topics in one stream.
#[route("/both/{one}/{other}")]
async fn both(
    one: String,
    other: String,
    State(hub): State<Hub>,
    last: LastEventId,
) -> Result<EventStream, Problem> {
    let subscription = hub.subscribe_from([one, other], Cursor::from(last).or_start());
    let subscription = subscription.map_err(|_| Problem::new(StatusCode::NOT_FOUND))?;
    Ok(subscription.into())
}

generators!(
    /// Through a generator.
    #[route("/generated/{topic}")]
    #[event_stream]
    async fn generated(topic: String, State(hub): State<Hub>, last: LastEventId) {
        let Ok(topic) = hub.topic(topic) else { return };
        let mut events = topic.subscribe_from(Cursor::from(last).or_start());
        while let Some(event) = events.next().await {
            yield event;
        }
    }
);

async fn serve(hub: &Hub) -> Server {
    Server::start(App::with_state(hub.clone()).routes(routes![fast, both, generated])).await
}

/// An event, as a browser would see it.
#[derive(Debug, PartialEq)]
struct Event {
    id: String,
    name: String,
    data: String,
}

impl Event {
    fn parse(block: &str) -> Self {
        let mut fields: HashMap<&str, &str> = HashMap::new();
        for line in block.lines().filter(|line| !line.is_empty()) {
            let (name, value) = line.split_once(": ").expect("each line is a field");
            assert_eq!(
                fields.insert(name, value),
                None,
                "one line of each kind here: {block:?}"
            );
        }
        let field = |name| fields.get(name).copied().unwrap_or_default().to_owned();
        Self {
            id: field("id"),
            name: field("event"),
            data: field("data"),
        }
    }
}

/// A client that remembers its last id, as `EventSource` does.
struct Client {
    reply: Reply,
    last: String,
}

impl Client {
    async fn connect(protocol: Protocol, address: SocketAddr, path: &str, last: &str) -> Self {
        let headers = [("last-event-id", last)];
        let headers = if last.is_empty() { &[][..] } else { &headers };
        let mut connection = Connection::open(protocol, address).await;
        let reply = connection.send(Method::GET, path, headers, empty()).await;
        assert_eq!(reply.status, StatusCode::OK);
        Self {
            reply,
            last: last.to_owned(),
        }
    }

    async fn next(&mut self) -> Event {
        let block = self.reply.until("\n\n").await;
        let event = Event::parse(block.trim_start_matches(": keep-alive\n"));
        self.last.clone_from(&event.id);
        event
    }
}

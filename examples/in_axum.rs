//! An axum app with event streams. Each room is a topic. A shutdown ends the streams in order.
//!
//! ```text
//! cargo run --example in_axum
//! curl -N localhost:8000/rooms/blue
//! curl -d 'hello' localhost:8000/rooms/blue
//! ```
//!
//! Processes that use the same broker have the same rooms. If one process shuts down, its clients continue at another
//! process and lose nothing:
//!
//! ```text
//! PORT=8001 cargo run --example in_axum -- redis://127.0.0.1
//! PORT=8002 cargo run --example in_axum -- redis://127.0.0.1
//! ```

use std::env;
use std::error::Error;
use std::time::Duration;

use axum::Router;
use axum::extract::ws::{Message, WebSocket, WebSocketUpgrade};
use axum::extract::{Path, Query, State};
use axum::routing::get;
use bocadillo::topic::{Cursor, Hub};
use bocadillo::{
    App, Client, EventStream, Problem, Response, StreamOptions, Streams, event_stream, generators,
    route, routes,
};
use serde::Deserialize;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

/// Sends the messages of the room from now on. After a reconnect, it sends the missed messages first.
async fn listen(
    Path(room): Path<String>,
    cursor: Cursor,
    State(hub): State<Hub>,
) -> Result<EventStream, Problem> {
    let topic = hub.topic(format!("rooms/{room}"))?;
    Ok(topic.subscribe_from(cursor).into())
}

async fn say(
    Path(room): Path<String>,
    State(hub): State<Hub>,
    text: String,
) -> Result<String, Problem> {
    let topic = hub.topic(format!("rooms/{room}"))?;
    Ok(topic.publish(text).await?.to_string())
}

generators!(
    #[event_stream(raise_on_disconnect, keep_alive = Duration::from_secs(5))]
    async fn ticks_from(start: u64, client: Client) {
        for tick in start.. {
            if (yield tick.to_string()).is_err() {
                break;
            }
            tokio::select! {
                () = tokio::time::sleep(Duration::from_millis(250)) => {}
                () = client.disconnected() => break,
            }
        }
        // The client has disconnected, or the process shuts down. A shutdown waits for the code below.
        println!("stopped to count for a client");
    }
);

async fn ticks(Path(start): Path<u64>, client: Client) -> EventStream {
    ticks_from(start, client)
}

#[derive(Deserialize)]
struct Welcome {
    greeting: String,
}

/// A route of Bocadillo that uses extractors of axum.
#[route("/echo")]
async fn echo(Query(welcome): Query<Welcome>, upgrade: WebSocketUpgrade) -> Response {
    upgrade.on_upgrade(|socket| converse(socket, welcome.greeting))
}

async fn converse(mut socket: WebSocket, greeting: String) {
    let mut sent = socket.send(Message::text(greeting)).await;
    while let (Ok(()), Some(Ok(message))) = (sent, socket.recv().await) {
        sent = match message {
            Message::Text(_) | Message::Binary(_) => socket.send(message).await,
            _ => Ok(()),
        };
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let hub = match env::args().nth(1) {
        Some(url) if url.starts_with("nats") => Hub::nats(url.as_str())?,
        Some(url) => Hub::redis(&url)?,
        None => Hub::memory(),
    };
    let streams = Streams::new().defaults(StreamOptions::new().retry(Duration::from_millis(500)));
    let ours = App::new().routes(routes![echo]).into_service()?;
    let app = Router::new()
        .route("/rooms/{room}", get(listen).post(say))
        .route("/ticks/{start}", get(ticks))
        .fallback_service(ours)
        .layer(streams.layer())
        .with_state(hub);

    let host = env::var("HOST").unwrap_or_else(|_| "127.0.0.1".to_owned());
    let port = env::var("PORT").map_or(Ok(8000), |port| port.parse())?;
    let listener = TcpListener::bind((host, port)).await?;
    let mut sigterm = signal(SignalKind::terminate())?;
    eprintln!("listening on http://{}", listener.local_addr()?);
    let server = axum::serve(listener, app).with_graceful_shutdown({
        let streams = streams.clone();
        async move {
            sigterm.recv().await;
            streams.drain().await;
        }
    });
    tokio::select! {
        served = server.into_future() => served?,
        // Without this, a client that does not read would keep the server running.
        () = streams.shutdown_deadline() => {}
    }
    Ok(())
}

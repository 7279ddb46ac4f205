//! Side by side with axum, on one port: an event stream from a handler of an axum app, and axum's extractors, WebSockets
//! among them, in a route of ours.
//!
//! ```text
//! curl -N localhost:8000/ticks/0
//! websocat 'ws://localhost:8000/echo?greeting=hello'
//! ```

use std::env;
use std::error::Error;
use std::time::Duration;

use axum::Router;
use axum::extract::ws::{Message, WebSocket, WebSocketUpgrade};
use axum::extract::{Path, Query};
use axum::routing::get;
use bocadillo::{App, EventStream, Response, event_stream, generators, route, routes};
use serde::Deserialize;
use tokio::net::TcpListener;

generators!(
    #[event_stream(keep_alive = Duration::from_secs(5))]
    async fn ticks_from(start: u64) {
        for tick in start.. {
            yield tick.to_string();
            tokio::time::sleep(Duration::from_millis(250)).await;
        }
    }
);

/// A handler of axum.
async fn ticks(Path(start): Path<u64>) -> EventStream {
    ticks_from(start)
}

#[derive(Deserialize)]
struct Welcome {
    greeting: String,
}

/// A route of ours.
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
    let ours = App::new().routes(routes![echo]).into_service()?;
    let app = Router::new()
        .route("/ticks/{start}", get(ticks))
        .fallback_service(ours);

    let host = env::var("HOST").unwrap_or_else(|_| "127.0.0.1".to_owned());
    let port = env::var("PORT").map_or(Ok(8000), |port| port.parse())?;
    let listener = TcpListener::bind((host, port)).await?;
    eprintln!("listening on http://{}", listener.local_addr()?);
    axum::serve(listener, app).await?;
    Ok(())
}

//! Topics in an axum app. Clients read rooms and post to them. A SIGTERM ends the streams in order, and the clients
//! resume on the next server.
//!
//! ```text
//! curl -N localhost:8000/rooms/7
//! curl localhost:8000/rooms/7 --data 'hello' -H 'Content-Type: text/plain'
//! ```

use std::env;
use std::io;
use std::time::Duration;

use axum::Router;
use axum::extract::{Path, State};
use axum::routing::get;
use bocadillo::topic::{Cursor, Hub};
use bocadillo::{EventStream, Problem, StreamOptions, Streams};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

type Room = Path<String>;

async fn listen(
    Path(room): Room,
    State(hub): State<Hub>,
    cursor: Cursor,
) -> Result<EventStream, Problem> {
    Ok(hub.topic(room)?.subscribe_from(cursor.or_start()).into())
}

async fn say(Path(room): Room, State(hub): State<Hub>, text: String) -> Result<String, Problem> {
    Ok(hub.topic(room)?.publish(text).await?.to_string())
}

#[tokio::main]
async fn main() -> io::Result<()> {
    let streams = Streams::new().defaults(StreamOptions::new().keep_alive(Duration::from_secs(20)));
    let app = Router::new()
        .route("/rooms/{room}", get(listen).post(say))
        .layer(streams.layer())
        .with_state(Hub::memory());

    let host = env::var("HOST").unwrap_or_else(|_| "127.0.0.1".to_owned());
    let port = env::var("PORT").map_or(Ok(8000), |port| port.parse());
    let port = port.map_err(io::Error::other)?;
    let listener = TcpListener::bind((host, port)).await?;
    eprintln!("listening on http://{}", listener.local_addr()?);

    let mut sigterm = signal(SignalKind::terminate())?;
    let draining = streams.clone();
    let server = axum::serve(listener, app).with_graceful_shutdown(async move {
        sigterm.recv().await;
        draining.drain().await; // ends all streams, and waits for their clean-ups
    });
    tokio::select! {
        served = server.into_future() => served,
        () = streams.shutdown_deadline() => Ok(()), // a client that does not read cannot hold the process
    }
}

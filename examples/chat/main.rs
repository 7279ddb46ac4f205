//! A chat. Each room is a topic. Several nodes need a broker that they share. One node needs no broker.
//!
//! ```text
//! cargo run --example chat
//! PORT=8001 cargo run --example chat -- --hub redis://127.0.0.1
//! PORT=8002 cargo run --example chat -- --hub redis://127.0.0.1
//! ```

use std::error::Error;
use std::str::FromStr;
use std::time::Duration;

use bocadillo::topic::{Cursor, History, Hub, Topic};
use bocadillo::{
    App, EventStream, Html, Json, Problem, ServerEvent, State, StatusCode, route, routes,
};
use serde::{Deserialize, Serialize};

/// Sends the earlier messages of the room, then new ones. After a reconnect, it sends the missed messages first.
#[route("/rooms/{room}")]
async fn listen(
    room: Room,
    cursor: Cursor,
    State(hub): State<Hub>,
) -> Result<EventStream, Problem> {
    Ok(room.topic(&hub)?.subscribe_from(cursor.or_start()).into())
}

#[route("/rooms/{room}", methods = [POST])]
async fn say(
    room: Room,
    State(hub): State<Hub>,
    Json(message): Json<Message>,
) -> Result<(StatusCode, Json<Said>), Problem> {
    message.check()?;
    let topic = room.topic(&hub)?;
    let id = topic.publish(ServerEvent::json(&message)).await?;
    Ok((StatusCode::CREATED, Json(Said { id: id.to_string() })))
}

#[route("/")]
async fn page() -> Html<&'static str> {
    Html(include_str!("index.html"))
}

#[derive(Deserialize, Serialize)]
struct Message {
    from: String,
    text: String,
}

impl Message {
    fn check(&self) -> Result<(), Problem> {
        for (field, value, most) in [("from", &self.from, 40), ("text", &self.text, 2_000)] {
            if value.trim().is_empty() || value.chars().count() > most {
                let detail =
                    format!("`{field}` takes 1 to {most} characters, and not spaces alone");
                return Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY).detail(detail));
            }
        }
        Ok(())
    }
}

#[derive(Serialize)]
struct Said {
    id: String,
}

struct Room(String);

impl Room {
    fn topic(&self, hub: &Hub) -> bocadillo::Result<Topic> {
        hub.topic(format!("rooms/{}", self.0))
    }
}

impl FromStr for Room {
    type Err = &'static str;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        let is_plain = |c: char| c.is_alphanumeric() || c == '-' || c == '_';
        if (1..=40).contains(&name.chars().count()) && name.chars().all(is_plain) {
            Ok(Self(name.to_owned()))
        } else {
            Err("a room is called by 1 to 40 letters, digits, `-` and `_`")
        }
    }
}

/// Makes the hub that the command line names.
fn hub() -> Result<Hub, Box<dyn Error>> {
    let builder = Hub::builder().history(History::new().max_age(Duration::from_hours(24)));
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let url = match &arguments[..] {
        [] => return Ok(builder.memory()),
        [flag, url] if flag == "--hub" => url,
        _ => return Err("usage: chat [--hub redis://… | --hub nats://…]".into()),
    };
    match url.split_once("://") {
        Some(("redis" | "rediss", _)) => Ok(builder.redis(url)?),
        Some(("nats" | "tls", _)) => Ok(builder.nats(url.as_str())?),
        _ => Err(format!("no hub is at `{url}`: say redis://… or nats://…").into()),
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    Ok(App::with_state(hub()?)
        .routes(routes![page, listen, say])
        .run()?)
}

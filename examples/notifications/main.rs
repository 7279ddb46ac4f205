//! Notifications. Each user has a topic that other users cannot read. A user who reconnects gets the missed
//! notifications.
//!
//! ```text
//! curl -N localhost:8000/users/ada                                             401
//! curl -N localhost:8000/users/ada -H 'Authorization: Bearer secret-of-bo'     403
//! curl -N localhost:8000/users/ada -H 'Authorization: Bearer secret-of-ada'    the stream
//! curl localhost:8000/users/ada -H 'Authorization: Bearer secret-of-bo' --json '{"text": "Lunch?"}'
//! ```

use std::time::Duration;

use bocadillo::http::HeaderMap;
use bocadillo::http::header::{AUTHORIZATION, COOKIE, HeaderValue, SET_COOKIE, WWW_AUTHENTICATE};
use bocadillo::http::request::Parts;
use bocadillo::topic::{Cursor, History, Hub};
use bocadillo::{
    App, EventStream, FromRequestParts, Html, IntoResponse, Json, Problem, State, StatusCode,
    StreamOptions, route, routes, server_event,
};
use serde::{Deserialize, Serialize};

/// Sends the notifications of the last week that the page has not received, then new ones. The user is checked again
/// every hour.
#[route("/users/{id}")]
async fn notifications(
    id: String,
    user: User,
    cursor: Cursor,
    State(hub): State<Hub>,
) -> Result<EventStream, Problem> {
    if user.id != id {
        let detail = format!("these notifications are not {}'s to read", user.id);
        return Err(Problem::new(StatusCode::FORBIDDEN).detail(detail));
    }
    let events = hub
        .topic(format!("users/{id}"))?
        .subscribe_from(cursor.or_start());
    Ok(EventStream::from(events).with(StreamOptions::new().max_lifetime(Duration::from_hours(1))))
}

#[route("/users/{id}", methods = [POST])]
async fn notify(
    id: String,
    user: User,
    State(hub): State<Hub>,
    Json(notification): Json<Notification>,
) -> Result<(StatusCode, Json<Notified>), Problem> {
    if !USERS.iter().any(|user| user.id == id) {
        let detail = format!("there is no user `{id}`");
        return Err(Problem::new(StatusCode::NOT_FOUND).detail(detail));
    }
    let event = server_event!(json = {"from": user.id, "text": notification.text});
    let id = hub.topic(format!("users/{id}"))?.publish(event).await?;
    Ok((StatusCode::CREATED, Json(Notified { id: id.to_string() })))
}

/// Sets a cookie, because an `EventSource` cannot set headers but sends cookies.
#[route("/login", methods = [POST])]
async fn login(Json(Login { secret }): Json<Login>) -> Result<impl IntoResponse, Problem> {
    let user = User::with(&secret)?;
    let cookie = format!("secret={}; Path=/; HttpOnly; SameSite=Strict", user.secret);
    Ok((StatusCode::NO_CONTENT, [(SET_COOKIE, cookie)]))
}

#[route("/")]
async fn page() -> Html<&'static str> {
    Html(include_str!("index.html"))
}

/// The user who sends the request. The secrets take the place of sessions.
#[derive(Clone, Copy)]
struct User {
    id: &'static str,
    secret: &'static str,
}

const USERS: [User; 2] = [
    User {
        id: "ada",
        secret: "secret-of-ada",
    },
    User {
        id: "bo",
        secret: "secret-of-bo",
    },
];

impl User {
    fn with(secret: &str) -> Result<Self, Problem> {
        let unknown = || {
            Problem::new(StatusCode::UNAUTHORIZED)
                .detail("say who you are: `Authorization: Bearer secret-of-ada`, or `POST /login`")
                .header(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"))
        };
        let user = USERS.iter().find(|user| user.secret == secret);
        user.copied().ok_or_else(unknown)
    }
}

impl<S: Sync> FromRequestParts<S> for User {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        Self::with(secret(&parts.headers).unwrap_or_default())
    }
}

/// Returns the secret of a request: its bearer token, or the cookie that `login` has set.
fn secret(headers: &HeaderMap) -> Option<&str> {
    if let Some(value) = headers.get(AUTHORIZATION) {
        return value.to_str().ok()?.strip_prefix("Bearer ");
    }
    let cookies = headers.get(COOKIE)?.to_str().ok()?;
    cookies
        .split("; ")
        .find_map(|cookie| cookie.strip_prefix("secret="))
}

#[derive(Deserialize)]
struct Notification {
    text: String,
}

#[derive(Serialize)]
struct Notified {
    id: String,
}

#[derive(Deserialize)]
struct Login {
    secret: String,
}

fn main() -> bocadillo::Result<()> {
    let week = History::new().max_age(Duration::from_hours(7 * 24));
    let hub = Hub::builder().history(week).memory();
    App::with_state(hub)
        .routes(routes![page, login, notifications, notify])
        .run()
}

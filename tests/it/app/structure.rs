//! The parts of an app: routes, state, fallback.

use std::convert::Infallible;
use std::sync::Arc;

use bocadillo::{
    App, Error, FromRef, FromRequestParts, IntoResponse, Json, LastEventId, Problem, RouteInfo,
    State, StatusCode, event_stream, generators, route, routes, server_event,
};
use http::request::Parts;
use http::{Method, Request, Response};

use crate::support::Server;
use crate::support::http::{BOTH, Connection, empty, get};

#[derive(Clone)]
struct Shared {
    name: String,
    limit: u8,
}

impl FromRef<Shared> for String {
    fn from_ref(shared: &Shared) -> Self {
        shared.name.clone()
    }
}

impl FromRef<Shared> for u8 {
    fn from_ref(shared: &Shared) -> Self {
        shared.limit
    }
}

/// An extractor of a user. It takes a name from the request, or rejects the request.
struct User(String);

impl<S: Sync> FromRequestParts<S> for User {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let name = parts
            .headers
            .get("x-user")
            .and_then(|name| name.to_str().ok());
        name.map(|name| Self(name.to_owned()))
            .ok_or_else(|| Problem::new(StatusCode::UNAUTHORIZED).detail("say who you are"))
    }
}

generators!(
    #[route("/parts/{place}")]
    #[event_stream]
    async fn parts(
        place: u16,
        User(user): User,
        State(name): State<String>,
        State(limit): State<u8>,
        LastEventId(last): LastEventId,
    ) {
        let last = last.map(|id| id.as_str().to_owned());
        yield server_event!(json = {"place": place, "user": user, "name": name, "limit": limit, "last": last});
    }
);

#[route("/whole", methods = [PUT])]
async fn whole(State(shared): State<Shared>, Json(number): Json<u8>) -> String {
    format!("{} {}", shared.name, shared.limit + number)
}

#[route("/info/{x}")]
async fn info(x: u8, request: axum::extract::Request) -> impl IntoResponse {
    let info = request.extensions().get::<Arc<RouteInfo>>();
    format!("{x} {}", info.map_or("none", |info| &*info.pattern))
}

fn app() -> App<Shared> {
    let shared = Shared {
        name: "roof".to_owned(),
        limit: 3,
    };
    App::with_state(shared).routes(routes![parts, whole, info])
}

#[tokio::test]
async fn handlers_get_the_state_and_its_parts_beside_other_arguments() {
    let server = Server::start(app()).await;
    for protocol in BOTH {
        let mut connection = Connection::open(protocol, server.address).await;
        let headers = [("x-user", "ann"), ("last-event-id", "41")];
        let reply = connection
            .send(Method::GET, "/parts/7", &headers, empty())
            .await;
        assert_eq!(
            reply.text().await,
            "data: {\"place\":7,\"user\":\"ann\",\"name\":\"roof\",\"limit\":3,\"last\":\"41\"}\n\n"
        );
        let json = [("content-type", "application/json")];
        let body = crate::support::http::full("4");
        let reply = connection.send(Method::PUT, "/whole", &json, body).await;
        assert_eq!(reply.text().await, "roof 7");
    }
}

#[tokio::test]
async fn the_rejection_of_an_extractor_is_the_response() {
    let server = Server::start(app()).await;
    for protocol in BOTH {
        let reply = get(protocol, server.address, "/parts/7").await;
        assert_eq!(reply.status, 401);
        assert_eq!(reply.json().await["detail"], "say who you are");
        // The path is checked first.
        assert_eq!(get(protocol, server.address, "/parts/x").await.status, 400);
    }
}

#[tokio::test]
async fn a_handler_knows_its_route() {
    let server = Server::start(app()).await;
    let reply = get(BOTH[0], server.address, "/info/1").await;
    assert_eq!(reply.text().await, "1 /info/{x}");
}

#[tokio::test]
async fn the_fallback_gets_requests_that_match_no_route() {
    let rest = tower::service_fn(async |request: Request<axum::body::Body>| {
        let text = format!("{} {}", request.method(), request.uri().path());
        Ok::<_, Infallible>(Response::new(axum::body::Body::from(text)))
    });
    let server = Server::start(app().fallback_service(rest)).await;
    for protocol in BOTH {
        let mut connection = Connection::open(protocol, server.address).await;
        let reply = connection.get("/nowhere?x").await;
        assert_eq!(reply.status, 200);
        assert_eq!(reply.text().await, "GET /nowhere");
        let reply = connection
            .send(Method::HEAD, "/nowhere", &[], empty())
            .await;
        assert_eq!(reply.text().await, "");
        // The fallback does not answer other methods of a path that has a route.
        let reply = connection.send(Method::POST, "/info/1", &[], empty()).await;
        assert_eq!(reply.status, 405);
    }
}

#[tokio::test]
async fn a_panic_of_the_fallback_is_500_and_the_connection_stays_open() {
    #[route("/panics")]
    async fn panics() -> &'static str {
        if true {
            panic!("on purpose");
        }
        ""
    }
    let rest = tower::service_fn(async |request: Request<axum::body::Body>| {
        assert_ne!(request.uri().path(), "/boom", "on purpose");
        Ok::<_, Infallible>(Response::new(axum::body::Body::empty()))
    });
    let app = App::new().routes(routes![panics]).fallback_service(rest);
    let server = Server::start(app).await;
    for protocol in BOTH {
        let mut connection = Connection::open(protocol, server.address).await;
        for path in ["/panics", "/boom"] {
            let reply = connection.get(path).await;
            assert_eq!(reply.status, 500, "{path}");
            let problem = serde_json::json!({"title": "Internal Server Error", "status": 500});
            assert_eq!(reply.json().await, problem);
            assert_eq!(connection.get("/fine").await.status, 200);
        }
    }
}

mod conflicts {
    use super::*;

    #[route("/rooms/{room}", methods = [GET, POST])]
    pub(super) async fn first(room: String) -> String {
        room
    }

    #[route("/rooms/{room}", methods = [POST])]
    pub(super) async fn same(room: String) -> String {
        room
    }

    #[route("/rooms/{id}", methods = [DELETE])]
    pub(super) async fn other_name(id: u8) -> String {
        id.to_string()
    }

    #[route("/rooms/{*rest}")]
    pub(super) async fn the_rest(rest: String) -> String {
        rest
    }

    #[route("/{*path}")]
    pub(super) async fn everything(path: String) -> String {
        path
    }

    #[route("/rooms/lobby")]
    pub(super) async fn literal() -> &'static str {
        "the lobby"
    }

    #[route("/rooms/{room}", methods = [PUT, HEAD])]
    pub(super) async fn other_methods(room: String) -> String {
        room
    }
}

/// Returns the error of the app about its routes, without line numbers. Each edit changes those.
fn refusal(app: App) -> String {
    let error: Error = app.into_service().expect_err("the routes conflict");
    assert!(error.is_route());
    let text = error.chain().to_string();
    let mut shown = String::new();
    let mut rest = &*text;
    while let Some((before, after)) = rest.split_once(".rs:") {
        shown.push_str(before);
        shown.push_str(".rs");
        rest = after.trim_start_matches(|c: char| c.is_ascii_digit());
    }
    shown + rest
}

#[test]
fn an_error_names_the_places_of_two_routes_for_the_same_requests() {
    use conflicts::{first, other_name, same, the_rest};
    let place =
        |function| format!("it::app::structure::conflicts::{function}, tests/it/app/structure.rs");
    assert_eq!(
        refusal(App::new().routes(routes![first, same])),
        format!(
            "the routes cannot be served: two routes answer the same requests: \
             GET|POST /rooms/{{room}} ({}) and POST /rooms/{{room}} ({})",
            place("first"),
            place("same")
        )
    );
    assert_eq!(
        refusal(App::new().routes(routes![first, other_name])),
        format!(
            "the routes cannot be served: two routes match the same paths: \
             GET|POST /rooms/{{room}} ({}) and DELETE /rooms/{{id}} ({}): \
             to share them, give their parameters the same names",
            place("first"),
            place("other_name")
        )
    );
    assert_eq!(
        refusal(App::new().routes(routes![first, the_rest])),
        format!(
            "the routes cannot be served: two routes match the same paths: \
             GET|POST /rooms/{{room}} ({}) and GET /rooms/{{*rest}} ({})",
            place("first"),
            place("the_rest")
        )
    );
}

#[tokio::test]
async fn the_most_specific_of_similar_routes_answers() {
    use conflicts::{everything, first, literal, other_methods};
    let app = App::new().routes(routes![everything, first, literal, other_methods]);
    let server = Server::start(app).await;
    for protocol in BOTH {
        for (path, expected) in [
            ("/rooms/lobby", "the lobby"),
            ("/rooms/blue", "blue"),
            ("/rooms/blue/seats/1", "rooms/blue/seats/1"),
        ] {
            assert_eq!(
                get(protocol, server.address, path).await.text().await,
                expected
            );
        }
        let mut connection = Connection::open(protocol, server.address).await;
        let reply = connection
            .send(Method::PUT, "/rooms/blue", &[], empty())
            .await;
        assert_eq!(reply.text().await, "blue");
        let reply = connection
            .send(Method::DELETE, "/rooms/blue", &[], empty())
            .await;
        assert_eq!(reply.header("allow"), Some("GET, HEAD, POST, PUT"));
    }
}

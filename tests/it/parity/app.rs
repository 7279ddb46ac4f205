//! `App` and routes of the original framework.

use std::path::PathBuf;

use axum::extract::Request;
use bocadillo::testing::TestClient;
use bocadillo::{
    App, IntoResponse, Json, Problem, Query, StatusCode, Streams, event_stream, generators, route,
    routes,
};
use futures_util::StreamExt;
use http::{HeaderMap, HeaderValue, Method, header};
use serde_json::json;

use crate::support::Server;
use crate::support::http::{BOTH, Connection, empty, full, get};

#[route("/hello")]
async fn hello() -> &'static str {
    "hello"
}

#[route("/notes", methods = [POST, PUT])]
async fn write() -> StatusCode {
    StatusCode::CREATED
}

#[route("/notes", methods = [DELETE])]
async fn delete() -> StatusCode {
    StatusCode::NO_CONTENT
}

#[route("/rooms/{room}/seats/{seat}")]
async fn seat(seat: u8, room: String) -> String {
    format!("seat {seat} of {room}")
}

#[route("/files/{*path}")]
async fn file(path: PathBuf) -> String {
    path.display().to_string()
}

#[derive(serde::Deserialize)]
struct Page {
    start: u32,
    #[serde(default)]
    text: String,
}

#[route("/pages")]
async fn pages(Query(page): Query<Page>) -> String {
    format!("{} {}", page.start, page.text)
}

#[route("/agent")]
async fn agent(headers: HeaderMap) -> String {
    let agent = headers.get(header::USER_AGENT);
    agent.map_or_else(String::new, |agent| format!("{agent:?}"))
}

#[derive(serde::Deserialize, serde::Serialize)]
struct Note {
    text: String,
    stars: u8,
}

#[route("/json", methods = [POST])]
async fn json_body(Json(note): Json<Note>) -> Json<Note> {
    Json(note)
}

#[route("/length", methods = [POST])]
async fn length(request: Request) -> Result<String, StatusCode> {
    let mut chunks = request.into_body().into_data_stream();
    let mut length = 0;
    while let Some(chunk) = chunks.next().await {
        length += chunk.map_err(|_| StatusCode::BAD_REQUEST)?.len();
    }
    Ok(length.to_string())
}

#[route("/teapot")]
async fn teapot() -> Problem {
    Problem::new(StatusCode::IM_A_TEAPOT)
        .detail("no coffee here")
        .with("capacity", 5)
        .header(header::RETRY_AFTER, HeaderValue::from_static("3600"))
}

generators!(
    #[route("/endless")]
    #[event_stream]
    async fn endless() {
        for n in 0_u64.. {
            yield n.to_string();
        }
    }

    #[route("/once")]
    #[event_stream]
    async fn once() {
        yield "0";
    }
);

fn app() -> App {
    App::new().routes(routes![
        hello, write, delete, seat, file, pages, agent, json_body, length, teapot, endless, once
    ])
}

#[tokio::test]
async fn a_path_that_is_not_served_is_404() {
    let server = Server::start(app()).await;
    for protocol in BOTH {
        for path in [
            "/nowhere",
            "/",
            "/hello/",
            "/Hello",
            "//hello",
            "/rooms/1/seats",
        ] {
            let reply = get(protocol, server.address, path).await;
            assert_eq!(reply.status, 404, "{path}");
            assert_eq!(
                reply.header("content-type"),
                Some("application/problem+json")
            );
            let expected = json!({
                "title": "Not Found", "status": 404, "detail": format!("nothing is served at {path}"),
            });
            assert_eq!(reply.json().await, expected);
        }
    }
}

#[tokio::test]
async fn a_method_that_is_not_served_is_405_with_allow() {
    let server = Server::start(app()).await;
    for protocol in BOTH {
        for (method, path, allow) in [
            ("POST", "/hello", "GET, HEAD"),
            ("GET", "/notes", "DELETE, POST, PUT"),
            ("HEAD", "/notes", "DELETE, POST, PUT"),
            ("OPTIONS", "/hello", "GET, HEAD"),
            ("BREW", "/hello", "GET, HEAD"),
        ] {
            let mut connection = Connection::open(protocol, server.address).await;
            let asked = method.parse().expect("a token");
            let reply = connection.send(asked, path, &[], empty()).await;
            assert_eq!(reply.status, 405, "{method} {path}");
            assert_eq!(reply.header("allow"), Some(allow), "{method} {path}");
            assert_eq!(
                reply.header("content-type"),
                Some("application/problem+json")
            );
            if method == "HEAD" {
                assert_eq!(reply.text().await, "");
            } else {
                let detail = format!("{path} does not take {method}; it takes {allow}");
                assert_eq!(reply.json().await["detail"], detail);
            }
        }
    }
}

#[tokio::test]
async fn get_adds_head_and_other_methods_are_declared() {
    let server = Server::start(app()).await;
    for protocol in BOTH {
        let mut connection = Connection::open(protocol, server.address).await;
        let reply = connection.send(Method::HEAD, "/hello", &[], empty()).await;
        assert_eq!(reply.status, 200);
        assert_eq!(reply.header("content-length"), Some("5"));
        assert_eq!(reply.text().await, "");
        let reply = connection.get("/hello").await;
        assert_eq!(reply.header("content-length"), Some("5"));
        assert_eq!(reply.text().await, "hello");
        for (method, status) in [
            (Method::POST, 201),
            (Method::PUT, 201),
            (Method::DELETE, 204),
        ] {
            let reply = connection.send(method, "/notes", &[], empty()).await;
            assert_eq!(reply.status, status);
            assert_eq!(reply.text().await, "");
        }
    }
}

#[tokio::test]
async fn path_parameters_are_decoded_and_parsed_by_the_types_of_the_arguments() {
    let server = Server::start(app()).await;
    for protocol in BOTH {
        for (path, expected) in [
            ("/rooms/blue/seats/7", "seat 7 of blue"),
            ("/rooms/a%20b%2Fc+d/seats/0", "seat 0 of a b/c+d"),
            ("/rooms/caf%C3%A9/seats/255", "seat 255 of café"),
            ("/rooms/100%25/seats/1", "seat 1 of 100%"),
            ("/files/a/b%20c.txt", "a/b c.txt"),
        ] {
            let reply = get(protocol, server.address, path).await;
            assert_eq!(reply.status, 200, "{path}");
            assert_eq!(reply.text().await, expected);
        }
    }
}

#[tokio::test]
async fn a_path_parameter_that_does_not_parse_is_400_with_its_name() {
    let server = Server::start(app()).await;
    for protocol in BOTH {
        for (path, parameter, why) in [
            (
                "/rooms/a/seats/256",
                "seat",
                "number too large to fit in target type",
            ),
            ("/rooms/a/seats/x", "seat", "invalid digit found in string"),
            ("/rooms/%FF/seats/1", "room", "it is not UTF-8 once decoded"),
        ] {
            let reply = get(protocol, server.address, path).await;
            assert_eq!(reply.status, 400, "{path}");
            assert_eq!(
                reply.header("content-type"),
                Some("application/problem+json")
            );
            let expected = json!({
                "title": "Bad Request",
                "status": 400,
                "detail": format!("the path parameter `{parameter}` does not fit: {why}"),
                "parameter": parameter,
            });
            assert_eq!(reply.json().await, expected);
        }
    }
}

#[tokio::test]
async fn extractors_read_the_query_and_headers() {
    let server = Server::start(app()).await;
    for protocol in BOTH {
        let reply = get(protocol, server.address, "/pages?start=3&text=a+b%26c").await;
        assert_eq!(reply.text().await, "3 a b&c");
        for (query, why) in [
            ("", "missing field `start`"),
            ("?start=x", "invalid digit found in string"),
            ("?start=1&start=2", "duplicate field `start`"),
        ] {
            let reply = get(protocol, server.address, &format!("/pages{query}")).await;
            assert_eq!(reply.status, 400, "{query}");
            assert_eq!(
                reply.header("content-type"),
                Some("application/problem+json")
            );
            let detail = reply.json().await["detail"].to_string();
            assert!(detail.contains(why), "{detail}");
        }
        let mut connection = Connection::open(protocol, server.address).await;
        let headers = [("user-agent", "a test")];
        let reply = connection
            .send(Method::GET, "/agent", &headers, empty())
            .await;
        assert_eq!(reply.text().await, "\"a test\"");
    }
}

#[tokio::test]
async fn a_json_body_is_read_and_an_error_in_it_is_explained() {
    let server = Server::start(app()).await;
    let json = "application/json";
    for protocol in BOTH {
        let mut connection = Connection::open(protocol, server.address).await;
        for content_type in [
            json,
            "application/json; charset=utf-8",
            "application/note+json",
        ] {
            let headers = [("content-type", content_type)];
            let body = full(r#"{"text": "hi", "stars": 5}"#);
            let reply = connection.send(Method::POST, "/json", &headers, body).await;
            assert_eq!(reply.status, 200);
            assert_eq!(reply.header("content-type"), Some(json));
            assert_eq!(reply.text().await, r#"{"text":"hi","stars":5}"#);
        }
        for (content_type, body, status, why) in [
            (json, "{\"text\": ", 400, "JSON is malformed"),
            (json, "", 400, "JSON is malformed"),
            (
                json,
                "{\"text\": \"hi\", \"stars\": 5} {",
                400,
                "JSON is malformed",
            ),
            (
                json,
                "{\"text\": \"hi\", \"stars\": 256}",
                422,
                "the JSON does not fit: stars: invalid value",
            ),
            (json, "{\"text\": \"hi\"}", 422, "missing field `stars`"),
            (
                "text/plain",
                "{\"text\": \"hi\", \"stars\": 5}",
                415,
                "Content-Type",
            ),
            (
                "application/x-www-form-urlencoded",
                "text=hi",
                415,
                "Content-Type",
            ),
        ] {
            let headers = [("content-type", content_type)];
            let reply = connection
                .send(Method::POST, "/json", &headers, full(body))
                .await;
            assert_eq!(reply.status, status, "{body}");
            assert_eq!(
                reply.header("content-type"),
                Some("application/problem+json")
            );
            let detail = reply.json().await["detail"].to_string();
            assert!(detail.contains(why), "{detail}");
        }
    }
}

#[tokio::test]
async fn a_json_body_over_its_limit_is_413() {
    let server = Server::start(app()).await;
    let headers = [("content-type", "application/json")];
    let note = |length| full(json!({"text": "x".repeat(length), "stars": 1}).to_string());
    for protocol in BOTH {
        let mut connection = Connection::open(protocol, server.address).await;
        let fits = note(2_000_000);
        let reply = connection.send(Method::POST, "/json", &headers, fits).await;
        assert_eq!(reply.status, 200);
        reply.text().await;

        let does_not = note(2_200_000);
        let reply = connection
            .send(Method::POST, "/json", &headers, does_not)
            .await;
        assert_eq!(reply.status, 413);
        assert_eq!(
            reply.header("content-type"),
            Some("application/problem+json")
        );
    }
    assert_eq!(get(BOTH[0], server.address, "/hello").await.status, 200);
}

#[tokio::test]
async fn a_streamed_body_is_read_by_chunks_without_a_limit() {
    let server = Server::start(app()).await;
    for protocol in BOTH {
        let mut connection = Connection::open(protocol, server.address).await;
        let body = full(vec![b'x'; 5_000_000]);
        let reply = connection.send(Method::POST, "/length", &[], body).await;
        assert_eq!(reply.text().await, "5000000");
    }
}

#[tokio::test]
async fn a_problem_is_json_with_its_status_members_and_headers() {
    let server = Server::start(app()).await;
    for protocol in BOTH {
        let reply = get(protocol, server.address, "/teapot").await;
        assert_eq!(reply.status, 418);
        assert_eq!(
            reply.header("content-type"),
            Some("application/problem+json")
        );
        assert_eq!(reply.header("retry-after"), Some("3600"));
        let expected = json!({
            "title": "I'm a teapot", "status": 418, "detail": "no coffee here", "capacity": 5,
        });
        assert_eq!(reply.json().await, expected);
    }
}

#[tokio::test]
async fn the_test_client_reads_an_endless_stream_event_by_event() {
    let client = TestClient::new(app()).expect("the routes do not conflict");
    let mut stream = client.get("/endless").send().await;
    for n in 0..1000 {
        let event = stream.next_event().await.expect("the stream is endless");
        assert_eq!(event.data, n.to_string());
    }
    stream.leave();
}

#[tokio::test]
async fn any_accept_gets_the_stream() {
    let server = Server::start(app()).await;
    for protocol in BOTH {
        let mut connection = Connection::open(protocol, server.address).await;
        for accept in [
            "application/json",
            "text/html",
            "*/*;q=0",
            "text/event-stream;q=0",
            "",
            "?",
        ] {
            let headers = [("accept", accept)];
            for (method, body) in [(Method::GET, "data: 0\n\n"), (Method::HEAD, "")] {
                let reply = connection.send(method, "/once", &headers, empty()).await;
                assert_eq!(reply.status, 200, "{accept}");
                assert_eq!(reply.header("content-type"), Some("text/event-stream"));
                assert_eq!(reply.text().await, body);
            }
        }
    }
}

#[tokio::test]
async fn a_strict_app_answers_an_accept_that_excludes_an_event_stream_with_406() {
    let server = Server::start(app().streams(Streams::new().strict_accept(true))).await;
    for protocol in BOTH {
        let mut connection = Connection::open(protocol, server.address).await;
        for (method, has_body) in [(Method::GET, true), (Method::HEAD, false)] {
            let headers = [("accept", "application/json")];
            let reply = connection.send(method, "/once", &headers, empty()).await;
            assert_eq!(reply.status, 406);
            assert_eq!(
                reply.header("content-type"),
                Some("application/problem+json")
            );
            assert_eq!(reply.header("vary"), Some("accept"));
            assert_eq!(!reply.text().await.is_empty(), has_body);
        }
        for accept in ["text/event-stream", "*/*", "text/html, text/*;q=0.5"] {
            let headers = [("accept", accept)];
            let reply = connection
                .send(Method::GET, "/once", &headers, empty())
                .await;
            assert_eq!(reply.status, 200);
            assert_eq!(reply.header("vary"), Some("accept"));
            assert_eq!(reply.text().await, "data: 0\n\n");
        }
        // `Accept` is checked only for event streams.
        let headers = [("accept", "application/json")];
        let reply = connection
            .send(Method::GET, "/hello", &headers, empty())
            .await;
        assert_eq!(reply.status, 200);
        assert_eq!(reply.header("vary"), None);
    }
}

#[test]
fn a_route_can_be_called_as_a_function() {
    let answer = futures_util::FutureExt::now_or_never(seat(7, "blue".to_owned()));
    assert_eq!(answer.as_deref(), Some("seat 7 of blue"));
    assert_eq!(teapot_status(), 418);
}

fn teapot_status() -> StatusCode {
    futures_util::FutureExt::now_or_never(teapot())
        .expect("it waits for nothing")
        .into_response()
        .status()
}

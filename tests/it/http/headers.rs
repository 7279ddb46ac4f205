//! Headers that a handler sets, and headers that the library sets.

use bocadillo::{
    App, Html, IntoResponse, Json, Problem, Response, StatusCode, StopReconnecting, StreamOptions,
    event_stream, generators, route, routes, stream,
};
use http::{HeaderMap, HeaderName, HeaderValue, Method, header};
use tower_http::set_header::SetResponseHeaderLayer;

use crate::support::Server;
use crate::support::http::{BOTH, Connection, Protocol, Raw, Reply, empty};

generators!(
    #[event_stream]
    async fn events() {
        yield "one";
    }

    #[stream(content_type = "application/x-ndjson")]
    async fn bytes() {
        yield "{}\n";
    }
);

/// Sets the headers that the request has as `x-set-NAME` and `x-append-NAME`.
fn told(request: &HeaderMap, mut response: Response) -> Response {
    for (name, value) in request {
        let headers = response.headers_mut();
        let of = |name: &str| -> HeaderName { name.parse().expect("a name") };
        if let Some(name) = name.as_str().strip_prefix("x-set-") {
            headers.insert(of(name), value.clone());
        } else if let Some(name) = name.as_str().strip_prefix("x-append-") {
            headers.append(of(name), value.clone());
        } else if name == "x-status" {
            *response.status_mut() = StatusCode::from_bytes(value.as_bytes()).expect("a status");
        }
    }
    response
}

#[route("/events")]
async fn of_events(request: HeaderMap) -> Response {
    told(&request, events().into_response())
}

#[route("/utf-8")]
async fn utf_8(request: HeaderMap) -> Response {
    told(
        &request,
        events()
            .with(StreamOptions::new().charset(true))
            .into_response(),
    )
}

#[route("/not-utf-8")]
async fn not_utf_8() -> Response {
    events()
        .with(StreamOptions::new().charset(false))
        .into_response()
}

#[route("/bytes")]
async fn of_bytes(request: HeaderMap) -> Response {
    told(&request, bytes().into_response())
}

#[route("/problem")]
async fn problem() -> Problem {
    Problem::new(StatusCode::IM_A_TEAPOT)
        .header(
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/json"),
        )
        .header(header::SET_COOKIE, HeaderValue::from_static("a=1"))
        .header(header::SET_COOKIE, HeaderValue::from_static("b=2"))
}

#[route("/html")]
async fn html() -> Html<String> {
    Html(String::new())
}

#[route("/html-problem")]
async fn html_problem() -> Html<Result<String, Problem>> {
    Html(Err(StatusCode::NOT_FOUND.into()))
}

#[route("/html-latin")]
async fn html_latin() -> impl IntoResponse {
    Html(([(header::CONTENT_TYPE, "text/html; charset=latin1")], ""))
}

#[route("/json")]
async fn json() -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "application/geo+json")], Json(1))
}

#[route("/stop")]
async fn stop(request: HeaderMap) -> Response {
    told(&request, StopReconnecting.into_response())
}

fn app() -> App {
    App::new().routes(routes![
        of_events,
        utf_8,
        not_utf_8,
        of_bytes,
        problem,
        html,
        html_problem,
        html_latin,
        json,
        stop
    ])
}

fn all(reply: &Reply, name: &str) -> Vec<String> {
    let values = reply.headers.get_all(name).iter();
    values
        .map(|value| value.to_str().expect("text").to_owned())
        .collect()
}

/// Checks all values of one header, of GET and of HEAD, in both protocols.
async fn check(
    app: impl Fn() -> App,
    path: &str,
    asked: &[(&str, &str)],
    name: &str,
    expected: &[&str],
) {
    let server = Server::start(app()).await;
    for protocol in BOTH {
        for method in [Method::GET, Method::HEAD] {
            let mut connection = Connection::open(protocol, server.address).await;
            let reply = connection.send(method.clone(), path, asked, empty()).await;
            assert_eq!(
                all(&reply, name),
                expected,
                "{method} {path} {asked:?} {name}"
            );
            reply.text().await;
        }
    }
}

const PLAIN: &str = "text/event-stream";
const UTF_8: &str = "text/event-stream; charset=utf-8";

#[tokio::test]
async fn an_event_stream_content_type_of_the_handler_is_kept() {
    for own in [
        UTF_8,
        "text/event-stream;charset=utf-8",
        "Text/Event-Stream",
        "TEXT/EVENT-STREAM ; charset=\"UTF-8\"; v=1",
        "text/event-stream;",
    ] {
        check(
            app,
            "/events",
            &[("x-set-content-type", own)],
            "content-type",
            &[own],
        )
        .await;
        check(
            app,
            "/events",
            &[("x-append-content-type", own)],
            "content-type",
            &[own],
        )
        .await;
        check(
            app,
            "/utf-8",
            &[("x-set-content-type", own)],
            "content-type",
            &[own],
        )
        .await;
    }
    let both = [
        ("x-append-content-type", "a/b"),
        ("x-append-content-type", UTF_8),
    ];
    check(app, "/events", &both, "content-type", &[UTF_8]).await;
}

#[tokio::test]
async fn another_content_type_of_the_handler_is_replaced() {
    for other in [
        "application/json",
        "text/event-streams",
        "text/plain; a=text/event-stream",
        "",
        "?",
    ] {
        for asked in ["x-set-content-type", "x-append-content-type"] {
            check(app, "/events", &[(asked, other)], "content-type", &[PLAIN]).await;
        }
        check(
            app,
            "/utf-8",
            &[("x-set-content-type", other)],
            "content-type",
            &[UTF_8],
        )
        .await;
    }
}

#[tokio::test]
async fn the_app_or_the_stream_can_add_a_charset() {
    check(app, "/events", &[], "content-type", &[PLAIN]).await;
    check(app, "/utf-8", &[], "content-type", &[UTF_8]).await;
    let with = || app().stream_options(StreamOptions::new().charset(true));
    check(with, "/events", &[], "content-type", &[UTF_8]).await;
    check(with, "/not-utf-8", &[], "content-type", &[PLAIN]).await;
    check(
        with,
        "/bytes",
        &[],
        "content-type",
        &["application/x-ndjson"],
    )
    .await;
}

#[tokio::test]
async fn a_header_of_the_handler_replaces_the_default() {
    check(
        app,
        "/events",
        &[],
        "cache-control",
        &["no-cache, no-transform"],
    )
    .await;
    for (name, own) in [
        ("cache-control", "private, no-store"),
        ("x-accel-buffering", "yes"),
        ("incremental", "?0"),
    ] {
        for path in ["/events", "/bytes"] {
            let set = format!("x-set-{name}");
            check(app, path, &[(&set, own)], name, &[own]).await;
            let append = format!("x-append-{name}");
            check(app, path, &[(&append, own)], name, &[own]).await;
        }
    }
    let several = [
        ("x-append-cache-control", "private"),
        ("x-append-cache-control", "max-age=1"),
    ];
    check(
        app,
        "/events",
        &several,
        "cache-control",
        &["private", "max-age=1"],
    )
    .await;
    let same = [("x-append-cache-control", "no-cache, no-transform")];
    check(
        app,
        "/events",
        &same,
        "cache-control",
        &["no-cache, no-transform"],
    )
    .await;
    check(
        app,
        "/bytes",
        &[("x-append-content-type", "text/csv")],
        "content-type",
        &["text/csv"],
    )
    .await;
    for name in ["vary", "last-modified", "date", "etag", "allow", "server"] {
        let set = format!("x-set-{name}");
        check(app, "/events", &[(&set, "own")], name, &["own"]).await;
    }
}

#[tokio::test]
async fn a_layer_can_change_each_header() {
    let with = || {
        let name = header::CACHE_CONTROL;
        let value = HeaderValue::from_static("no-store");
        app()
            .layer(SetResponseHeaderLayer::overriding(name, value))
            .layer(SetResponseHeaderLayer::overriding(
                header::CONTENT_TYPE,
                HeaderValue::from_static("text/x-own"),
            ))
    };
    check(with, "/events", &[], "cache-control", &["no-store"]).await;
    check(with, "/events", &[], "content-type", &["text/x-own"]).await;
    let unless = || {
        let name = header::CACHE_CONTROL;
        let value = HeaderValue::from_static("no-store");
        app().layer(SetResponseHeaderLayer::if_not_present(name, value))
    };
    check(
        unless,
        "/events",
        &[],
        "cache-control",
        &["no-cache, no-transform"],
    )
    .await;
}

#[tokio::test]
async fn problems_and_pages_have_one_content_type() {
    let json = "application/json";
    check(app, "/problem", &[], "content-type", &[json]).await;
    check(app, "/problem", &[], "set-cookie", &["a=1", "b=2"]).await;
    check(
        app,
        "/html",
        &[],
        "content-type",
        &["text/html; charset=utf-8"],
    )
    .await;
    check(
        app,
        "/html-problem",
        &[],
        "content-type",
        &["application/problem+json"],
    )
    .await;
    check(
        app,
        "/html-latin",
        &[],
        "content-type",
        &["text/html; charset=latin1"],
    )
    .await;
    check(app, "/json", &[], "content-type", &["application/geo+json"]).await;
}

#[tokio::test]
async fn a_length_that_would_break_the_response_is_removed() {
    check(
        app,
        "/events",
        &[("x-set-content-length", "3")],
        "content-length",
        &[],
    )
    .await;
    for path in ["/events", "/bytes", "/stop"] {
        let asked = [
            ("x-status", "204"),
            ("x-set-content-length", "3"),
            ("x-set-etag", "own"),
        ];
        check(app, path, &asked, "content-length", &[]).await;
        check(app, path, &asked, "content-type", &[]).await;
        check(app, path, &asked, "etag", &["own"]).await;
    }
    let own = [("x-status", "204"), ("x-set-content-type", "text/own")];
    check(app, "/events", &own, "content-type", &["text/own"]).await;
}

/// RFC 9110, section 15.3.6: the response has no content.
#[tokio::test]
async fn a_205_has_no_body() {
    let server = Server::start(app()).await;
    for path in ["/events", "/bytes"] {
        let asked = [("x-status", "205")];
        for protocol in BOTH {
            let mut connection = Connection::open(protocol, server.address).await;
            let reply = connection.send(Method::GET, path, &asked, empty()).await;
            assert_eq!(reply.status, 205);
            assert_eq!(reply.header("content-type"), None);
            assert_eq!(reply.text().await, "");
            // The next response of the connection is complete.
            let reply = connection.get("/events").await;
            assert_eq!(reply.text().await, "data: one\n\n");
        }
        let request =
            format!("GET {path} HTTP/1.1\r\nhost: x\r\nx-status: 205\r\nconnection: close\r\n\r\n");
        let answer = Raw::exchange(server.address, request).await;
        assert!(answer.contains("\r\ncontent-length: 0\r\n"), "{answer}");
        assert!(answer.ends_with("\r\n\r\n"), "{answer}");
    }
}

#[tokio::test]
async fn the_handler_may_close_the_connection() {
    let server = Server::start(app()).await;
    let mut connection = Connection::open(Protocol::Http1, server.address).await;
    let asked = [("x-set-connection", "close")];
    let reply = connection
        .send(Method::GET, "/events", &asked, empty())
        .await;
    assert_eq!(all(&reply, "connection"), ["close"]);
}

//! Invalid and oversized requests get an error response or are cut. The server continues.

use bocadillo::{App, event_stream, generators, route, routes};
use http::{Method, StatusCode};
use tokio::io::AsyncReadExt;

use crate::support::http::{BOTH, Connection, PREFACE, Protocol, Raw, empty, full, get};
use crate::support::{Server, wait};

generators!(
    #[route("/feed")]
    #[event_stream]
    async fn feed() {
        yield "fine";
    }
);

#[route("/named/{name}")]
async fn named(name: String) -> String {
    name
}

async fn serve() -> Server {
    Server::start(App::new().routes(routes![feed, named])).await
}

/// Sends each request on a new connection. Expects a response with one of these statuses, and a closed connection. Then
/// checks that the server answers another client.
async fn check<B: AsRef<[u8]>>(inputs: impl IntoIterator<Item = B>, statuses: &[u16]) {
    let server = serve().await;
    for input in inputs {
        let shown = String::from_utf8_lossy(input.as_ref())
            .chars()
            .take(60)
            .collect::<String>();
        let answer = Raw::exchange(server.address, &input).await;
        let status = answer
            .strip_prefix("HTTP/1.1 ")
            .or_else(|| answer.strip_prefix("HTTP/1.0 "))
            .and_then(|rest| rest.get(..3)?.parse().ok());
        assert!(
            status.is_some_and(|status| statuses.contains(&status)),
            "{shown:?}: {answer:?}"
        );
        for protocol in BOTH {
            let reply = get(protocol, server.address, "/feed").await;
            assert_eq!(reply.text().await, "data: fine\n\n", "after {shown:?}");
        }
    }
    server.stop().await;
}

#[tokio::test]
async fn a_request_line_that_is_too_long_is_refused() {
    check(
        [20_000, 100_000]
            .map(|length| format!("GET /{} HTTP/1.1\r\nhost: x\r\n\r\n", "x".repeat(length))),
        &[414, 431],
    )
    .await;
}

#[tokio::test]
async fn a_header_that_is_too_long_is_refused() {
    let long = "x".repeat(20_000);
    check(
        [
            format!("GET /feed HTTP/1.1\r\nhost: x\r\nlong: {long}\r\n\r\n"),
            format!("GET /feed HTTP/1.1\r\nhost: x\r\n{long}: y\r\n\r\n"),
            // A request line that never ends.
            format!("GET /feed HTTP/1.1\r\nhost: x\r\nlong: {long}"),
        ],
        &[431],
    )
    .await;
}

#[tokio::test]
async fn too_many_headers_are_refused() {
    let many: String = (0..200).map(|n| format!("h{n}: x\r\n")).collect();
    check([format!("GET /feed HTTP/1.1\r\n{many}\r\n")], &[431]).await;
}

#[tokio::test]
async fn a_head_that_is_too_large_is_refused_over_http_2() {
    let server = serve().await;
    let long = "x".repeat(15_000);
    let mut connection = Connection::open(Protocol::Http2, server.address).await;
    let headers = [("one", &*long), ("two", &*long)];
    let reply = connection
        .try_send(Method::GET, "/feed", &headers, empty())
        .await;
    assert!(
        reply.as_ref().map_or(true, |reply| reply.status
            == StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE),
        "{reply:?}"
    );
    let reply = get(Protocol::Http2, server.address, "/feed").await;
    assert_eq!(reply.text().await, "data: fine\n\n");
}

#[tokio::test]
async fn an_invalid_request_line_is_400() {
    check(
        [
            &b"GET\r\n\r\n"[..],
            b"GET /feed\r\n\r\n",
            b"GET /feed HTTP/9.9\r\nhost: x\r\n\r\n",
            b"GET /feed HTTP/2.0\r\nhost: x\r\n\r\n",
            b"GET  /feed HTTP/1.1\r\nhost: x\r\n\r\n",
            b"G(T /feed HTTP/1.1\r\nhost: x\r\n\r\n",
            b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 a TLS handshake\r\n\r\n",
            b"\x00\x01\x02\x03\xff\xfe\r\n\r\n",
            // The preface of HTTP/2 without its last byte, as a request of HTTP/1.
            b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r!",
        ],
        &[400],
    )
    .await;
}

#[tokio::test]
async fn invalid_or_contradictory_headers_are_400() {
    check(
        [
            &b"GET /feed HTTP/1.1\r\nhost x\r\n\r\n"[..],
            b"GET /feed HTTP/1.1\r\nhost: x\r\nbad\x00name: y\r\n\r\n",
            b"GET /feed HTTP/1.1\r\nhost: x\r\nbad: \x00\r\n\r\n",
            b"POST /feed HTTP/1.1\r\nhost: x\r\ncontent-length: x\r\n\r\n",
            b"POST /feed HTTP/1.1\r\nhost: x\r\ncontent-length: -1\r\n\r\n",
            b"POST /feed HTTP/1.1\r\nhost: x\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nab",
            b"POST /feed HTTP/1.1\r\nhost: x\r\ntransfer-encoding: magic\r\n\r\n",
        ],
        &[400],
    )
    .await;
}

#[tokio::test]
async fn a_path_that_is_not_utf_8_is_refused() {
    let server = serve().await;
    // As raw bytes this is not a URI. Percent-encoded it is a URI, but not UTF-8.
    let raw = Raw::exchange(
        server.address,
        b"GET /named/\xff\xfe HTTP/1.1\r\nhost: x\r\n\r\n",
    )
    .await;
    assert!(raw.starts_with("HTTP/1.1 400 "), "{raw}");
    for protocol in BOTH {
        for (path, status) in [("/named/%FF%FE", 400), ("/%FF", 404), ("/named/%C3", 400)] {
            assert_eq!(
                get(protocol, server.address, path).await.status,
                status,
                "{path}"
            );
        }
    }
}

#[tokio::test]
async fn an_invalid_percent_encoding_is_kept_as_text() {
    let server = serve().await;
    for protocol in BOTH {
        for (path, expected) in [
            ("/named/100%", "100%"),
            ("/named/%zz%4", "%zz%4"),
            ("/named/%00", "\0"),
        ] {
            let reply = get(protocol, server.address, path).await;
            assert_eq!(reply.status, 200, "{path}");
            assert_eq!(reply.text().await, expected);
        }
    }
}

#[tokio::test]
async fn a_path_cannot_leave_the_root() {
    let server = serve().await;
    for path in [
        "/named/../feed",
        "/named/%2e%2e/feed",
        "/./feed",
        "/named/a%2Fb/../../feed",
    ] {
        let request = format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
        let answer = Raw::exchange(server.address, request).await;
        assert!(answer.starts_with("HTTP/1.1 404 "), "{path}: {answer}");
    }
    let reply = get(Protocol::Http1, server.address, "/named/..%2Ffeed").await;
    assert_eq!(reply.text().await, "../feed");
}

#[tokio::test]
async fn unknown_and_lower_case_methods_are_405() {
    let requests = ["BREW", "get", "Get", "X-Y_Z", "TRACE", "OPTIONS"]
        .map(|method| format!("{method} /feed HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n"));
    check(requests, &[405]).await;
}

#[tokio::test]
async fn unusual_request_targets_are_answered() {
    let close = "HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
    check([format!("GET http://elsewhere/feed {close}")], &[200]).await;
    check(
        [
            // The name of a host, as CONNECT has it.
            format!("GET feed {close}"),
            format!("OPTIONS * {close}"),
            format!("CONNECT example.org:443 {close}"),
            format!("GET /?/feed {close}"),
            format!("GET http://elsewhere {close}"),
        ],
        &[404],
    )
    .await;
}

#[tokio::test]
async fn http_0_9_is_refused() {
    check(["GET /feed\r\n", "GET /feed\n\n"], &[400]).await;
}

#[tokio::test]
async fn a_client_that_closes_without_a_request_gets_no_response() {
    let server = serve().await;
    for start in [
        "",
        "P",
        "PRI * HT",
        "GET /fe",
        "GET /feed HTTP/1.1\r\nhost: x\r\n",
    ] {
        let mut raw = Raw::connect(server.address).await;
        raw.send(start).await;
        raw.end().await;
        let answer = raw.rest().await;
        assert!(
            answer.is_empty() || answer.starts_with("HTTP/1.1 400 "),
            "{start:?}: {answer:?}"
        );
    }
    assert_eq!(
        get(Protocol::Http1, server.address, "/feed").await.status,
        200
    );
    server.stop().await;
}

#[tokio::test]
async fn a_connection_with_invalid_bytes_after_the_http_2_preface_is_cut() {
    let server = serve().await;
    for garbage in [
        &b"this is no frame, and it is long enough to hold the head of one"[..],
        // A frame of 16 MiB, a HEADERS frame on stream 0, and SETTINGS of a wrong length.
        b"\xff\xff\xff\x00\x00\x00\x00\x00\x01",
        b"\x00\x00\x01\x01\x04\x00\x00\x00\x00\x82",
        b"\x00\x00\x05\x04\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00",
    ] {
        let mut raw = Raw::connect(server.address).await;
        raw.send(PREFACE).await;
        raw.send(garbage).await;
        let mut answer = Vec::new();
        // The connection ends in order or with a reset. Both are correct.
        let _ = wait::within("the cut", raw.connection.read_to_end(&mut answer)).await;
        let reply = get(Protocol::Http2, server.address, "/feed").await;
        assert_eq!(reply.text().await, "data: fine\n\n");
    }
    server.stop().await;
}

#[tokio::test]
async fn a_get_request_may_have_a_body() {
    let server = serve().await;
    for protocol in BOTH {
        let mut connection = Connection::open(protocol, server.address).await;
        for _ in 0..2 {
            let reply = connection
                .send(Method::GET, "/feed", &[], full("a body"))
                .await;
            assert_eq!(reply.text().await, "data: fine\n\n");
        }
    }
    // A body that looks like a request is not handled as a request.
    let hidden = "GET /named/hidden HTTP/1.1\r\nhost: x\r\n\r\n";
    let request = format!(
        "GET /feed HTTP/1.1\r\nhost: x\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{hidden}",
        hidden.len()
    );
    let answer = Raw::exchange(server.address, request).await;
    assert_eq!(answer.matches("HTTP/1.1").count(), 1, "{answer}");
    assert!(answer.contains("data: fine\n\n"), "{answer}");
}

#[tokio::test]
async fn invalid_chunks_end_the_body_and_not_the_server() {
    #[route("/read", methods = [POST])]
    async fn read(body: Result<String, axum::extract::rejection::StringRejection>) -> String {
        body.map_or_else(|error| error.body_text(), |body| format!("read {body}"))
    }

    let server = Server::start(App::new().routes(routes![read])).await;
    // The server closes the connection after each, because it does not know where the next request begins. Otherwise
    // `exchange` would wait for ever.
    for chunk in [
        "x\r\nabc\r\n",
        "-1\r\nabc\r\n",
        "fffffffffffffffff\r\nabc\r\n",
        "1\r\nab\r\n",
    ] {
        let request = format!(
            "POST /read HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n{chunk}0\r\n\r\n"
        );
        let answer = Raw::exchange(server.address, request).await;
        assert!(!answer.contains("read abc"), "{chunk:?}: {answer}");
    }
    let good = "POST /read HTTP/1.1\r\nhost: x\r\nconnection: close\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n";
    let answer = Raw::exchange(server.address, good).await;
    assert!(answer.ends_with("read abc"), "{answer}");
}

#[tokio::test]
async fn a_response_to_connection_close_has_connection_close() {
    let server = serve().await;
    let request = "GET /feed HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
    let answer = Raw::exchange(server.address, request).await;
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
    assert!(head.contains("\r\nconnection: close"), "{head}");
    assert!(!head.contains("keep-alive"), "{head}");
    assert_eq!(body, "C\r\ndata: fine\n\n\r\n0\r\n\r\n");
}

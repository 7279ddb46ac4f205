//! The tests of the original framework, written for this library.
//!
//! Two of them are elsewhere. `disconnect` tests that a disconnect is noticed within 100 ms. The compile errors test
//! that a function that is not a generator is refused.

use axum::extract::Request;
use bocadillo::{
    App, IntoResponse, StatusCode, event_stream, generators, route, routes, server_event, stream,
};
use futures_util::StreamExt;
use http::Method;

use crate::support::Server;
use crate::support::http::{BOTH, Connection, Raw, get, pieces};

generators!(
    #[route("/five-forms")]
    #[event_stream]
    async fn five_forms() {
        yield server_event!(data = "foo");
        yield server_event!("foo", data = "bar");
        yield server_event!("foo", json = {"message": "bar"});
        yield server_event!("foo", id = 1, data = ["foo", "bar"]);
        yield server_event!(id = 2, data = "last");
    }

    #[stream]
    async fn characters(text: &'static str) {
        for character in text.chars() {
            yield character.to_string();
        }
    }

    #[route("/body", methods = [POST])]
    #[stream(content_type = "text/plain")]
    async fn body(request: Request) -> Result<(), axum::Error> {
        let mut chunks = request.into_body().into_data_stream();
        while let Some(chunk) = chunks.next().await {
            let chunk = chunk?;
            if !chunk.is_empty() {
                yield format!("[{}]", String::from_utf8_lossy(&chunk));
            }
        }
        Ok(())
    }
);

#[route("/plain")]
async fn plain() -> impl IntoResponse {
    let headers = [
        ("x-foo", "bar"),
        ("content-type", "text/plain; charset=utf-8"),
    ];
    (StatusCode::ACCEPTED, headers, characters("¡Hola, mundo!"))
}

fn app() -> App {
    App::new().routes(routes![five_forms, body, plain])
}

#[tokio::test]
async fn five_forms_of_events_have_the_expected_lines() {
    let server = Server::start(app()).await;
    for protocol in BOTH {
        let reply = get(protocol, server.address, "/five-forms").await;
        let text = reply.text().await;
        let lines: Vec<&str> = text.split('\n').collect();
        let expected = [
            "data: foo",
            "",
            "event: foo",
            "data: bar",
            "",
            "event: foo",
            "data: {\"message\":\"bar\"}",
            "",
            "id: 1",
            "event: foo",
            "data: foo",
            "data: bar",
            "",
            "id: 2",
            "data: last",
            "",
            "",
        ];
        assert_eq!(lines, expected);
    }
}

#[tokio::test]
async fn a_plain_stream_has_its_text_and_the_status_and_headers_of_the_view() {
    let server = Server::start(app()).await;
    for protocol in BOTH {
        let reply = get(protocol, server.address, "/plain").await;
        assert_eq!(reply.status, 202);
        assert_eq!(reply.header("x-foo"), Some("bar"));
        assert_eq!(
            reply.header("content-type"),
            Some("text/plain; charset=utf-8")
        );
        assert_eq!(reply.header("content-length"), None);
        assert_eq!(reply.text().await, "¡Hola, mundo!");
    }
}

#[tokio::test]
async fn a_request_body_of_three_chunks_is_streamed() {
    let server = Server::start(app()).await;
    for protocol in BOTH {
        let mut connection = Connection::open(protocol, server.address).await;
        let (body, received) = pieces();
        let mut reply = connection.send(Method::POST, "/body", &[], received).await;
        assert_eq!(reply.header("content-type"), Some("text/plain"));
        for chunk in ["one", "two", "three"] {
            body.send(Ok(chunk)).expect("the request is still sent");
            // Each chunk is answered before the next one is sent.
            assert_eq!(reply.until("]").await, format!("[{chunk}]"));
        }
        drop(body);
        assert_eq!(reply.text().await, "");
    }
    let request = "POST /body HTTP/1.1\r\nhost: x\r\nconnection: close\r\ntransfer-encoding: chunked\r\n\r\n\
                   3\r\none\r\n3\r\ntwo\r\n5\r\nthree\r\n0\r\n\r\n";
    let answer = Raw::exchange(server.address, request).await;
    let text: String = answer
        .chars()
        .filter(|c| !c.is_ascii_whitespace())
        .collect();
    for chunk in ["[one]", "[two]", "[three]"] {
        assert!(text.contains(chunk), "{answer}");
    }
}

//! Clients and proxies of other projects read streams with the default settings.

use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use bocadillo::{
    App, IntoResponse, State, StreamOptions, event_stream, generators, route, routes, server_event,
};
use http::{Method, header};
use serde_json::{Value, json};
use tokio::sync::Notify;

use crate::support::http::{Connection, Protocol, empty};
use crate::support::{Lines, Server, target};

const CLIENTS: &str = include_str!("clients/clients.py");
const PROXY: &str = include_str!("clients/proxy.js");

generators!(
    #[route("/text")]
    #[event_stream]
    async fn text() {
        yield "ñandú €";
    }

    #[route("/v1/responses/{id}")]
    #[event_stream]
    async fn response(id: String) {
        let response = format!(r#"{{"id":"{id}"}}"#);
        for (number, kind) in ["response.created", "response.completed"]
            .iter()
            .enumerate()
        {
            let data =
                format!(r#"{{"type":"{kind}","sequence_number":{number},"response":{response}}}"#);
            yield server_event!(*kind, data = data);
        }
    }

    #[route("/v1/chat/completions", methods = [POST])]
    #[event_stream]
    async fn completions() {
        for word in ["one ", "two"] {
            yield server_event!(json = {
                "id": "c", "object": "chat.completion.chunk", "created": 0, "model": "any",
                "choices": [{"index": 0, "delta": {"content": word}, "finish_reason": null}],
            });
        }
        yield "[DONE]";
    }

    #[route("/told")]
    #[event_stream]
    async fn told(State(next): State<Arc<Notify>>) {
        for n in 0.. {
            yield n.to_string();
            next.notified().await;
        }
    }
);

#[route("/text-with-charset")]
async fn with_charset() -> impl IntoResponse {
    text().with(StreamOptions::new().charset(true))
}

#[route("/text-of-a-view")]
async fn of_a_view() -> impl IntoResponse {
    (
        [(header::CONTENT_TYPE, "Text/Event-Stream;charset=UTF-8")],
        text(),
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn python_clients_get_the_stream_with_any_accept() {
    let app = App::new().routes(routes![
        text,
        response,
        completions,
        with_charset,
        of_a_view
    ]);
    let server = Server::start(app).await;
    let python = target().join("python/bin/python");
    assert!(
        python.exists(),
        "the clients in Python are not installed: `cargo xtask test` installs them"
    );
    let run = Command::new(python)
        .args(["-c", CLIENTS, &format!("http://{}", server.address)])
        .stderr(Stdio::inherit())
        .output()
        .expect("python starts");
    assert!(run.status.success(), "{}", run.status);
    let found: Value = serde_json::from_slice(&run.stdout).expect("JSON");
    let whole = json!([200, ["data: ñandú €", ""]]);
    // Without a charset, `requests` decodes the text as Latin-1.
    let latin = json!([200, ["data: Ã±andÃº â\u{82}¬", ""]]);
    assert_eq!(
        found,
        json!({
            "openai responses": ["response.created", "response.completed"],
            "openai completions": "one two",
            "httpx no accept": whole,
            "httpx json": whole,
            "httpx html": whole,
            "httpx nothing": whole,
            "requests no accept": latin,
            "requests json": latin,
            "requests html": latin,
            "requests nothing": latin,
            "head": [200, "text/event-stream"],
            "text-with-charset": ["text/event-stream; charset=utf-8", ["data: ñandú €", ""]],
            "text-of-a-view": ["Text/Event-Stream;charset=UTF-8", ["data: ñandú €", ""]],
        }),
    );
}

/// A proxy: Express with `compression()` and `http-proxy-middleware`.
struct Proxy {
    node: Child,
    address: SocketAddr,
}

impl Proxy {
    async fn start(server: &Server) -> Self {
        let modules = target().join("node/node_modules");
        assert!(
            modules.join("express").exists(),
            "the proxy's packages are not installed: `cargo xtask test` installs them"
        );
        let mut node = Command::new("node")
            .args(["-e", PROXY, "--", &format!("http://{}", server.address)])
            .env("NODE_PATH", modules)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .expect("node starts");
        let lines = Lines::read(node.stdout.take().expect("the output is piped"));
        let line = lines.line("port ").await;
        let port = line.trim_start_matches("port ").parse().expect("a port");
        Self {
            node,
            address: ([127, 0, 0, 1], port).into(),
        }
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        let _ = self.node.kill();
        let _ = self.node.wait();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_proxy_that_compresses_forwards_each_event_at_once() {
    let next = Arc::new(Notify::new());
    let app = App::with_state(Arc::clone(&next)).routes(routes![told]);
    let server = Server::start(app).await;
    let proxy = Proxy::start(&server).await;
    let mut connection = Connection::open(Protocol::Http1, proxy.address).await;
    let headers = [("accept-encoding", "gzip, deflate, br")];
    let mut reply = connection
        .send(Method::GET, "/told", &headers, empty())
        .await;
    assert_eq!(reply.header("content-encoding"), None);
    for n in 0..5 {
        // The next event is sent only after this one has arrived.
        assert_eq!(reply.until("\n\n").await, format!("data: {n}\n\n"));
        next.notify_one();
    }
}

//! A server with several addresses and listeners. They share a log, a shutdown and an error.

use std::time::Duration;

use bocadillo::{App, Client, Server, State, event_stream, generators, route, routes};
use tokio::net::{TcpListener, UnixListener, UnixStream};
use tokio_util::sync::CancellationToken;

use crate::support::http::{BOTH, Connection, get};
use crate::support::{Log, Watch, scratch, wait, watch};

generators!(
    #[route("/feed")]
    #[event_stream(raise_on_disconnect)]
    async fn feed(State(watch): State<Watch>, _client: Client) {
        while let Ok(()) = yield "one" {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
        watch.say("cleaned up");
    }
);

/// Returns the addresses in the lines `listening on …`, in order.
async fn addresses(log: &Log, count: usize) -> Vec<String> {
    let lines = async {
        loop {
            let lines = log.lines("listening on ");
            if lines.len() == count {
                return lines;
            }
            tokio::task::yield_now().await;
        }
    };
    let lines = wait::within("the lines of the addresses", lines).await;
    let address = |line: String| line.split("listening on ").nth(1).map(str::to_owned);
    lines.into_iter().filter_map(address).collect()
}

#[tokio::test]
async fn several_addresses_and_listeners_share_one_shutdown() {
    let log = Log::at(tracing::Level::INFO);
    let (watch, mut reports) = watch();
    let path = scratch("several").join("s");
    let unix = UnixListener::bind(&path).expect("the path is valid");
    let tcp = TcpListener::bind("127.0.0.3:0").await.expect("a free port");
    let stop = CancellationToken::new();
    let app = App::with_state(watch).routes(routes![feed]);
    let server = Server::new(app)
        .bind("127.0.0.1:0")
        .listener(tcp)
        .bind("[::1]:0")
        .listener(unix)
        .bind(std::net::SocketAddr::from(([127, 0, 0, 2], 0)))
        .shutdown_timeout(Duration::from_secs(600));
    let served = tokio::spawn(server.serve_until(stop.clone().cancelled_owned()));
    let addresses = addresses(&log, 5).await;
    assert!(
        addresses[0].starts_with("http://127.0.0.1:"),
        "{addresses:?}"
    );
    assert!(
        addresses[1].starts_with("http://127.0.0.3:"),
        "{addresses:?}"
    );
    assert!(addresses[2].starts_with("http://[::1]:"), "{addresses:?}");
    assert_eq!(addresses[3], format!("unix:{}", path.display()));
    assert!(
        addresses[4].starts_with("http://127.0.0.2:"),
        "{addresses:?}"
    );

    let mut streams = Vec::new();
    for protocol in BOTH {
        for index in [0, 1, 2, 4] {
            let address = addresses[index].trim_start_matches("http://");
            let address = address.parse().expect("it is an address");
            streams.push(get(protocol, address, "/feed").await);
        }
        let socket = UnixStream::connect(&path)
            .await
            .expect("the server listens");
        let mut connection = Connection::over(protocol, socket, "localhost").await;
        streams.push(connection.get("/feed").await);
    }
    for stream in &mut streams {
        stream.until("data: one\n\n").await;
    }
    stop.cancel();
    let served = wait::within("the server's end", served).await;
    served.expect("no panic").expect("it ends in order");
    assert_eq!(reports.so_far(), ["cleaned up"; 10]);
    for stream in streams {
        assert!(stream.end().await.1.is_ok());
    }
    for address in &addresses[..3] {
        let address = address.trim_start_matches("http://");
        let refused = tokio::net::TcpStream::connect(address).await;
        assert!(refused.is_err(), "{address} is still open");
    }
    assert!(UnixStream::connect(&path).await.is_err());
    let lines = log.lines("feed");
    assert!(
        lines.iter().any(|line| line.contains("GET /feed (")),
        "{lines:?}"
    );
}

#[tokio::test]
async fn an_error_names_an_address_in_use_and_the_other_addresses_are_closed() {
    let held = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let taken = held.local_addr().expect("the listener is bound");
    let other = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let free = other.local_addr().expect("the listener is bound");
    let error = Server::new(App::new())
        .listener(other)
        .bind(taken)
        .serve()
        .await
        .expect_err("one is taken");
    assert!(error.is_listen());
    let text = error.chain().to_string();
    assert!(
        text.contains(&format!("cannot listen on {taken}")),
        "{text}"
    );
    assert!(text.contains("use another port"), "{text}");
    assert!(tokio::net::TcpStream::connect(free).await.is_err());
}

#[tokio::test]
async fn an_error_names_an_address_without_a_port() {
    let error = Server::new(App::new()).bind("127.0.0.1").serve().await;
    let text = error.expect_err("there is no port").chain().to_string();
    assert!(text.contains("cannot listen on 127.0.0.1: "), "{text}");
}

#[tokio::test]
async fn dropping_the_future_closes_the_listeners_and_cuts_the_connections() {
    let log = Log::at(tracing::Level::INFO);
    let (watch, _reports) = watch();
    let app = App::with_state(watch).routes(routes![feed]);
    let server = Server::new(app).bind("127.0.0.1:0").bind("127.0.0.2:0");
    let served = tokio::spawn(server.serve());
    let mut streams = Vec::new();
    let addresses: Vec<std::net::SocketAddr> = addresses(&log, 2)
        .await
        .iter()
        .map(|address| address.trim_start_matches("http://").parse().expect("one"))
        .collect();
    for address in &addresses {
        for protocol in BOTH {
            let mut stream = get(protocol, *address, "/feed").await;
            stream.until("data: one\n\n").await;
            streams.push(stream);
        }
    }
    served.abort();
    for stream in streams {
        let end = wait::within("the cut", stream.end()).await;
        assert!(end.1.is_err(), "the response has to be cut");
    }
    for address in addresses {
        wait::within("the end of the listener", async {
            while tokio::net::TcpStream::connect(address).await.is_ok() {
                tokio::task::yield_now().await;
            }
        })
        .await;
    }
}

//! The server distinguishes clients whose network fails from paused clients. The tests cut a network and stop a
//! process.
//!
//! The tests need Linux, and permission to make network namespaces.

use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use bocadillo::{App, State, StreamOptions, event_stream, generators, route, routes, stream};
use bytes::Bytes;
use tokio::net::TcpListener;

use crate::support::{Reports, Server, Watch, scratch, wait, watch};

const ACK: Duration = Duration::from_secs(2);
const WHOLE: usize = 12_000_000;

#[derive(Clone, Debug)]
struct Said(Watch);

generators!(
    /// Sends small events, for which the kernel's buffers have room.
    #[route("/events")]
    #[event_stream]
    async fn events(State(said): State<Said>) {
        let _guard = said.0.guard("dropped");
        said.0.say("begun");
        loop {
            yield "tick";
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// The same as bytes.
    #[route("/bytes")]
    #[stream]
    async fn ticks(State(said): State<Said>) {
        let _guard = said.0.guard("dropped");
        said.0.say("begun");
        loop {
            yield "tick";
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Sends more than all buffers can hold.
    #[route("/whole")]
    #[stream]
    async fn whole(State(said): State<Said>) {
        let guard = said.0.guard("dropped");
        said.0.say("begun");
        let chunk = Bytes::from(vec![b'x'; 100_000]);
        for _ in 0..WHOLE / chunk.len() {
            yield chunk.clone();
        }
        drop(guard);
    }
);

fn app() -> (App<Said>, Reports) {
    let (watch, reports) = watch();
    let app = App::with_state(Said(watch)).routes(routes![events, ticks, whole]);
    (app, reports)
}

fn run(command: &str) {
    let words: Vec<_> = command.split(' ').collect();
    let status = Command::new(words[0]).args(&words[1..]).status();
    let status = status.unwrap_or_else(|error| panic!("{command}: {error}"));
    assert!(status.success(), "{command}: {status}");
}

/// A network between the test and a network namespace that the test makes.
struct Network {
    name: String,
    subnet: u32,
}

impl Network {
    fn new(subnet: u32) -> Self {
        let name = format!("boca{}x{subnet}", std::process::id());
        run(&format!("ip netns add {name}"));
        let network = Self { name, subnet };
        let (name, here) = (&network.name, network.device());
        run(&format!(
            "ip link add {here} type veth peer name peer netns {name}"
        ));
        run(&format!("ip addr add 10.213.{subnet}.1/24 dev {here}"));
        run(&format!("ip link set {here} up"));
        run(&format!(
            "ip -n {name} addr add 10.213.{subnet}.2/24 dev peer"
        ));
        run(&format!("ip -n {name} link set peer up"));
        network
    }

    fn device(&self) -> String {
        format!("bo{}x{}", std::process::id() % 100_000, self.subnet)
    }

    async fn listen(&self) -> TcpListener {
        let address = format!("10.213.{}.1:0", self.subnet);
        TcpListener::bind(address)
            .await
            .expect("the address is valid")
    }

    fn cut(&self) {
        run(&format!("ip -n {} link set peer down", self.name));
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        // This removes the devices too.
        let _ = Command::new("ip")
            .args(["netns", "del", &self.name])
            .status();
        let _ = Command::new("ip")
            .args(["link", "del", &self.device()])
            .status();
    }
}

/// A client in another process.
struct Curl(Child);

impl Curl {
    fn start(prefix: &[&str], address: SocketAddr, path: &str, output: &str) -> Self {
        let url = format!("http://{address}{path}");
        let words = [
            prefix,
            &["curl", "-sN", "--limit-rate", "4M", "-o", output, &url],
        ]
        .concat();
        let child = Command::new(words[0])
            .args(&words[1..])
            .stdin(Stdio::null())
            .spawn()
            .expect("curl is installed");
        Self(child)
    }

    fn signal(&self, signal: &str) {
        run(&format!("kill {signal} {}", self.0.id()));
    }
}

impl Drop for Curl {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[tokio::test]
async fn a_client_whose_network_fails_is_detected() {
    for (subnet, path, write_timeout) in [
        (1, "/events", true),
        (2, "/events", false),
        (3, "/bytes", true),
        (4, "/whole", true),
    ] {
        let network = Network::new(subnet);
        let (mut app, mut reports) = app();
        app = if write_timeout {
            app.stream_options(StreamOptions::new().write_timeout(ACK))
        } else {
            app.stream_options(StreamOptions::new().no_write_timeout())
        };
        let listener = network.listen().await;
        let address = listener.local_addr().expect("the listener is bound");
        let _server = Server::on(bocadillo::Server::new(app).ack_timeout(ACK), listener);
        let prefix = ["ip", "netns", "exec", &network.name];
        let curl = Curl::start(&prefix, address, path, "/dev/null");
        assert_eq!(reports.next().await, "begun");
        if path == "/whole" {
            // The client is paused, and then killed.
            curl.signal("-STOP");
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
        network.cut();
        let start = Instant::now();
        let found = tokio::time::timeout(ACK * 8, async {
            assert_eq!(reports.next().await, "dropped");
        });
        found
            .await
            .unwrap_or_else(|_| panic!("{path} {write_timeout}: it is not found"));
        println!("{path} {write_timeout}: found after {:?}", start.elapsed());
        curl.signal("-CONT");
    }
}

#[tokio::test]
async fn a_paused_download_arrives_completely() {
    const ACK: Duration = Duration::from_secs(1);
    let (app, mut reports) = app();
    let server = Server::start(bocadillo::Server::new(app).ack_timeout(ACK)).await;
    let output = scratch("paused").join("whole");
    let output = output.to_str().expect("a path of text");
    let mut curl = Curl::start(&[], server.address, "/whole", output);
    assert_eq!(reports.next().await, "begun");
    curl.signal("-STOP");
    tokio::time::sleep(ACK * 4).await;
    assert_eq!(reports.so_far(), [""; 0]);
    curl.signal("-CONT");
    let ended = wait::within("curl's end", async {
        loop {
            if let Some(status) = curl.0.try_wait().expect("a child") {
                break status;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
    assert!(ended.await.success());
    let length = std::fs::metadata(output).expect("curl has written").len();
    assert_eq!(length, WHOLE as u64);
}

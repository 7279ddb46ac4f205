//! Many clients connect and disconnect. Nothing leaks.

use std::collections::HashSet;
use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use bocadillo::{App, ClientDisconnect, State, event_stream, generators, route, routes};
use tokio::net::TcpListener;
use tokio::runtime;
use tokio_util::sync::CancellationToken;

use crate::support::wait;

const ROUNDS: usize = 10_000;
const CLIENTS: usize = 2;

#[derive(Clone, Debug, Default)]
struct Alive(Arc<AtomicUsize>);

struct Counted(Alive);

impl Counted {
    fn new(alive: Alive) -> Self {
        alive.0.fetch_add(1, Ordering::Relaxed);
        Self(alive)
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Ordering::Relaxed);
    }
}

generators!(
    #[route("/dropped")]
    #[event_stream]
    async fn dropped(State(alive): State<Alive>) {
        let _counted = Counted::new(alive);
        yield "one";
        std::future::pending::<()>().await;
    }

    #[route("/raised")]
    #[event_stream(raise_on_disconnect)]
    async fn raised(State(alive): State<Alive>) {
        let _counted = Counted::new(alive);
        while let Ok(()) = yield "one" {
            tokio::time::sleep(std::time::Duration::from_millis(1)).await;
        }
        assert_eq!(yield "gone", Err(ClientDisconnect));
    }
);

#[test]
fn ten_thousand_connections_leak_no_stream_task_or_descriptor() {
    // This runtime has only the tasks of the server.
    let runtime = runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime");
    let alive = Alive::default();
    let app = App::with_state(alive.clone()).routes(routes![dropped, raised]);
    let stop = CancellationToken::new();
    let listener = runtime
        .block_on(TcpListener::bind("127.0.0.1:0"))
        .expect("a port is free");
    let address = listener.local_addr().expect("the listener is bound");
    let served = runtime.spawn(
        bocadillo::Server::new(app)
            .listener(listener)
            .serve_until(stop.clone().cancelled_owned()),
    );
    wait::until("the server to run", || (tasks(&runtime) == 1).then_some(()));

    let clients: Vec<_> = (0..CLIENTS)
        .map(|client| {
            thread::spawn(move || {
                let path = ["/dropped", "/raised"][client % 2];
                (0..ROUNDS / CLIENTS).for_each(|_| come_and_leave(address, path));
            })
        })
        .collect();
    for client in clients {
        client.join().expect("each round gets its event");
    }

    wait::until("no stream more", || {
        (alive.0.load(Ordering::Relaxed) == 0).then_some(())
    });
    wait::until("no task more", || (tasks(&runtime) == 1).then_some(()));
    wait::until("no descriptor more", || {
        (descriptors(address.port()) == 1).then_some(())
    });

    stop.cancel();
    runtime
        .block_on(served)
        .expect("no panic")
        .expect("in order");
    wait::until("no task at all", || (tasks(&runtime) == 0).then_some(()));
    assert_eq!(descriptors(address.port()), 0);
}

fn come_and_leave(address: SocketAddr, path: &str) {
    let mut connection = TcpStream::connect(address).expect("the server listens");
    write!(connection, "GET {path} HTTP/1.1\r\nHost: here\r\n\r\n").expect("the server reads");
    let mut read = Vec::new();
    while !read.windows(11).any(|window| window == b"data: one\n\n") {
        let mut piece = [0; 1024];
        let length = connection.read(&mut piece).expect("the server writes");
        assert_ne!(
            length,
            0,
            "the server closed after {:?}",
            String::from_utf8_lossy(&read)
        );
        read.extend_from_slice(&piece[..length]);
    }
}

fn tasks(runtime: &runtime::Runtime) -> usize {
    runtime.metrics().num_alive_tasks()
}

/// Counts the descriptors of this process that are sockets at the local port. Other tests run in this process too.
fn descriptors(port: u16) -> usize {
    let table = fs::read_to_string("/proc/self/net/tcp").expect("Linux has it");
    let local = format!(":{port:04X}");
    let at_port: HashSet<String> = table
        .lines()
        .map(|line| line.split_whitespace().collect::<Vec<_>>())
        .filter(|fields| fields.len() > 9 && fields[1].ends_with(&local))
        .map(|fields| format!("socket:[{}]", fields[9]))
        .collect();
    let ours = fs::read_dir("/proc/self/fd")
        .expect("Linux has it")
        .filter_map(Result::ok);
    ours.filter_map(|entry| fs::read_link(entry.path()).ok())
        .filter(|link| link.to_str().is_some_and(|link| at_port.contains(link)))
        .count()
}

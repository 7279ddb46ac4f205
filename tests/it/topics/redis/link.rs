//! A slow proxy to Redis. It counts bytes and connections. The test can stop its answers.

use std::sync::atomic::AtomicUsize;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::{Mutex, watch};

use super::*;

pub(super) struct Link {
    pub(super) url: String,
    counts: Arc<Counts>,
    is_held: watch::Sender<bool>,
}

#[derive(Default)]
struct Counts {
    connections: AtomicUsize,
    bytes: AtomicUsize,
    largest: AtomicUsize,
}

impl Link {
    /// Limits the answers of Redis to `rate` bytes per second, for all connections together.
    pub(super) async fn new(redis: &Redis, rate: usize) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("redis://{}/", listener.local_addr().unwrap());
        let link = Self {
            url,
            counts: Arc::default(),
            is_held: watch::Sender::new(false),
        };
        let (counts, is_held) = (Arc::clone(&link.counts), link.is_held.subscribe());
        let address = redis.address();
        // When the next bytes may be sent.
        let free = Arc::new(Mutex::new(tokio::time::Instant::now()));
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                counts.connections.fetch_add(1, Ordering::Relaxed);
                let (free, counts, is_held) = (free.clone(), counts.clone(), is_held.clone());
                tokio::spawn(async move {
                    if let Ok(server) = TcpStream::connect(address).await {
                        carry(client, server, rate, &free, &counts, is_held).await;
                    }
                });
            }
        });
        link
    }

    /// The number of connections that were made.
    pub(super) fn connections(&self) -> usize {
        self.counts.connections.load(Ordering::Relaxed)
    }

    /// The number of bytes from Redis.
    pub(super) fn bytes(&self) -> usize {
        self.counts.bytes.load(Ordering::Relaxed)
    }

    /// The maximum number of bytes from Redis on one connection between two requests.
    pub(super) fn largest_answer(&self) -> usize {
        self.counts.largest.load(Ordering::Relaxed)
    }

    /// Whether the proxy holds the answers of Redis back.
    pub(super) fn hold(&self, is_held: bool) {
        self.is_held.send_replace(is_held);
    }
}

async fn carry(
    client: TcpStream,
    server: TcpStream,
    rate: usize,
    free: &Mutex<tokio::time::Instant>,
    counts: &Counts,
    mut is_held: watch::Receiver<bool>,
) {
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    let answer = AtomicUsize::new(0);
    let there = async {
        let mut buffer = vec![0; 65_536];
        while let Ok(length @ 1..) = from_client.read(&mut buffer).await {
            answer.store(0, Ordering::Relaxed);
            if to_server.write_all(&buffer[..length]).await.is_err() {
                return;
            }
        }
    };
    let back = async {
        let mut buffer = vec![0; 32_768];
        while let Ok(length @ 1..) = from_server.read(&mut buffer).await {
            let mut free = free.lock().await;
            let takes = Duration::from_secs_f64(length as f64 / rate as f64);
            // A late timer must not make the connection slower.
            let late = tokio::time::Instant::now() - Duration::from_millis(20);
            *free = (*free).max(late) + takes;
            tokio::time::sleep_until(*free).await;
            drop(free);
            counts.bytes.fetch_add(length, Ordering::Relaxed);
            let answer = answer.fetch_add(length, Ordering::Relaxed) + length;
            counts.largest.fetch_max(answer, Ordering::Relaxed);
            let released = is_held.wait_for(|is_held| !is_held).await.is_ok();
            if !released || to_client.write_all(&buffer[..length]).await.is_err() {
                return;
            }
        }
    };
    tokio::select! { () = there => {}, () = back => {} }
}

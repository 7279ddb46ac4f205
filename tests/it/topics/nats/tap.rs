//! A link to a server that counts what it carries, and that the test can slow down, hold or refuse.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::watch;
use tokio::time::Instant;

use super::*;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    Open,
    /// Nothing comes from the server.
    Held,
    /// Connections are closed at once.
    Refused,
}

pub(super) struct Tap {
    url: String,
    shared: Arc<Shared>,
    way: watch::Sender<Way>,
    task: JoinHandle<()>,
}

struct Shared {
    /// All that the node has sent.
    sent: Mutex<Vec<u8>>,
    /// How many bytes the server has sent.
    brought: AtomicU64,
    connections: AtomicUsize,
    /// When the link is free again, where its rate is bounded.
    free: tokio::sync::Mutex<Instant>,
    /// Bytes a second, or zero where there is no bound.
    rate: AtomicUsize,
}

impl Shared {
    fn note(&self, piece: &[u8]) {
        let mut sent = self.sent.lock().expect("nobody panics");
        sent.extend_from_slice(piece);
    }
}

impl Tap {
    /// The server's answers share `rate` bytes a second.
    pub(super) async fn to(target: SocketAddr, rate: Option<usize>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0")
            .await
            .expect("there is a free port");
        let address = listener.local_addr().expect("it is bound");
        let shared = Arc::new(Shared {
            sent: Mutex::default(),
            brought: AtomicU64::new(0),
            connections: AtomicUsize::new(0),
            free: tokio::sync::Mutex::new(Instant::now()),
            rate: AtomicUsize::new(rate.unwrap_or(0)),
        });
        let (way, open) = watch::channel(Way::Open);
        let carried = Arc::clone(&shared);
        let task = tokio::spawn(async move {
            let mut connections = JoinSet::new();
            loop {
                let (near, _) = listener.accept().await.expect("it listens");
                carried.connections.fetch_add(1, Ordering::AcqRel);
                if *open.borrow() == Way::Refused {
                    continue;
                }
                let far = TcpStream::connect(target).await.expect("it listens");
                connections.spawn(carry(near, far, Arc::clone(&carried), open.clone()));
            }
        });
        Self {
            url: format!("nats://{address}"),
            shared,
            way,
            task,
        }
    }

    pub(super) fn url(&self) -> &str {
        &self.url
    }

    pub(super) fn hub(&self) -> Hub {
        Hub::nats(self.url()).expect("the URL is one")
    }

    pub(super) fn set(&self, way: Way) {
        self.way.send_replace(way);
    }

    /// From now on the server's answers share `rate` bytes a second.
    pub(super) fn slow_down(&self, rate: usize) {
        self.shared.rate.store(rate, Ordering::Release);
    }

    /// How often the node has sent this.
    pub(super) fn sent(&self, what: &str) -> usize {
        let sent = self.shared.sent.lock().expect("nobody panics");
        let mut count = 0;
        let mut rest = &sent[..];
        while let Some(at) = rest
            .windows(what.len())
            .position(|part| part == what.as_bytes())
        {
            count += 1;
            rest = &rest[at + what.len()..];
        }
        count
    }

    pub(super) fn forget(&self) {
        self.shared.sent.lock().expect("nobody panics").clear();
        self.shared.brought.store(0, Ordering::Release);
    }

    pub(super) fn brought(&self) -> u64 {
        self.shared.brought.load(Ordering::Acquire)
    }

    pub(super) fn connections(&self) -> usize {
        self.shared.connections.load(Ordering::Acquire)
    }

    /// Waits until the node has sent this so often.
    pub(super) async fn has_sent(&self, what: &str, count: usize) {
        wait::within(what, async {
            while self.sent(what) < count {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        })
        .await;
    }

    /// What the node has sent once it sends nothing more for a while.
    pub(super) async fn settled(&self) {
        let length = || self.shared.sent.lock().expect("nobody panics").len();
        let mut before = usize::MAX;
        while before != length() {
            before = length();
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }
}

impl Drop for Tap {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn carry(
    near: TcpStream,
    far: TcpStream,
    shared: Arc<Shared>,
    mut way: watch::Receiver<Way>,
) {
    let (mut near_read, mut near_write) = near.into_split();
    let (mut far_read, mut far_write) = far.into_split();
    let up = async {
        let mut piece = vec![0; 16 * 1024];
        while let Ok(read @ 1..) = near_read.read(&mut piece).await {
            shared.note(&piece[..read]);
            if far_write.write_all(&piece[..read]).await.is_err() {
                return;
            }
        }
    };
    let mut held = way.clone();
    let down = async {
        let mut piece = vec![0; 16 * 1024];
        while let Ok(read @ 1..) = far_read.read(&mut piece).await {
            if held.wait_for(|way| *way != Way::Held).await.is_err() {
                return;
            }
            let rate = shared.rate.load(Ordering::Acquire);
            if rate > 0 {
                let mut free = shared.free.lock().await;
                // A timer that is late does not make the link slower.
                let start = (*free).max(Instant::now() - Duration::from_millis(20));
                *free = start + Duration::from_secs_f64(read as f64 / rate as f64);
                tokio::time::sleep_until(*free).await;
            }
            shared.brought.fetch_add(read as u64, Ordering::AcqRel);
            if near_write.write_all(&piece[..read]).await.is_err() {
                return;
            }
        }
    };
    tokio::select! {
        () = up => {}
        () = down => {}
        _ = way.wait_for(|way| *way == Way::Refused) => {}
    }
}

//! A proxy to a server. It counts the bytes. The test can slow it down, stop its answers, or let it refuse connections.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::watch;
use tokio::time::Instant;

use super::*;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    Open,
    /// The node receives nothing.
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
    /// The bytes that the node has sent.
    sent: Mutex<Vec<u8>>,
    /// How many bytes the server has sent.
    brought: AtomicU64,
    connections: AtomicUsize,
    /// When the next bytes may be sent, if the rate is limited.
    free: tokio::sync::Mutex<Instant>,
    /// Bytes per second. Zero is no limit.
    rate: AtomicUsize,
}

impl Shared {
    fn note(&self, piece: &[u8]) {
        let mut sent = self.sent.lock().expect("the lock is not poisoned");
        sent.extend_from_slice(piece);
    }
}

impl Tap {
    /// Limits the answers of the server to `rate` bytes per second.
    pub(super) async fn to(target: SocketAddr, rate: Option<usize>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("the listener is bound");
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
                let (near, _) = listener.accept().await.expect("the server listens");
                carried.connections.fetch_add(1, Ordering::AcqRel);
                if *open.borrow() == Way::Refused {
                    continue;
                }
                let far = TcpStream::connect(target)
                    .await
                    .expect("the server listens");
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
        Hub::nats(self.url()).expect("a valid URL")
    }

    pub(super) fn set(&self, way: Way) {
        self.way.send_replace(way);
    }

    /// Limits the answers of the server to `rate` bytes per second from now on.
    pub(super) fn slow_down(&self, rate: usize) {
        self.shared.rate.store(rate, Ordering::Release);
    }

    /// How often the node has sent this text.
    pub(super) fn sent(&self, what: &str) -> usize {
        let sent = self.shared.sent.lock().expect("the lock is not poisoned");
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
        self.shared
            .sent
            .lock()
            .expect("the lock is not poisoned")
            .clear();
        self.shared.brought.store(0, Ordering::Release);
    }

    pub(super) fn brought(&self) -> u64 {
        self.shared.brought.load(Ordering::Acquire)
    }

    pub(super) fn connections(&self) -> usize {
        self.shared.connections.load(Ordering::Acquire)
    }

    /// Waits until the node has sent this text a number of times.
    pub(super) async fn has_sent(&self, what: &str, count: usize) {
        wait::within(what, async {
            while self.sent(what) < count {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        })
        .await;
    }

    /// Waits until the node sends nothing for a while. Returns what it has sent.
    pub(super) async fn settled(&self) {
        let length = || {
            self.shared
                .sent
                .lock()
                .expect("the lock is not poisoned")
                .len()
        };
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
                // A late timer must not make the connection slower.
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

use std::future::poll_fn;
use std::os::fd::AsFd;

use tokio::io::AsyncReadExt;
use tokio::net::{TcpListener, TcpStream};

use super::*;

struct Nobody;

impl Observer for Nobody {
    fn read(&mut self, _: &[u8]) {}
}

/// Both ends of a connection over loopback.
pub(crate) async fn connected() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("it is bound");
    let (client, accepted) = tokio::join!(TcpStream::connect(address), listener.accept());
    (client.expect("it listens"), accepted.expect("a client").0)
}

pub(crate) fn link(connection: TcpStream, head: &[u8]) -> Arc<Link<TcpStream>> {
    Link::new(head.into(), connection, |connection| {
        Some(connection.as_fd())
    })
}

/// Writes until the socket takes nothing more for a while. Returns how many bytes it has taken.
pub(crate) async fn fill(link: &Arc<Link<TcpStream>>) -> u64 {
    let mut io = link.io(Nobody);
    let bytes = [b'x'; 16 * 1024];
    let write = async {
        while poll_fn(|cx| Pin::new(&mut io).poll_write(cx, &bytes))
            .await
            .is_ok()
        {}
    };
    let full = tokio::time::timeout(Duration::from_millis(200), write).await;
    full.expect_err("the client has closed");
    link.view().written
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn the_kernel_takes_64_kib_that_it_cannot_send() {
    let (mut client, server) = connected().await;
    // The kernel enlarges the send buffer while the client reads.
    let reading = async {
        let mut bytes = vec![0; 64 * 1024];
        let mut left = 64 * 1024 * 1024_usize;
        while left > 0 {
            left = left.saturating_sub(client.read(&mut bytes).await.expect("it is open"));
        }
        client
    };
    let link = link(server, b"");
    let mut io = link.io(Nobody);
    let writing = async {
        let bytes = [b'x'; 64 * 1024];
        loop {
            poll_fn(|cx| Pin::new(&mut io).poll_write(cx, &bytes))
                .await
                .expect("it is open");
        }
    };
    let client = tokio::select! {
        client = reading => client,
        never = writing => never,
    };
    fill(&link).await;
    // The kernel accounts for whole buffers, of at most 64 KiB each. What it has sent leaves when it is acknowledged.
    let settled = async {
        while unsent(&link) > 2 * u64::from(UNSENT) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let settled = tokio::time::timeout(Duration::from_secs(5), settled).await;
    assert!(settled.is_ok(), "{}", unsent(&link));
    drop(client);
}

/// How many bytes the kernel holds for the client, which has acknowledged none of them.
#[cfg(target_os = "linux")]
fn unsent(link: &Link<TcpStream>) -> u64 {
    let inode = link.inode().expect("Linux lists it").to_string();
    let list = std::fs::read_to_string("/proc/self/net/tcp").expect("Linux has it");
    let line = list
        .lines()
        .find(|line| line.split_whitespace().nth(9) == Some(&inode))
        .expect("it is listed");
    let queues = line.split_whitespace().nth(4).expect("two queues");
    let (sending, _) = queues.split_once(':').expect("two queues");
    u64::from_str_radix(sending, 16).expect("a number")
}

#[tokio::test]
async fn what_is_discarded_never_reaches_the_client() {
    for discards in [true, false] {
        let (mut client, server) = connected().await;
        let link = link(server, b"");
        let written = fill(&link).await;
        if discards {
            link.discard();
        }
        drop(link);
        let mut bytes = Vec::new();
        let read = client.read_to_end(&mut bytes).await;
        assert_eq!(read.is_err(), discards);
        assert_eq!((bytes.len() as u64) < written, discards);
    }
}

#[tokio::test]
async fn bytes_that_were_read_before_come_first_and_in_one_read_with_the_next() {
    let (client, server) = connected().await;
    client.writable().await.expect("it is open");
    assert_eq!(client.try_write(b" / HTTP/1.1").expect("room"), 11);
    server.readable().await.expect("it is open");
    let mut head = BytesMut::with_capacity(64);
    head.extend_from_slice(b"GET");
    let link = Link::new(head, server, |connection| Some(connection.as_fd()));
    let mut io = link.io(Nobody);
    let mut bytes = [0; 2];
    assert_eq!(io.read(&mut bytes).await.expect("it is open"), 2);
    let mut bytes = [0; 100];
    let length = io.read(&mut bytes).await.expect("it is open");
    assert_eq!(&bytes[..length], b"T / HTTP/1.1");
    assert_eq!(link.lock().head.capacity(), 0, "the buffer is released");
}

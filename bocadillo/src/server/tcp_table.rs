//! The kernel's table of TCP sockets: it shows whether the client of a connection still acknowledges.
//!
//! A client that is paused acknowledges the kernel's probes for room. A client that is gone acknowledges neither the
//! probes nor what is sent again. `TCP_USER_TIMEOUT` cuts both. The table has the number of probes, and of segments that
//! were sent again, without an answer.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::os::fd::{AsRawFd, BorrowedFd};
use std::time::Duration;

use tokio::sync::Mutex;
use tokio::time::Instant;

/// The connections with unanswered segments, and when the kernel's table was read. All connections share one reading,
/// because the table has a line for each socket of the network namespace.
static LISTED: Mutex<Option<(Instant, HashMap<u64, u32>)>> = Mutex::const_new(None);

/// The number of a socket in the kernel's table. `None` if there is no table.
pub(crate) fn inode(socket: BorrowedFd<'_>) -> Option<u64> {
    let link = fs::read_link(format!("/proc/self/fd/{}", socket.as_raw_fd())).ok()?;
    let text = link.to_str()?;
    text.strip_prefix("socket:[")?
        .strip_suffix(']')?
        .parse()
        .ok()
}

/// How many segments in a row the client has not acknowledged, from a reading that is not older than `age`.
///
/// A blocking thread reads the table. Connections that ask meanwhile wait for that one reading.
pub(crate) async fn unanswered_segments(inode: u64, age: Duration) -> u32 {
    let mut listed = LISTED.lock().await;
    let now = Instant::now();
    let is_old = |at| now.saturating_duration_since(at) >= age;
    if listed.as_ref().is_none_or(|(at, _)| is_old(*at)) {
        // It fails when the runtime shuts down.
        let counts = tokio::task::spawn_blocking(list).await.unwrap_or_default();
        *listed = Some((Instant::now(), counts));
    }
    listed
        .as_ref()
        .and_then(|(_, counts)| counts.get(&inode).copied())
        .unwrap_or(0)
}

/// Reads the kernel's table line by line, because it can be long.
fn list() -> HashMap<u64, u32> {
    let mut counts = HashMap::new();
    for path in ["/proc/self/net/tcp", "/proc/self/net/tcp6"] {
        let Ok(file) = File::open(path) else {
            continue;
        };
        // The kernel walks its table again for each read.
        let lines = BufReader::with_capacity(64 * 1024, file).lines();
        counts.extend(lines.map_while(Result::ok).filter_map(|line| read(&line)));
    }
    counts
}

/// The socket of a line, and its number of probes, or of segments that were sent again, without an answer.
fn read(line: &str) -> Option<(u64, u32)> {
    let mut fields = line.split_whitespace().skip(6);
    let again = u32::from_str_radix(fields.next()?, 16).ok()?;
    let probes: u32 = fields.nth(1)?.parse().ok()?;
    let inode = fields.next()?.parse().ok()?;
    let count = again.max(probes);
    (count > 0).then_some((inode, count))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn one_reading_of_the_list_serves_all_until_it_is_too_old() {
        let read_at = async || LISTED.lock().await.as_ref().map(|(at, _)| *at);
        let hour = Duration::from_secs(3600);
        unanswered_segments(1, hour).await;
        let first = read_at().await;
        futures_util::future::join_all((0..100).map(|inode| unanswered_segments(inode, hour)))
            .await;
        assert_eq!(read_at().await, first);
        unanswered_segments(1, Duration::ZERO).await;
        assert!(read_at().await > first);
    }

    #[test]
    fn a_line_of_the_kernel_is_read() {
        let head = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode";
        assert_eq!(read(head), None);
        let line = "   1: 0100007F:1F90 0100007F:C5A2 01 00000000:00000000 00:00000000 00000000     0        0 4711 2 0 20 4 30 10 -1";
        assert_eq!(read(line), None);
        let again = "   1: 0100007F:1F90 0100007F:C5A2 01 00000400:00000000 01:00000014 0000000A     0        0 4711 2 0 20 4 30 10 -1";
        assert_eq!(read(again), Some((4711, 10)));
        let asked = "   1: 0100007F:1F90 0100007F:C5A2 01 00000400:00000000 04:00000014 00000000     0        3 4711 2 0 20 4 30 10 -1";
        assert_eq!(read(asked), Some((4711, 3)));
    }
}

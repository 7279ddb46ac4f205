//! The memory of removed topics. It is measured in a separate process, because other tests would change the result.

use std::process::Command;
use std::time::Duration;

use bocadillo::topic::{Cursor, History, Hub};
use futures_util::StreamExt;

const CHILD: &str = "BOCADILLO_TEST_MEASURES_TOPICS";

#[test]
fn ten_thousand_removed_topics_free_their_memory() {
    if std::env::var_os(CHILD).is_some() {
        return measure();
    }
    let name = "topics::memory::ten_thousand_removed_topics_free_their_memory";
    let program = std::env::current_exe().unwrap();
    let child = Command::new(program)
        .args(["--exact", name, "--nocapture"])
        .env(CHILD, "1")
        .output()
        .unwrap();
    assert!(
        child.status.success(),
        "{}",
        String::from_utf8_lossy(&child.stderr)
    );
    assert!(
        String::from_utf8_lossy(&child.stdout).contains("1 passed"),
        "the test has been renamed"
    );
}

fn measure() {
    const ROUNDS: usize = 8;
    // With paused time, all topics exist at once, and then none.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap();
    let before = resident();
    let hub = Hub::builder()
        .history(History::new().max_age(Duration::from_secs(60)))
        .memory();
    let (mut full, mut after) = (0, Vec::new());
    for _ in 0..ROUNDS {
        runtime.block_on(async {
            for user in 0..10_000 {
                let topic = hub.topic(format!("users/{user}")).unwrap();
                topic
                    .publish_all((0..10).map(|_| "x".repeat(200)))
                    .await
                    .unwrap();
                let mut events = topic.subscribe_from(Cursor::start());
                assert!(events.next().await.is_some());
            }
            assert_eq!(hub.stats().topics, 10_000);
            full = full.max(resident());
            tokio::time::sleep(Duration::from_secs(70)).await;
            assert_eq!(hub.stats().topics, 0);
        });
        after.push(resident());
    }
    // The allocator keeps a different amount in each round. The test fails if a thirtieth of the topics stay in each round.
    let grown = after[ROUNDS - 1].saturating_sub(after[0]);
    let of_all = full - before;
    assert!(
        grown < of_all / 4,
        "{after:?} kB after each round, {full} kB at the most, {before} kB before"
    );
}

/// The process's resident memory in kB.
fn resident() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))
        .unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

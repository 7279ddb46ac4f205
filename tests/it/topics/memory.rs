//! What topics leave behind, in a process of its own: others' tests would be measured with it.

use std::process::Command;
use std::time::Duration;

use bocadillo::topic::{Cursor, History, Hub};
use futures_util::StreamExt;

use crate::support::wait;

const CHILD: &str = "BOCADILLO_TEST_MEASURES_TOPICS";

#[test]
fn ten_thousand_topics_come_and_go_and_the_memory_is_back() {
    if std::env::var_os(CHILD).is_some() {
        return measure();
    }
    let name = "topics::memory::ten_thousand_topics_come_and_go_and_the_memory_is_back";
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
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .unwrap();
    let hub = Hub::builder()
        .history(History::new().age(Duration::from_millis(100)))
        .memory();
    let mut after = Vec::new();
    let mut full = 0;
    for _ in 0..6 {
        runtime.block_on(async {
            for user in 0..10_000 {
                let topic = hub.topic(format!("users/{user}")).unwrap();
                topic
                    .publish_all((0..10).map(|_| "x".repeat(200)))
                    .await
                    .unwrap();
                let mut events = topic.subscribe(Cursor::start());
                assert!(events.next().await.is_some());
            }
            full = full.max(resident());
            wait::within("the topics to go", async {
                while hub.stats().topics > 0 {
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
            })
            .await;
        });
        after.push(resident());
    }
    let (early, late) = (after[1], after[5]);
    assert!(
        late <= early + early / 20,
        "{after:?} kB after each round, {full} kB at the most"
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

//! Slow connections, and more messages than a node can read.

use std::sync::{Arc, Condvar, Mutex};

use super::tap::Tap;
use super::*;
use crate::support::is_soak;

/// The time-out for all replays together. It is shorter than the maximum age of the history.
const LIMIT: Duration = Duration::from_secs(240);

#[tokio::test]
async fn a_long_replay_over_a_slow_connection_completes_on_nats() {
    let nats = Nats::start();
    let tap = Tap::to(nats.address(), Some(2_000_000)).await;
    let near = hub(&nats);
    let text = "x".repeat(64 * 1024);
    let first = publish(&topic(&near), "first").await;
    let count = 100;
    for number in 0..count {
        publish(&topic(&near), &format!("{number} {text}")).await;
    }
    let far = tap.hub();
    let mut events = topic(&far).subscribe_from(Cursor::after(&*first));
    for number in 0..count {
        let event = next(&mut events).await;
        assert!(
            event.starts_with(&format!("{number} ")),
            "{number}: {}",
            &event[..40]
        );
    }
    let needed = (count * text.len()) as u64;
    println!("{} bytes for {needed}", tap.brought());
    assert!(tap.brought() < 3 * needed, "{} for {needed}", tap.brought());
    assert_eq!(tap.connections(), 1);
}

/// The reader gets one `reset`, because it has missed events, and continues.
#[tokio::test]
async fn a_replay_slower_than_the_history_expires_ends_on_nats() {
    const EVENTS: usize = 60;
    for is_start in [false, true] {
        let nats = Nats::start();
        let tap = Tap::to(nats.address(), Some(150_000)).await;
        let age = History::new().max_age(Duration::from_secs(3));
        let near = topic(&built(&nats, Hub::builder().history(age)));
        let far = Hub::builder().history(age);
        let far = topic(&far.nats(tap.url()).expect("a valid URL"));
        let text = "x".repeat(16 * 1024);
        let first = publish(&near, "first").await;
        for number in 0..EVENTS {
            publish(&near, &format!("{number} {text}")).await;
        }
        let mut events = far.subscribe_from(if is_start {
            Cursor::start()
        } else {
            Cursor::after(&*first)
        });
        let (mut resets, mut last, mut received) = (0, None, 0);
        let mut has_published = false;
        loop {
            let event = next(&mut events).await;
            if event == "end" {
                break;
            }
            if event == r#"reset {"reason":"evicted"}"# {
                resets += 1;
            } else if event != "first" {
                let number = event.split(' ').next().and_then(|text| text.parse().ok());
                let number: usize = number.expect("a number");
                assert!(last < Some(number), "{number} after {last:?}");
                (last, received) = (Some(number), received + 1);
            }
            // After the `reset`, the test publishes the last event.
            if !has_published && resets > 0 {
                publish(&near, "end").await;
                has_published = true;
            }
        }
        println!("{received} events, {resets} resets");
        assert!(
            received < EVENTS,
            "events expire before the slow connection has sent them"
        );
        // On a busy machine more events can expire after the first `reset`.
        assert!((1..10).contains(&resets), "{resets}");
    }
}

/// A message that takes longer than the time-out for an answer. The node waits while it receives bytes, and requests the message once.
#[tokio::test]
async fn a_slow_message_is_received_whole_on_nats() {
    let nats = Nats::start();
    let tap = Tap::to(nats.address(), None).await;
    let near = hub(&nats);
    let first = publish(&topic(&near), "first").await;
    let text = "x".repeat(750_000);
    publish(&topic(&near), &text).await;
    let far = tap.hub();
    let mut live = topic(&far).subscribe();
    is_known(&mut live).await;
    tap.forget();
    // The answer is a third longer than the message: it takes more than eleven seconds.
    tap.slow_down(90_000);
    let mut events = topic(&far).subscribe_from(Cursor::after(&*first));
    assert_eq!(next(&mut events).await.len(), text.len());
    assert_eq!(tap.connections(), 1);
    assert!(tap.brought() < 1_100_000, "{}", tap.brought());
}

#[tokio::test]
async fn publishing_works_while_many_clients_replay_over_a_slow_connection_on_nats() {
    if is_soak() {
        replay_together(400, 1_000).await;
    } else {
        replay_together(200, 100).await;
    }
}

/// `clients` clients come back at once. Each has missed `missed` events of 1 KiB.
async fn replay_together(clients: usize, missed: usize) {
    let nats = Nats::start();
    let tap = Tap::to(nats.address(), Some(5_000_000)).await;
    let near = hub(&nats);
    let text = "x".repeat(1024);
    let first = publish(&topic(&near), "first").await;
    for number in 0..missed {
        publish(&topic(&near), &format!("{number} {text}")).await;
    }
    let far = tap.hub();
    let other = far.topic("other").expect("a valid name");
    publish(&other, "warm").await;
    let began = Instant::now();
    let mut readers = JoinSet::new();
    for _ in 0..clients {
        let mut events = topic(&far).subscribe_from(Cursor::after(&*first));
        readers.spawn(async move {
            for number in 0..missed {
                let event = next(&mut events).await;
                let is_next = event.starts_with(&format!("{number} "));
                assert!(is_next, "{number}: {}", &event[..event.len().min(40)]);
            }
        });
    }
    let mut longest = Duration::ZERO;
    while !readers.is_empty() {
        let start = Instant::now();
        other.publish("x").await.expect("the slow connection works");
        longest = longest.max(start.elapsed());
        assert!(began.elapsed() < LIMIT, "the replays do not end");
        while let Some(reader) = readers.try_join_next() {
            reader.expect("the reader gets all events");
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    let needed = (clients * missed * 1024) as u64;
    println!(
        "{clients} clients replayed in {:.1?}; a publish took {longest:.0?} at most; {} bytes for {needed}",
        began.elapsed(),
        tap.brought()
    );
    assert!(tap.brought() < 2 * needed, "{} for {needed}", tap.brought());
    assert_eq!(tap.connections(), 1, "the load breaks no connection");
}

/// Keeps the lines of a log. A thread that logs a skipped message waits until the gate is opened.
#[derive(Clone, Default)]
struct Gate(Arc<(Mutex<Gated>, Condvar)>);

#[derive(Default)]
struct Gated {
    lines: Vec<String>,
    is_open: bool,
}

impl Gate {
    fn lines(&self, part: &str) -> Vec<String> {
        let gated = self.0.0.lock().expect("the lock is not poisoned");
        let lines = gated.lines.iter().filter(|line| line.contains(part));
        lines.cloned().collect()
    }

    fn open(&self) {
        self.0.0.lock().expect("the lock is not poisoned").is_open = true;
        self.0.1.notify_all();
    }
}

impl std::io::Write for Gate {
    fn write(&mut self, line: &[u8]) -> std::io::Result<usize> {
        let text = String::from_utf8_lossy(line).into_owned();
        let is_held = text.contains("is skipped");
        let mut gated = self.0.0.lock().expect("the lock is not poisoned");
        gated.lines.push(text);
        while is_held && !gated.is_open {
            gated = self.0.1.wait(gated).expect("the lock is not poisoned");
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// More messages than fit arrive while the node is busy. The log has one line about it. The node reads the dropped messages once from
/// the stream.
#[test]
fn a_busy_node_reads_dropped_messages_once_from_the_stream_on_nats() {
    const FLOOD: usize = 100_000;
    let gate = Gate::default();
    let writer = gate.clone();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(4)
        .enable_all()
        .on_thread_start(move || {
            let writer = writer.clone();
            let log = tracing_subscriber::fmt()
                .with_max_level(tracing::Level::WARN)
                .with_ansi(false)
                .with_writer(move || writer.clone())
                .finish();
            // Until the thread ends.
            std::mem::forget(tracing::subscriber::set_default(log));
        })
        .build()
        .expect("a runtime");
    // The server must not disconnect the node on a busy machine.
    let nats = Nats::configured("write_deadline: \"120s\"\nmax_pending: 536870912\n");
    let options = Hub::builder()
        .history(History::new().max_events(200_000).max_bytes(1 << 30))
        .slow_clients(SlowPolicy::disconnect().max_buffered_bytes(1 << 30));
    let a = built(&nats, options).topic("a").expect("a valid name");
    let mut events = runtime.block_on(async { a.subscribe() });
    runtime.block_on(is_known(&mut events));
    // The task that follows the topic waits when it logs this message.
    nats.publish("bocadillo.events.a", "", "not an event");
    wait::until("the node to be busy", || {
        (!gate.lines("is skipped").is_empty()).then_some(())
    });
    let before = nats.requests();
    nats.flood("bocadillo.events.a", FLOOD);
    // The node has received most messages by then, because the buffers of the sockets are much smaller.
    wait::until("the server to send all messages", || {
        // Wakes a worker of the runtime. It polls the sockets, because the other worker waits.
        runtime.spawn(async {});
        (nats.pending() == 0).then_some(())
    });
    gate.open();
    let got = runtime.block_on(several(&mut events, FLOOD));
    assert_eq!(got, numbers(0..FLOOD));
    let lines = gate.lines("faster than this node reads");
    assert_eq!(lines.len(), 1, "{lines:?}");
    let read: usize = lines[0]
        .split_once("events=")
        .and_then(|(_, rest)| rest.split_whitespace().next()?.parse().ok())
        .expect("the line has a number");
    // The node had received some thousands before that.
    assert!((FLOOD * 4 / 5..FLOOD).contains(&read), "{read}");
    let requests = nats.requests() - before;
    println!("{requests} requests for {read} events");
    assert!(requests < 150, "{requests} requests for {read} events");
    runtime.block_on(async {
        publish(&a, "after").await;
        assert_eq!(next(&mut events).await, "after");
    });
    assert_eq!(gate.lines("faster than this node reads").len(), 1);
}

//! The pauses between attempts to connect, and after reads of many topics.

use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::Redis;
use crate::topic::Hub;

#[tokio::test(start_paused = true)]
async fn the_pause_between_attempts_to_connect_doubles_up_to_half_a_second() {
    let path = std::env::temp_dir().join(format!("bocadillo-pauses-{}.sock", std::process::id()));
    let listener = UnixListener::bind(&path).unwrap();
    let hub = Hub::redis(Redis::new(format!("unix://{}", path.display()))).unwrap();
    let _events = hub.topic("x").unwrap().subscribe();
    let mut attempts = Vec::new();
    for _ in 0..9 {
        // The server closes the connection at once.
        let _ = listener.accept().await.unwrap();
        attempts.push(Instant::now());
    }
    std::fs::remove_file(path).unwrap();
    let pauses: Vec<_> = attempts.windows(2).map(|pair| pair[1] - pair[0]).collect();
    let expected = [25, 50, 100, 200, 400, 500, 500, 500].map(Duration::from_millis);
    for (pause, expected) in pauses.iter().zip(expected) {
        let allowed = expected..expected + Duration::from_millis(20);
        assert!(allowed.contains(pause), "{pauses:?}");
    }
}

/// Answers a node at once, so that the time of the runtime stands still while it reads. Tells when it reads events.
async fn answer(stream: UnixStream, reads: mpsc::UnboundedSender<Instant>) {
    let (input, mut output) = stream.into_split();
    let mut lines = BufReader::new(input).lines();
    while let Ok(Some(head)) = lines.next_line().await {
        let count: usize = head.trim_start_matches('*').parse().unwrap();
        let mut words = Vec::new();
        for _ in 0..count {
            let _length = lines.next_line().await.unwrap();
            words.push(lines.next_line().await.unwrap().unwrap());
        }
        let answer = match &*words[0] {
            "EVALSHA" => {
                // The keys are the epoch, the positions and the topics.
                let topics = words[2].parse::<usize>().unwrap() - 2;
                let status = "*3\r\n+0-1\r\n:0\r\n$-1\r\n".repeat(topics);
                format!("*3\r\n:1\r\n+1-0\r\n*{topics}\r\n{status}")
            }
            "XREAD" => {
                let _ = reads.send(Instant::now());
                "*1\r\n*2\r\n+bocadillo:topic:0\r\n*0\r\n".to_owned()
            }
            "XADD" => "+1-1\r\n".to_owned(),
            "PEXPIRE" => ":1\r\n".to_owned(),
            _ => "+OK\r\n".to_owned(),
        };
        if output.write_all(answer.as_bytes()).await.is_err() {
            return;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_busy_node_with_many_topics_pauses_after_each_read() {
    for (topics, expected) in [(250, 0), (2_000, 4)] {
        let file = format!("bocadillo-reads-{topics}-{}.sock", std::process::id());
        let path = std::env::temp_dir().join(file);
        let listener = UnixListener::bind(&path).unwrap();
        let hub = Hub::redis(Redis::new(format!("unix://{}", path.display()))).unwrap();
        let _events: Vec<_> = (0..topics)
            .map(|number| hub.topic(number.to_string()).unwrap().subscribe())
            .collect();
        let (sender, mut reads) = mpsc::unbounded_channel();
        for _ in ["commands", "events"] {
            let (stream, _) = listener.accept().await.unwrap();
            tokio::spawn(answer(stream, sender.clone()));
        }
        std::fs::remove_file(path).unwrap();
        let mut before = reads.recv().await.unwrap();
        for _ in 0..5 {
            let read = reads.recv().await.unwrap();
            // The timer counts whole milliseconds.
            let pause = (read - before).as_millis();
            assert!(
                (expected..=2 * expected).contains(&pause),
                "{topics}: {pause} ms"
            );
            before = read;
        }
    }
}

//! The pauses between attempts to connect.

use std::time::Duration;

use tokio::net::UnixListener;
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

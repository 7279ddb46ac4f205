//! A stream of bytes with one JSON value in each line, for `jq`, a data frame or `while read` in a shell.
//!
//! ```text
//! curl -N 'localhost:8000/readings?count=5'
//! ```

use std::time::{Duration, UNIX_EPOCH};

use bocadillo::{App, Query, generators, route, routes, stream};
use serde::{Deserialize, Serialize};

generators!(
    #[route("/readings")]
    #[stream(content_type = "application/x-ndjson")]
    async fn readings(Query(asked): Query<Asked>) -> serde_json::Result<()> {
        for number in 0..asked.count.unwrap_or(u64::MAX) {
            let mut line = serde_json::to_string(&Reading::take(number))?;
            line.push('\n');
            yield line;
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        Ok(())
    }
);

#[derive(Deserialize)]
struct Asked {
    /// How many lines are sent. By default the stream continues until the client disconnects.
    count: Option<u64>,
}

#[derive(Serialize)]
struct Reading {
    number: u64,
    seconds: f64,
    celsius: f64,
}

impl Reading {
    fn take(number: u64) -> Self {
        let seconds = UNIX_EPOCH.elapsed().unwrap_or_default().as_secs_f64();
        Self {
            number,
            seconds,
            celsius: 8.0 + 4.0 * fastrand::f64(),
        }
    }
}

fn main() -> bocadillo::Result<()> {
    App::new().routes(routes![readings]).run()
}

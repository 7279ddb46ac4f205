use serde_json::Value;

use super::{check, get};
use crate::support::Example;

#[tokio::test]
async fn each_line_is_one_reading() {
    let example = Example::start("ndjson");
    let mut readings = get(&example, "/readings").await;
    check(&readings, 200, "application/x-ndjson");
    for number in 0..3 {
        let line = readings.until("\n").await;
        let reading: Value = serde_json::from_str(&line).expect("JSON on one line");
        assert_eq!(reading["number"], number);
    }
}

#[tokio::test]
async fn a_count_ends_the_stream() {
    let example = Example::start("ndjson");
    let readings = get(&example, "/readings?count=2").await;
    assert_eq!(readings.text().await.lines().count(), 2);
    let refused = get(&example, "/readings?count=many").await;
    check(&refused, 400, "application/problem+json");
}

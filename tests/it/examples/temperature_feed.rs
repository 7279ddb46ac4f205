use serde_json::Value;

use super::{check, get};
use crate::browser::Browser;
use crate::support::Example;

#[tokio::test]
async fn the_feed_sends_json_of_about_ten_degrees_and_reports_a_disconnect() {
    let example = Example::start("temperature_feed");
    let mut feed = get(&example, "/temperature-feed").await;
    check(&feed, 200, "text/event-stream");
    for _ in 0..20 {
        let event = feed.until("\n\n").await;
        let data = event
            .strip_prefix("data: ")
            .expect("the event has only data");
        let reading: Value = serde_json::from_str(data).expect("JSON");
        let temperature = reading["temperature"].as_f64().expect("a number");
        assert!((8.0..=12.0).contains(&temperature), "{temperature} °C");
    }
    assert_eq!(example.stdout.so_far(), [""; 0]);
    drop(feed);
    example
        .stdout
        .line("Disconnecting from the temperature sensor…")
        .await;
}

#[test]
fn the_page_draws_the_feed_and_continues_after_a_restart_of_the_server() {
    let example = Example::start("temperature_feed");
    let port = example.address.port();
    let browser = Browser::start();
    browser.open(&example.url("/"));
    browser.wait_until("document.querySelector('#state').textContent === 'live'");
    browser.wait_until("document.querySelector('#count').textContent > 300");
    let line = browser.eval("return colour('line')");
    let line = line.as_str().expect("a colour");
    let drawn = browser.painted(line);
    assert!(
        drawn.columns > 50 && drawn.pixels > 2 * drawn.columns,
        "{drawn:?}"
    );

    example.kill();
    browser.wait_until("document.querySelector('#state').textContent === 'reconnecting'");
    // From here on, the page draws only readings that arrive from here on.
    let before = browser
        .eval("readings.length = 0; return count")
        .as_u64()
        .expect("a number");

    let _example = Example::start_on("temperature_feed", port);
    browser.wait_until("document.querySelector('#state').textContent === 'live'");
    browser.wait_until(&format!(
        "document.querySelector('#count').textContent > {before} + 300"
    ));
    let drawn = browser.painted(line);
    assert!(
        drawn.columns > 50 && drawn.pixels > 2 * drawn.columns,
        "{drawn:?}"
    );
}

#[test]
fn the_page_reconnects_after_a_response_that_closes_an_event_source() {
    let example = Example::start("temperature_feed");
    let browser = Browser::start();
    browser.open(&example.url("/"));
    browser.wait_until("document.querySelector('#state').textContent === 'live'");
    // The next connection of the page gets the response of a proxy whose server does not run.
    browser.eval(
        "const Real = EventSource;
         window.EventSource = function () { window.EventSource = Real; return new Real('/no-such-feed') };
         window.EventSource.CLOSED = Real.CLOSED;
         connect()",
    );
    browser.wait_until("document.querySelector('#state').textContent === 'reconnecting'");
    browser.wait_until("document.querySelector('#state').textContent === 'live'");
}

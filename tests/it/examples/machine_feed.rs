use serde_json::Value;

use super::get;
use crate::browser::Browser;
use crate::support::Example;

#[tokio::test]
async fn each_kind_of_reading_is_an_event_with_its_own_name() {
    let example = Example::start("machine_feed");
    let mut feed = get(&example, "/machine-feed").await;
    let cpu = reading(&feed.until("\n\n").await, "cpu");
    assert!(
        (0.0..=100.0).contains(&cpu["percent"].as_f64().expect("a number")),
        "{cpu}"
    );
    let cores = std::thread::available_parallelism()
        .expect("a number of cores")
        .get() as u64;
    assert!(cpu["cores"].as_u64() >= Some(cores), "{cpu}");
    let memory = reading(&feed.until("\n\n").await, "memory");
    let bytes = |field: &str| memory[field].as_u64().expect("a number of bytes");
    assert!(
        0 < bytes("used") && bytes("used") < bytes("total"),
        "{memory}"
    );
}

#[track_caller]
fn reading(event: &str, name: &str) -> Value {
    let data = event
        .strip_prefix(&format!("event: {name}\ndata: "))
        .unwrap_or_else(|| panic!("{event:?}"));
    serde_json::from_str(data).expect("JSON")
}

#[test]
fn the_page_shows_processors_and_memory() {
    let example = Example::start("machine_feed");
    let browser = Browser::start();
    browser.open(&example.url("/"));
    browser.wait_until("document.querySelector('#state').textContent === 'live'");
    for card in ["cpu", "memory"] {
        browser.wait_until(&format!(
            "document.querySelector('#{card} polyline').points.numberOfItems > 3"
        ));
        browser.wait_until(&format!(
            "/\\d/.test(document.querySelector('#{card} .value').textContent)"
        ));
        let colour = browser.eval(&format!(
            "return getComputedStyle(document.querySelector('#{card}')).color"
        ));
        let drawn = browser.painted(colour.as_str().expect("a colour"));
        assert!(drawn.columns >= 5, "{card}: {drawn:?}");
    }
}

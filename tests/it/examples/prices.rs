use std::collections::BTreeSet;

use serde_json::Value;

use super::{check, get};
use crate::browser::Browser;
use crate::support::Example;
use crate::support::http::Reply;

const SYMBOLS: usize = 8;

async fn symbol(prices: &mut Reply) -> String {
    let event = prices.until("\n\n").await;
    let (id, data) = event.split_once("\ndata: ").expect("an id, and data");
    assert!(id.starts_with("id: "), "{event}");
    let price: Value = serde_json::from_str(data).expect("JSON");
    assert!(price["price"].as_f64() > Some(0.0), "{price}");
    let symbol = price["symbol"].as_str().expect("text");
    assert!(price["at"].as_u64() > Some(0), "{price}");
    symbol.to_owned()
}

#[tokio::test]
async fn a_new_client_gets_the_newest_price_of_each_symbol_first() {
    let example = Example::start("prices");
    let mut first = get(&example, "/prices").await;
    check(&first, 200, "text/event-stream");
    let mut symbols = BTreeSet::new();
    while symbols.len() < SYMBOLS {
        symbols.insert(symbol(&mut first).await);
    }
    let mut second = get(&example, "/prices").await;
    let mut snapshot = BTreeSet::new();
    for _ in 0..SYMBOLS {
        snapshot.insert(symbol(&mut second).await);
    }
    assert_eq!(snapshot, symbols, "each once");
}

#[test]
fn the_page_has_a_slow_reader_that_is_not_late() {
    let example = Example::start("prices");
    let browser = Browser::start();
    browser.open(&example.url("/"));
    browser.wait_until("quick.taken > 1000");
    browser.wait_until("document.querySelectorAll('#quick tr').length === 8");
    assert_eq!(browser.eval("return slow.taken"), 0);

    browser.eval(
        "document.querySelector('#pause').value = 200; document.querySelector('#on').click();
         window.before = quick.taken;",
    );
    browser.wait_until("document.querySelector('#slow .state').textContent === 'live'");
    // If it had to read all prices, its delay would grow, and this would never be true.
    browser.wait_until("slow.taken >= 200 && slow.age < 1000");
    assert_eq!(
        browser.eval("return document.querySelectorAll('#slow tr').length"),
        8
    );
    let passed = browser.eval("return quick.taken - before - slow.taken");
    assert!(passed.as_u64() > Some(500), "{passed} have passed it by");

    browser.eval("document.querySelector('#on').click()");
    browser.wait_until("document.querySelector('#slow .state').textContent === 'off'");
}

use std::collections::{BTreeMap, BTreeSet};
use std::time::UNIX_EPOCH;

use serde_json::Value;
use tokio::net::TcpSocket;

use super::{check, get};
use crate::browser::Browser;
use crate::support::http::{Connection, Protocol, Reply};
use crate::support::{Example, wait};

const SYMBOLS: usize = 8;

async fn price(prices: &mut Reply) -> (String, u64) {
    let event = prices.until("\n\n").await;
    let (id, data) = event.split_once("\ndata: ").expect("an id, and data");
    assert!(id.starts_with("id: "), "{event}");
    let price: Value = serde_json::from_str(data).expect("JSON");
    assert!(price["price"].as_f64() > Some(0.0), "{price}");
    let symbol = price["symbol"].as_str().expect("text");
    let at = price["at"].as_u64().expect("a time");
    (symbol.to_owned(), at)
}

fn now() -> u64 {
    UNIX_EPOCH.elapsed().expect("it is after 1970").as_millis() as u64
}

#[tokio::test]
async fn who_comes_gets_the_newest_of_each_symbol_first() {
    let example = Example::start("prices");
    let mut first = get(&example, "/prices").await;
    check(&first, 200, "text/event-stream");
    let mut symbols = BTreeSet::new();
    while symbols.len() < SYMBOLS {
        symbols.insert(price(&mut first).await.0);
    }
    let mut second = get(&example, "/prices").await;
    let mut snapshot = BTreeSet::new();
    for _ in 0..SYMBOLS {
        snapshot.insert(price(&mut second).await.0);
    }
    assert_eq!(snapshot, symbols, "each once");
}

/// It reads nothing while the market goes on for longer than all buffers between hold, and then all that there is for
/// it: soon it is where the market is, though it has been sent a part only.
#[tokio::test]
async fn a_client_that_did_not_read_is_soon_up_to_date() {
    let example = Example::start("prices");
    let mut quick = get(&example, "/prices").await;
    let socket = TcpSocket::new_v4().expect("there is IPv4");
    socket
        .set_recv_buffer_size(4_096)
        .expect("a size that can be");
    let connection = wait::within("a connection", socket.connect(example.address)).await;
    let connection = connection.expect("the server listens");
    let host = example.address.to_string();
    let mut slow = Connection::over(Protocol::Http1, connection, &host).await;
    let mut slow = slow.get("/prices").await;
    let start = price(&mut slow).await.1;
    let mut all = 0;
    while price(&mut quick).await.1 < start + 12_000 {
        all += 1;
    }
    let until = now();
    let mut last = BTreeMap::new();
    let mut taken = 0;
    loop {
        let (symbol, at) = price(&mut slow).await;
        taken += 1;
        last.insert(symbol, at);
        if at >= until {
            break;
        }
    }
    assert!(taken < all, "{taken} of {all}");
    assert_eq!(last.len(), SYMBOLS);
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
    // Had it to take all of them it would be later with each look: this would never be true.
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

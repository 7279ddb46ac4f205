//! The page of the chat loses no message and shows no message twice when its server or the broker restarts.

use serde_json::{Value, json};

use super::Browser;
use crate::examples::chat::{post, say, say_until_taken};
use crate::support::{Example, Nats, Redis};
use crate::topics::nodes::Broker;

fn open(browser: &Browser, example: &Example) {
    browser.open(&example.url("/#lobby"));
    wait_for_state(browser, "live");
}

#[track_caller]
fn wait_for_state(browser: &Browser, state: &str) {
    browser.wait_until(&format!(
        "document.querySelector('#state').textContent === '{state}'"
    ));
}

/// Returns the messages on the page from top to bottom.
const SHOWN: &str =
    "[...document.querySelectorAll('.message')].map((m) => m.lastChild.textContent)";

#[track_caller]
fn wait_for(browser: &Browser, texts: &[&str]) {
    let texts = json!(texts).to_string();
    browser.wait_until(&format!(
        "JSON.stringify({SHOWN}) === {}",
        Value::from(texts)
    ));
}

/// Sends a message with the form of the page.
fn write(browser: &Browser, text: &str) {
    browser.eval_with(
        "document.querySelector('#from').value = 'bo';
         document.querySelector('#text').value = arguments[0];
         document.querySelector('button').click()",
        &[text.into()],
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_shows_messages_and_sends_what_is_written() {
    let example = Example::start("chat");
    say(&example, "lobby", "one").await;
    let browser = Browser::start();
    open(&browser, &example);
    write(&browser, "two & <b>bold</b>");
    wait_for(&browser, &["one", "two & <b>bold</b>"]);
    let mine = browser.eval("return document.querySelector('.mine b').textContent");
    assert_eq!(mine, "bo");

    // A message that the server refuses stays in the form. The page shows the reason.
    browser.eval("document.querySelector('#text').removeAttribute('maxlength')");
    write(&browser, &"x".repeat(2_001));
    browser.wait_until(
        "document.querySelector('#problem').textContent.includes('1 to 2000 characters')",
    );
    browser.wait_until("document.querySelector('#text').value.length === 2001");

    // Each room is a topic of its own.
    browser.eval("location.hash = 'cellar'");
    wait_for_state(&browser, "live");
    wait_for(&browser, &[]);
    say(&example, "cellar", "down here").await;
    wait_for(&browser, &["down here"]);
    browser.eval("location.hash = 'lobby'");
    wait_for(&browser, &["one", "two & <b>bold</b>"]);
}

/// The data of a memory hub is lost when its server ends. The page keeps its messages, reports the loss and continues.
#[tokio::test(flavor = "multi_thread")]
async fn the_page_continues_after_its_server_restarts_without_data() {
    let example = Example::start("chat");
    let port = example.address.port();
    let browser = Browser::start();
    open(&browser, &example);
    say(&example, "lobby", "one").await;
    say(&example, "lobby", "two").await;
    wait_for(&browser, &["one", "two"]);

    example.kill();
    wait_for_state(&browser, "reconnecting");
    write(&browser, "into the void");
    browser.wait_until("document.querySelector('#problem').textContent.startsWith('Not sent')");
    browser.wait_until("document.querySelector('#text').value === 'into the void'");

    let example = Example::start_on("chat", port);
    say(&example, "lobby", "three").await;
    wait_for_state(&browser, "live");
    wait_for(&browser, &["one", "two", "three"]);
    browser.wait_until("document.querySelectorAll('.note').length === 1");
    browser.wait_until("document.querySelectorAll('.earlier').length === 2");
    browser.eval("document.querySelector('button').click()");
    wait_for(&browser, &["one", "two", "three", "into the void"]);
}

/// With a broker no message is lost: neither messages sent while the page's server does not run, nor messages sent
/// before the broker was killed. A message that cannot be sent stays in the form.
async fn the_page_loses_nothing(url: &str, broker: &mut impl Broker) {
    let chat = |port| Example::start_with("chat", port, &["--hub", url]);
    let (server, other) = (chat(0), chat(0));
    let port = server.address.port();
    let browser = Browser::start();
    open(&browser, &server);
    say(&server, "lobby", "one").await;
    wait_for(&browser, &["one"]);

    server.kill();
    wait_for_state(&browser, "reconnecting");
    say(&other, "lobby", "two").await;
    say(&other, "lobby", "three").await;
    let server = chat(port);
    wait_for_state(&browser, "live");
    wait_for(&browser, &["one", "two", "three"]);

    tokio::task::block_in_place(|| broker.kill());
    write(&browser, "four");
    browser.wait_until(
        "document.querySelector('#problem').textContent.startsWith('Not sent: the broker')",
    );
    wait_for_state(&browser, "live");
    tokio::task::block_in_place(|| broker.restart());
    say_until_taken(&other, "lobby", "meanwhile").await;
    say_until_taken(&server, "lobby", "here too").await;
    browser.eval("document.querySelector('button').click()");
    wait_for(
        &browser,
        &["one", "two", "three", "meanwhile", "here too", "four"],
    );
    let notes = browser.eval("return document.querySelectorAll('.note, .earlier').length");
    assert_eq!(notes, 0, "the page reports that messages are missing");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_loses_nothing_when_its_server_and_redis_restart() {
    let mut redis = Redis::start();
    the_page_loses_nothing(&redis.url(), &mut redis).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_loses_nothing_when_its_server_and_nats_restart() {
    let mut nats = Nats::start();
    the_page_loses_nothing(&nats.url(), &mut nats).await;
}

/// An example is the 502 of a proxy. The page opens a new stream. Its URL has the id of the last event.
#[tokio::test(flavor = "multi_thread")]
async fn the_page_continues_after_a_response_that_closes_an_event_source() {
    let example = Example::start("chat");
    let browser = Browser::start();
    open(&browser, &example);
    say(&example, "lobby", "one").await;
    wait_for(&browser, &["one"]);
    browser.eval(
        "const Real = EventSource;
         window.urls = [];
         window.EventSource = function (url) {
             urls.push(url);
             return new Real(urls.length === 1 ? '/no-such-stream' : url);
         };
         window.EventSource.CLOSED = Real.CLOSED;
         source.close();
         connect()",
    );
    wait_for_state(&browser, "reconnecting");
    say(&example, "lobby", "two").await;
    wait_for_state(&browser, "live");
    wait_for(&browser, &["one", "two"]);
    browser.wait_until("urls.length === 2 && urls[1].endsWith('?lastEventId=' + [...seen][0])");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_shows_where_messages_are_missing() {
    let example = Example::start("chat");
    let browser = Browser::start();
    open(&browser, &example);
    say(&example, "lobby", "one").await;
    wait_for(&browser, &["one"]);
    browser.eval(
        "source.dispatchEvent(new MessageEvent('gap', { data: '{\"dropped\":17}', lastEventId: last }));
         source.dispatchEvent(new MessageEvent('reset', { data: '{\"reason\":\"evicted\"}', lastEventId: last }))",
    );
    let notes =
        browser.eval("return [...document.querySelectorAll('.note')].map((n) => n.textContent)");
    assert_eq!(
        notes,
        json!([
            "17 messages are missing here",
            "some messages are missing here"
        ])
    );
    assert_eq!(
        post(&example, "lobby", &json!({"from": "ada", "text": "two"}))
            .await
            .status,
        201
    );
    wait_for(&browser, &["one", "two"]);
}

//! Runs the JavaScript of the documentation of topics in a browser, without changes.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bocadillo::topic::{Cursor, Hub};
use bocadillo::{App, EventStream, Html, Problem, State, StatusCode, route, routes, server_event};
use serde_json::json;

use super::Browser;
use crate::support::Server;

/// The code that the documentation leaves to the reader. The page starts with an invalid id.
const AROUND: &str = "
const shown = ['old'], Real = EventSource;
const urls = [];
window.EventSource = class extends Real { constructor(url) { super(url); urls.push(String(url)) } };
const append = ({ text }) => shown.push(text);
const clear = () => { shown.length = 0 };
const note = (text) => shown.push(text);
";

fn lines() -> String {
    let docs = include_str!("../../../bocadillo/src/topic.rs").lines();
    let code = docs.skip_while(|line| *line != "//! ```js").skip(1);
    let code = code.take_while(|line| *line != "//! ```");
    let code = code.map(|line| line.trim_start_matches("//!"));
    code.collect::<Vec<_>>().join("\n")
}

#[derive(Clone)]
struct Shop {
    hub: Hub,
    is_closed: Arc<AtomicBool>,
}

#[route("/rooms/{room}")]
async fn room(
    room: String,
    cursor: Cursor,
    State(shop): State<Shop>,
) -> Result<EventStream, Problem> {
    if shop.is_closed.swap(false, Ordering::SeqCst) {
        return Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE));
    }
    let room = shop.hub.topic(format!("rooms/{room}"))?;
    Ok(room.subscribe_from(cursor.or_start()).into())
}

#[route("/")]
async fn page() -> Html<String> {
    let lines = lines();
    Html(format!(
        "<script>{AROUND}{lines}\nlast = 'nonsense';\n</script>"
    ))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_with_the_documented_ten_lines_continues() {
    assert!((5..=15).contains(&lines().lines().count()), "{}", lines());
    let shop = Shop {
        hub: Hub::memory(),
        is_closed: Arc::new(AtomicBool::new(true)),
    };
    let topic = shop.hub.topic("rooms/7").expect("a name");
    let say = async |text: &str| {
        let said = topic.publish(server_event!(json = {"text": text})).await;
        said.expect("it is published");
    };
    say("one").await;
    let server = Server::start(App::with_state(shop).routes(routes![room, page])).await;

    // The first response closes the `EventSource`. The next request has an invalid id in its URL.
    let browser = Browser::start();
    browser.open(&format!("http://{}/", server.address));
    let shown = |texts: &[&str]| {
        let texts = json!(json!(texts).to_string());
        browser.wait_until(&format!("JSON.stringify(shown) === {texts}"));
    };
    shown(&["one"]);
    say("two").await;
    shown(&["one", "two"]);

    // The URL of each new `EventSource` has one id, the newest.
    browser.eval("connect(); connect()");
    let ids = browser
        .eval("return urls.map((url) => new URL(url).searchParams.getAll('lastEventId').length)");
    assert_eq!(ids, json!([1, 1, 1, 1]));
    let newest =
        browser.eval("return new URL(urls.at(-1)).searchParams.get('lastEventId') === last");
    assert_eq!(newest, true);
}

//! How a browser handles event names that it uses itself.

use bocadillo::{App, Html, event_stream, generators, route, routes, server_event};
use serde_json::json;

use super::Browser;
use crate::support::Server;

generators!(
    #[route("/named")]
    #[event_stream]
    async fn named() {
        yield server_event!("open", data = "a");
        yield server_event!("error", data = "b");
        yield server_event!("message", data = "c");
        yield server_event!("failed", data = "d");
        yield server_event!("end", data = "e");
        std::future::pending::<()>().await;
    }
);

#[route("/")]
async fn page() -> Html<&'static str> {
    Html(
        "<script>
        const heard = [];
        const source = new EventSource('/named');
        const hear = (by) => ({ data }) => heard.push([by, data ?? null, source.readyState]);
        source.onopen = hear('onopen');
        source.onerror = hear('onerror');
        source.onmessage = hear('onmessage');
        for (const name of ['failed', 'end']) source.addEventListener(name, hear(name));
        </script>",
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn events_named_error_or_open_run_the_browsers_own_listeners() {
    let server = Server::start(App::new().routes(routes![named, page])).await;
    let browser = Browser::start();
    browser.open(&format!("http://{}/", server.address));
    browser.wait_until("heard.some(([by]) => by === 'end')");
    // The stream is open (1) all the time.
    let expected = json!([
        ["onopen", null, 1],
        ["onopen", "a", 1],
        ["onerror", "b", 1],
        ["onmessage", "c", 1],
        ["failed", "d", 1],
        ["end", "e", 1],
    ]);
    assert_eq!(browser.eval("return heard"), expected);
}

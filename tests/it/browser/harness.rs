//! Tests the browser driver on a page that needs no server.

use serde_json::json;

use super::{Browser, Painted};

#[test]
fn the_driver_opens_a_page_evaluates_code_and_takes_a_screenshot() {
    let browser = Browser::start();
    browser.open("data:text/html,<title>Bocadillo</title><body style='background:rgb(200,80,20)'>");
    assert_eq!(browser.eval("return document.title"), "Bocadillo");
    assert_eq!(
        browser.eval_with("return arguments[0] + 1", &[json!(41)]),
        42
    );
    browser.eval("setTimeout(() => { window.later = true }, 50)");
    browser.wait_until("window.later");
    let size = |side| {
        browser
            .eval(&format!("return {side}"))
            .as_u64()
            .expect("a length in pixels")
    };
    let painted = browser.painted("rgb(200, 80, 20)");
    assert_eq!(
        painted,
        Painted {
            pixels: size("innerWidth") * size("innerHeight"),
            columns: size("innerWidth")
        }
    );
}

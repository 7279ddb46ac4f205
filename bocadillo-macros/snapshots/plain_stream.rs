#[stream(content_type = "application/x-ndjson")]
async fn lines() {
    #![allow(clippy::all)]
    yield_!("{}\n");
}
#[stream(raise_on_disconnect, content_type = TEXT, cleanup_timeout = Duration::from_secs(1))]
async fn text(_: ()) {
    let _ = yield_!("text");
}

#[event_stream(keep_alvie = Duration::ZERO)]
fn feed(name: &str) -> Result<(), impl Error> {
    items.for_each(|item| yield_!(item));
    yield_!();
}
#[route("/rooms/{room}")]
async fn rooms(rom: String) {}
fn event() {
    server_event!(data = "x", json = 1);
}

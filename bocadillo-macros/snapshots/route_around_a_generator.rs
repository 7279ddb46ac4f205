#[route("/inner/{id}")]
#[event_stream]
async fn outermost(id: u8) {
    yield_!(id);
}
#[event_stream]
#[route("/outer/{id}")]
async fn innermost(id: u8) {
    yield_!(id);
}

use bocadillo::event_stream;

#[event_stream]
async fn feed() {
    yield "hello";
}

fn main() {
    feed();
}

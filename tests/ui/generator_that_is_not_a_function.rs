use bocadillo::event_stream;

#[event_stream]
struct Feed;

fn main() {
    let _ = Feed;
}

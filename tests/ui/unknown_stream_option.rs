use bocadillo::{event_stream, generators, stream};
use std::time::Duration;

generators!(
    #[event_stream(keep_alvie = Duration::from_secs(1))]
    async fn near() {
        yield "hello";
    }

    #[event_stream(timeout = Duration::from_secs(1))]
    async fn far() {
        yield "hello";
    }

    #[stream(keep_alive = off)]
    async fn other() {
        yield "hello";
    }

    #[event_stream("/path")]
    async fn literal() {
        yield "hello";
    }
);

fn main() {
    near();
    far();
    other();
    literal();
}

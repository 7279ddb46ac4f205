use bocadillo::{event_stream, generators};
use std::time::Duration;

generators!(
    #[event_stream(cleanup_timeout = Duration::from_secs(1))]
    async fn feed() {
        yield "hello";
    }
);

fn main() {
    feed();
}

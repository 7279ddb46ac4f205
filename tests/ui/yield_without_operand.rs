use bocadillo::{event_stream, generators};

generators!(
    #[event_stream]
    async fn feed() {
        yield;
    }
);

fn main() {
    feed();
}

use bocadillo::{event_stream, generators};

struct Temperature;

generators!(
    #[event_stream]
    async fn feed() {
        yield Temperature;
    }
);

fn main() {
    feed();
}

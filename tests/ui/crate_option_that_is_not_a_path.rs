use bocadillo::{event_stream, generators};

generators!(
    #[event_stream(crate = "bocadillo")]
    async fn feed() {
        yield "hello";
    }
);

fn main() {
    feed();
}

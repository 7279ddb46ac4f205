use bocadillo::{event_stream, generators};

generators!(
    #[event_stream]
    async fn feed() -> u32 {
        yield "hello";
        3
    }
);

fn main() {
    feed();
}

use bocadillo::{event_stream, generators};

generators!(
    #[event_stream]
    async fn feed() -> Result<(), std::io::Error> {
        yield "hello";
    }
);

fn main() {
    feed();
}

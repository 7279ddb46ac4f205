use bocadillo::{event_stream, generators};

generators!(
    #[event_stream]
    fn feed() {
        yield "hello";
    }
);

fn main() {
    feed();
}

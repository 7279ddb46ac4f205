use bocadillo::{event_stream, generators};

generators!(
    #[event_stream(keep_alvie = off, retyr = 3)]
    fn feed(name: &str) {
        yield;
        yield name;
    }
);

fn main() {
    feed("");
}

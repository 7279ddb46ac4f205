use bocadillo::{event_stream, generators};
use std::error::Error;

generators!(
    #[event_stream]
    async fn feed() -> Result<(), impl Error> {
        yield "hello";
        Err(std::fmt::Error)
    }
);

fn main() {
    feed();
}

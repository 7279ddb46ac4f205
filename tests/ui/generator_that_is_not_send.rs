use bocadillo::{event_stream, generators};
use std::rc::Rc;

generators!(
    #[event_stream]
    async fn feed() {
        let count = Rc::new(1);
        yield "hello";
        drop(count);
    }
);

fn main() {
    feed();
}

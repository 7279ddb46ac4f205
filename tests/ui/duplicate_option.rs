use bocadillo::{event_stream, generators, route};

generators!(
    #[event_stream(keep_alive = off, keep_alive = off)]
    async fn feed() {
        yield "hello";
    }
);

#[route("/", methods = [GET], methods = [POST])]
async fn index() {}

fn main() {
    feed();
    drop(index());
}

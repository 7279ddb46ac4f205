use bocadillo::yield_;

async fn feed() {
    yield_!("hello");
}

fn main() {
    drop(feed());
}

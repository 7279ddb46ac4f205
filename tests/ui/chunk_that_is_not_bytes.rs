use bocadillo::{generators, stream};

struct Temperature;

generators!(
    #[stream]
    async fn feed() {
        yield Temperature;
    }
);

fn main() {
    feed();
}

use bocadillo::generators;

generators!(
    async fn feed() {
        yield "hello";
    }
);

fn main() {
    drop(feed());
}

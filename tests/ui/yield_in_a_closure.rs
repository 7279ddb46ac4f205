use bocadillo::{event_stream, generators};

generators!(
    #[event_stream]
    async fn feed() {
        ["a", "b"].into_iter().for_each(|text| {
            yield text;
        });
    }
);

fn main() {
    feed();
}

use bocadillo::{event_stream, generators};

generators!(
    #[event_stream]
    async fn feed() {
        let text = "hello";
        text.;
        if let Some(letter) = text.chars().next() {
            yield letter.to_string();
        }
    }
);

fn main() {
    feed();
}

#![deny(unused_must_use)]

use bocadillo::{event_stream, generators};

generators!(
    #[event_stream(raise_on_disconnect)]
    async fn feed() {
        yield "hello";
        tokio::select! {
            () = std::future::ready(()) => { yield "goodbye"; }
        }
    }
);

fn main() {
    feed();
}

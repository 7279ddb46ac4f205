use bocadillo::{event_stream, generators, stream};

generators!(
    #[event_stream(keep_alive)]
    async fn none() {
        yield "hello";
    }

    #[event_stream(retry = 15)]
    async fn number() {
        yield "hello";
    }

    #[event_stream(retry =)]
    async fn half_typed() {
        yield "hello";
    }

    #[event_stream(raise_on_disconnect = "yes")]
    async fn flag() {
        let _ = yield "hello";
    }

    #[stream(content_type = "text/plain\n")]
    async fn header() {
        yield "hello";
    }
);

fn main() {
    none();
    number();
    half_typed();
    flag();
    header();
}

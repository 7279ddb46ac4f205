use bocadillo::{event_stream, generators};
use std::borrow::Cow;

generators!(
    #[event_stream]
    async fn text(name: &str) {
        yield name;
    }

    #[event_stream]
    async fn slice(names: &[String]) {
        yield names[0].clone();
    }

    #[event_stream]
    async fn elided(name: Cow<'_, str>) {
        yield name.into_owned();
    }

    #[event_stream]
    async fn named<'a>(name: Cow<'a, str>) {
        yield name.into_owned();
    }

    #[event_stream]
    async fn fine(name: &'static str, make: fn(&str) -> String) {
        yield make(name);
    }
);

fn main() {
    text("a");
    slice(&[]);
    elided("a".into());
    named("a".into());
    fine("a", str::to_owned);
}

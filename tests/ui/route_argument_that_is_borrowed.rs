use bocadillo::{App, event_stream, generators, route, routes};

#[route("/rooms/{room}")]
async fn room(room: &str, query: Option<&String>) -> String {
    format!("{room} {query:?}")
}

generators!(
    #[route("/feed")]
    #[event_stream]
    async fn feed(name: &str) {
        yield name;
    }
);

fn main() {
    App::new().routes(routes![room, feed]);
}

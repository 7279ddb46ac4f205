use bocadillo::{App, route, routes};

#[route("rooms")]
async fn no_slash() {}

#[route("/{}")]
async fn no_name() {}

#[route("/{room")]
async fn open() {}

#[route("/room}")]
async fn closed() {}

#[route("/{room-id}")]
async fn no_identifier() {}

#[route("/{*rest}/more")]
async fn not_last(rest: String) {}

#[route("/{a}{b}")]
async fn two(a: String, b: String) {}

#[route("/rooms/:room")]
async fn colon() {}

#[route("/rooms?page={page}")]
async fn query(page: u32) {}

fn main() {
    App::new().routes(routes![
        no_slash,
        no_name,
        open,
        closed,
        no_identifier,
        not_last,
        two,
        colon,
        query
    ]);
}

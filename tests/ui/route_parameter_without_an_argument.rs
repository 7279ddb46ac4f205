use bocadillo::{App, route, routes};

#[route("/rooms/{room}")]
async fn none() {}

#[route("/rooms/{room}")]
async fn near(rom: u32) {}

#[route("/rooms/{type}")]
async fn keyword() {}

fn main() {
    App::new().routes(routes![none, near, keyword]);
}

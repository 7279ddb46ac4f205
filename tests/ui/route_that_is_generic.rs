use bocadillo::{App, route, routes};
use std::fmt::Display;

#[route("/{id}")]
async fn parameter<T: Display>(id: T) -> String {
    id.to_string()
}

#[route("/{id}")]
async fn opaque(id: impl Display) -> String {
    id.to_string()
}

fn main() {
    App::new().routes(routes![parameter, opaque]);
}

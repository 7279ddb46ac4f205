use bocadillo::{App, route, routes};

#[route("/rooms")]
async fn index(room: u32) -> String {
    room.to_string()
}

fn main() {
    App::new().routes(routes![index]);
}

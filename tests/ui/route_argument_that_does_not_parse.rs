use bocadillo::{App, route, routes};

#[route("/rooms/{room}")]
async fn index(room: Vec<u8>) -> Vec<u8> {
    room
}

fn main() {
    App::new().routes(routes![index]);
}

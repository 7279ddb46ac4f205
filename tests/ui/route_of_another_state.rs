use bocadillo::{App, State, route, routes};

#[route("/")]
async fn index(State(name): State<String>) -> String {
    name
}

fn main() {
    App::new().routes(routes![index]);
}

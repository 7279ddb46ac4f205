use bocadillo::{App, route, routes};

#[route("/")]
async fn index() {}

fn main() {
    App::new().routes(routes![index()]);
}

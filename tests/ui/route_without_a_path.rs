use bocadillo::{App, route, routes};

#[route]
async fn index() {}

#[route(methods = [GET])]
async fn other() {}

fn main() {
    App::new().routes(routes![index, other]);
}

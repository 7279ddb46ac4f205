use bocadillo::{App, route, routes};

#[route("/", methods = [get])]
async fn lower() {}

#[route("/", methods = [GTE])]
async fn near() {}

#[route("/", methods = [GET, POST, GET])]
async fn twice() {}

#[route("/", methods = ["GET"])]
async fn quoted() {}

#[route("/", methods = [])]
async fn none() {}

#[route("/", methods = GET)]
async fn bare() {}

#[route("/", method = [GET])]
async fn singular() {}

fn main() {
    App::new().routes(routes![lower, near, twice, quoted, none, bare, singular]);
}

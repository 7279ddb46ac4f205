use bocadillo::{App, route, routes};

#[route("/{id}/{id}")]
async fn index(id: u32) {}

fn main() {
    App::new().routes(routes![index]);
}

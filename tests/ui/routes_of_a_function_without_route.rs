use bocadillo::{App, routes};

async fn index() {}

fn main() {
    App::new().routes(routes![index]);
    drop(index());
}

use bocadillo::{App, route, routes};

struct Answer;

#[route("/")]
async fn index() -> Answer {
    Answer
}

fn main() {
    App::new().routes(routes![index]);
}

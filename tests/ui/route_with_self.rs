use bocadillo::route;

struct Api;

impl Api {
    #[route("/")]
    async fn index(&self) {}
}

fn main() {
    drop(Api.index());
}

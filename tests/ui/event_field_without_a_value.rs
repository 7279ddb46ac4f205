use bocadillo::server_event;

fn main() {
    let _ = server_event!("a", data =);
    let _ = server_event!(json = {"a":, "b": 1});
}

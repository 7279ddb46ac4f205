use bocadillo::server_event;

fn main() {
    let _ = server_event!(data = "a", data = "b");
    let _ = server_event!("a", name = "b");
}

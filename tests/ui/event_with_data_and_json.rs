use bocadillo::server_event;

fn main() {
    let _ = server_event!(data = "a", json = 1);
    let _ = server_event!(json = 1, data = "a");
}

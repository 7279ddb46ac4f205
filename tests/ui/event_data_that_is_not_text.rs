use bocadillo::server_event;

fn main() {
    let _ = server_event!(data = 1.5);
}

use bocadillo::server_event;

fn main() {
    let _ = server_event!(comment = 1.5);
}

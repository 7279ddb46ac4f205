use bocadillo::server_event;

fn main() {
    let _ = server_event!({"temperature": 10.5});
    let _ = server_event!([1, 2, 3]);
}

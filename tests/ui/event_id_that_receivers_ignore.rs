use bocadillo::server_event;

fn main() {
    let _ = server_event!(data = "a", id = "1\02");
    let _ = server_event!(data = "a", id = "1\n2");
    let _ = server_event!(data = "a", id = r"1\n2");
}

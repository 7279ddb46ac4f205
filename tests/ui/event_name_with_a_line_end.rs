use bocadillo::server_event;

fn main() {
    let _ = server_event!("greet\ning");
    let _ = server_event!(name = "greet\ring", data = "a");
}

use bocadillo::server_event;

fn main() {
    let _ = server_event!(dta = "a");
    let _ = server_event!(event = "greeting", data = "a");
    let _ = server_event!(data = "a", "greeting");
}

use bocadillo::server_event;

struct Temperature;

fn main() {
    let _ = server_event!(json = {"temperature": Temperature});
}

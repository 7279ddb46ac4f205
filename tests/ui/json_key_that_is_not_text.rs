use bocadillo::server_event;

fn main() {
    let temperature = 1.0;
    let _ = server_event!(json = {temperature: temperature});
    let _ = server_event!(json = {1: temperature});
}

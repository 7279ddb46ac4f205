use bocadillo::Server;

fn main() {
    let _ = Server::new("hello");
}

//! What any server owes any client.

use bocadillo::App;

use crate::support::Server;
use crate::support::http::{BOTH, get};

#[tokio::test]
async fn nothing_at_a_path_is_404_as_problem_json() {
    let server = Server::start(App::new()).await;
    for protocol in BOTH {
        let reply = get(protocol, server.address, "/nowhere").await;
        assert_eq!(reply.status, 404);
        assert_eq!(
            reply.header("content-type"),
            Some("application/problem+json")
        );
        assert_eq!(
            reply.json().await["detail"],
            "nothing is served at /nowhere"
        );
    }
    server.stop().await;
}

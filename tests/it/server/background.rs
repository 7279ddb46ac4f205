//! Background tasks of an app.

use bocadillo::App;
use tokio::sync::oneshot;

use crate::support::http::{Protocol, get};
use crate::support::{Server, wait};

#[tokio::test]
async fn a_background_task_runs_until_the_server_ends() {
    let (begun, begins) = oneshot::channel();
    let (held, drop_of_the_task) = oneshot::channel::<()>();
    let app = bocadillo::Server::new(App::new()).background(async move {
        let _held = held;
        let _ = begun.send(());
        std::future::pending::<()>().await;
    });
    let server = Server::start(app).await;
    wait::within("the task's start", begins)
        .await
        .expect("it runs");
    server.stop().await;
    let dropped = wait::within("the task's end", drop_of_the_task).await;
    assert!(dropped.is_err(), "the task was not dropped before its end");
}

#[tokio::test]
async fn a_panic_in_a_background_task_does_not_stop_the_server() {
    let app = bocadillo::Server::new(App::new()).background(async { panic!("on purpose") });
    let server = Server::start(app).await;
    let reply = get(Protocol::Http1, server.address, "/nowhere").await;
    assert_eq!(reply.status, 404);
    server.stop().await;
}

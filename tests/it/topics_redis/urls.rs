//! Each form of the URL that the documentation names.

use super::*;

async fn works(url: &str) {
    let hub = Hub::redis(url).unwrap_or_else(|error| panic!("{url}: {error:?}"));
    let x = topic(&hub, "x");
    let mut events = x.subscribe(Cursor::live());
    publish(&x, url).await;
    assert_eq!(next(&mut events).await, url);
}

#[tokio::test]
async fn every_form_of_the_url_connects() {
    let redis = Redis::start();
    let (address, socket) = (redis.address(), redis.socket());
    redis.command("ACL SETUSER alice on >p%40ss:w/rd allkeys allcommands allchannels");
    redis.command("ACL SETUSER bob on >p@ss allkeys allcommands allchannels");
    let socket = socket.display();
    for url in [
        format!("redis://{address}"),
        format!("redis://{address}/"),
        format!("redis://{address}/5"),
        format!("redis://{address}/?protocol=resp3"),
        format!("redis://localhost:{}/", address.port()),
        format!("redis://bob:p%40ss@{address}/"),
        format!("redis://alice:p%2540ss%3Aw%2Frd@{address}/2"),
        format!("redis+unix://{socket}"),
        format!("unix://{socket}"),
        format!("redis+unix://{socket}?db=3&user=bob&pass=p%40ss"),
    ] {
        works(&url).await;
    }
    redis.command("CONFIG SET requirepass open-sesame");
    works(&format!("redis://:open-sesame@{address}/")).await;
}

#[test]
fn a_url_of_tls_needs_a_feature_of_the_client() {
    let error = Hub::redis("rediss://127.0.0.1/").expect_err("the feature is off");
    assert!(error.is_topic());
    assert!(
        error
            .source()
            .expect("with the reason")
            .to_string()
            .contains("TLS"),
        "{error:?}"
    );
}

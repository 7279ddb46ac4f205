//! Each form of the URL that the documentation names.

use super::*;

async fn works(url: &str) {
    let hub = Hub::redis(url).unwrap_or_else(|error| panic!("{url}: {error:?}"));
    let x = topic(&hub, "x");
    let mut events = x.subscribe();
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
    // A port that is not named is 6379. Few addresses have it in use.
    let (listener, host) = loop {
        let host = format!("127.{}.{}.1", fastrand::u8(1..), fastrand::u8(1..));
        if let Ok(listener) = TcpListener::bind((host.as_str(), 6379)).await {
            break (listener, host);
        }
    };
    tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            let mut server = TcpStream::connect(address).await.unwrap();
            tokio::spawn(
                async move { tokio::io::copy_bidirectional(&mut client, &mut server).await },
            );
        }
    });
    works(&format!("redis://{host}")).await;
    redis.command("CONFIG SET requirepass open-sesame");
    works(&format!("redis://:open-sesame@{address}/")).await;
}

#[test]
fn a_url_of_tls_needs_a_feature_of_the_client() {
    let error = Hub::redis("rediss://127.0.0.1/").expect_err("the feature is off");
    assert!(error.is_config());
    assert!(
        error
            .source()
            .expect("with the reason")
            .to_string()
            .contains("TLS"),
        "{error:?}"
    );
}

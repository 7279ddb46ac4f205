//! The forms of a URL that the documentation names.

use super::*;
use crate::support::Certificates;

async fn works(redis: impl Into<bocadillo::topic::Redis>, url: &str) {
    let hub = Hub::redis(redis).unwrap_or_else(|error| panic!("{url}: {error:?}"));
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
        works(&url, &url).await;
    }
    // The default port is 6379. It is free on most addresses.
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
    let url = format!("redis://{host}");
    works(&url, &url).await;
    redis.command("CONFIG SET requirepass open-sesame");
    let url = format!("redis://:open-sesame@{address}/");
    works(&url, &url).await;
}

#[tokio::test]
async fn a_hub_trusts_a_private_certificate_authority_on_redis() {
    let certificates = Certificates::new();
    let (redis, port) = Redis::start_with_tls(&certificates);
    redis.command("ACL SETUSER bob on >p@ss allkeys allcommands allchannels");
    let authority = certificates.file("ca.pem");
    for url in [
        format!("rediss://127.0.0.1:{port}"),
        format!("rediss://bob:p%40ss@127.0.0.1:{port}/2?protocol=resp3"),
        format!("valkeys://127.0.0.1:{port}/3"),
    ] {
        let options = bocadillo::topic::Redis::new(&url).root_certificates(&authority);
        works(options, &url).await;
    }
    // Over TLS the hub also notices that the server has closed the connection.
    let url = format!("rediss://127.0.0.1:{port}");
    let options = bocadillo::topic::Redis::new(&url).root_certificates(&authority);
    let x = topic(&Hub::redis(options).unwrap(), "x");
    for _ in 0..5 {
        publish(&x, "before").await;
        redis.command("CLIENT KILL TYPE normal SKIPME yes");
        publish(&x, "after").await;
    }

    for (options, reason) in [
        // No certificate authority of the system has signed the certificate.
        (bocadillo::topic::Redis::new(&url), "UnknownIssuer"),
        // The certificate is for another name.
        (
            bocadillo::topic::Redis::new(format!("rediss://localhost:{port}"))
                .root_certificates(&authority),
            "not valid for name",
        ),
        (
            bocadillo::topic::Redis::new(&url).root_certificates("/nowhere/ca.pem"),
            "No such file",
        ),
        // One port accepts only TLS, the other port only plain connections.
        (
            bocadillo::topic::Redis::new(format!("rediss://{}", redis.address()))
                .root_certificates(&authority),
            "",
        ),
    ] {
        let hub = Hub::redis(options).unwrap();
        let error = topic(&hub, "x").publish("x").await.expect_err(reason);
        assert!(error.is_unavailable());
        let source = error.source().expect("the error has a source").to_string();
        assert!(source.contains(reason), "{source}");
    }
}

#[test]
fn a_url_that_disables_certificate_checks_is_refused() {
    let error = Hub::redis("rediss://user:secret@127.0.0.1/#insecure")
        .expect_err("the URL disables certificate checks");
    let source = error.source().expect("the error has a source").to_string();
    assert!(
        error.is_config() && source.contains("certificates"),
        "{source}"
    );
    assert!(!source.contains("secret"), "{source}");
}

//! Separate listeners for administrators and metrics, and TLS on all of them.

use crate::world::World;
use std::{net::SocketAddr, path::Path, time::Duration};
use tegata_server::TlsFiles;
use tegata_system::http::client_for;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

fn free() -> Option<SocketAddr> {
    Some(([127, 0, 0, 1], 0).into())
}

async fn status(at: SocketAddr, path: &str) -> u16 {
    let url = format!("http://{at}{path}").parse().unwrap();
    client_for(&url).build().unwrap().get(url).send().await.unwrap().status().as_u16()
}

#[tokio::test(flavor = "multi_thread")]
async fn each_listener_has_its_own_routes_and_the_readiness() {
    let world = World::with(|settings| {
        settings.admin_listen = free();
        settings.metrics_listen = free();
    })
    .await;
    let running = world.running();
    let all = [running.address, running.admin_address, running.metrics_address];
    for (path, shown) in [
        ("/livez", [200, 200, 200]),
        ("/readyz", [200, 200, 200]),
        ("/gateway/verify", [401, 404, 404]),
        ("/oauth2/v2.1/verify", [400, 404, 404]),
        ("/.well-known/jwks.json", [200, 404, 404]),
        ("/dev/clock", [200, 404, 404]),
        ("/admin/v1/providers", [404, 401, 404]),
        ("/metrics", [404, 404, 200]),
    ] {
        for (at, shown) in all.into_iter().zip(shown) {
            assert_eq!(status(at, path).await, shown, "{path} at {at} of {all:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_address_for_two_listeners_is_bound_once() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    drop(taken);
    let world = World::with(|settings| {
        settings.admin_listen = Some(address);
        settings.metrics_listen = Some(address);
    })
    .await;
    assert_eq!(world.running().admin_address, world.running().metrics_address);
    assert_eq!(status(address, "/metrics").await, 200);
    assert_eq!(status(address, "/admin/v1/providers").await, 401);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_at_the_public_address_does_not_block_administrators() {
    let world = World::with(|settings| {
        settings.admin_listen = free();
        settings.max_connections = 2;
    })
    .await;
    let mut held = Vec::new();
    for _ in 0..4 {
        let mut stream = TcpStream::connect(world.running().address).await.unwrap();
        let head = b"POST /v2/oauth/verify HTTP/1.1\r\nhost: x\r\ncontent-length: 3\r\n\r\na";
        stream.write_all(head).await.unwrap();
        held.push(stream);
    }
    assert_eq!(status(world.running().admin_address, "/admin/v1/providers").await, 401);
}

/// Writes a new pair for `localhost` into the folder; returns its certificate.
pub fn renew(folder: &Path) -> (TlsFiles, String) {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let files = TlsFiles { certificate: folder.join("tls.crt"), key: folder.join("tls.key") };
    std::fs::write(&files.certificate, made.cert.pem()).unwrap();
    std::fs::write(&files.key, made.signing_key.serialize_pem()).unwrap();
    (files, made.cert.pem())
}

/// Requests `/livez` as a client that trusts this certificate alone.
async fn livez(at: SocketAddr, trusted: &str) -> reqwest::Result<reqwest::Response> {
    let certificate = reqwest::Certificate::from_pem(trusted.as_bytes()).unwrap();
    let url = format!("https://localhost:{}/livez", at.port()).parse().unwrap();
    client_for(&url).tls_certs_only([certificate]).build().unwrap().get(url).send().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_certificate_replaces_the_old_one_and_an_invalid_one_does_not() {
    let folder = tempfile::tempdir().unwrap();
    let (files, first) = renew(folder.path());
    let world = World::with(|settings| settings.tls = Some(files.clone())).await;
    let at = world.running().address;
    let response = livez(at, &first).await.unwrap();
    assert_eq!((response.status().as_u16(), response.version()), (200, reqwest::Version::HTTP_2));
    assert_eq!(response.headers()["strict-transport-security"], "max-age=31536000");

    let (_, second) = renew(folder.path());
    world.running().reload().await;
    assert!(livez(at, &first).await.is_err(), "the old certificate is still served");
    assert_eq!(livez(at, &second).await.unwrap().status(), 200);

    for (file, text) in [(&files.key, "no key"), (&files.certificate, "no certificate")] {
        std::fs::write(file, text).unwrap();
        world.running().reload().await;
        assert_eq!(livez(at, &second).await.unwrap().status(), 200);
    }
    // A key of another pair.
    let (_, _) = renew(folder.path());
    let other = tempfile::tempdir().unwrap();
    std::fs::copy(renew(other.path()).0.key, &files.key).unwrap();
    world.running().reload().await;
    assert_eq!(livez(at, &second).await.unwrap().status(), 200);

    // Without a signal: the server reads the files from time to time.
    let (_, third) = renew(folder.path());
    let taken = async {
        while livez(at, &third).await.is_err() {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    timeout(Duration::from_secs(20), taken).await.expect("a changed file is loaded");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_does_not_complete_the_tls_handshake_is_cut_off() {
    let folder = tempfile::tempdir().unwrap();
    let (files, trusted) = renew(folder.path());
    let world = World::with(|settings| settings.tls = Some(files)).await;
    let at = world.running().address;
    let mut cut_off = tokio::task::JoinSet::new();
    for said in [&b""[..], b"GET /livez HTTP/1.1\r\nhost: x\r\n\r\n", b"\x16\x03\x01\x02\x00\x01"] {
        let mut stream = TcpStream::connect(at).await.unwrap();
        stream.write_all(said).await.unwrap();
        cut_off.spawn(async move {
            let mut all = Vec::new();
            let _ = stream.read_to_end(&mut all).await;
            all
        });
    }
    assert_eq!(livez(at, &trusted).await.unwrap().status(), 200);
    let all = timeout(Duration::from_secs(13), cut_off.join_all()).await.expect("cut off");
    assert!(all.iter().all(|said| !said.starts_with(b"HTTP")));
}

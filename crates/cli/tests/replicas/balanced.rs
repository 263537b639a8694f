//! Load balancers in front of several servers: each request reaches any of them.

use crate::{
    Field,
    line::{Channel, With, is_good, provider, token_in, verify},
    process::{
        Server,
        http::{Connection, HttpResponse, Request},
        key::Key,
    },
};
use postgres_fixture::ReservedPort;
use std::{
    fs,
    net::SocketAddr,
    process::{Child, Command, Stdio},
    time::Duration,
};

/// A running balancer; dropping it stops it.
pub(crate) struct Balancer {
    process: Child,
    port: ReservedPort,
}

impl Drop for Balancer {
    fn drop(&mut self) {
        // nginx and HAProxy end their workers themselves.
        let process = self.process.id().to_string();
        let _ = Command::new("kill").args(["-TERM", &process]).status();
        let _ = self.process.wait();
    }
}

impl Balancer {
    async fn start(mut command: Command, port: ReservedPort) -> Self {
        let quiet = command.stdin(Stdio::null()).stdout(Stdio::null());
        let process = quiet.spawn().unwrap();
        let started = Self { process, port };
        for _ in 0..500 {
            if let Some(it) = started.try_ask(&Request::new("GET", "/livez", &[], "")).await
                && it.status == 200
            {
                return started;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("the balancer does not serve");
    }

    pub(crate) async fn try_ask(&self, request: &Request) -> Option<HttpResponse> {
        Connection::open(self.port.at()).await.ok()?.ask(request).await.ok()
    }

    async fn ask(&self, request: &Request) -> HttpResponse {
        self.try_ask(request).await.expect("the balancer answers")
    }
}

/// The settings for a balancer of the book's page on many servers, line by line.
fn of_the_book(balancer: &str) -> impl Iterator<Item = &'static str> {
    let book = include_str!("../../../../docs/book/src/replicas.md");
    let found =
        book.split_once(&format!("```{balancer}\n")).and_then(|(_, it)| it.split_once("```"));
    found.unwrap().0.lines().map(str::trim)
}

/// Those for nginx, with these servers, and without TLS.
fn nginx_of_the_book(at: SocketAddr, servers: &[&Server]) -> String {
    let line = |it: &str| match it {
        "upstream tegata {" => {
            let all = servers.iter().map(|it| it.address().to_string());
            let all = all.map(|it| format!("server {it} max_fails=1 fail_timeout=1s;\n"));
            format!("{it}\n{}", all.collect::<String>())
        }
        "listen 443 ssl;" => format!("listen {at};\n"),
        it if it.starts_with("ssl_") || it.starts_with("server 10.") => String::new(),
        it => format!("{it}\n"),
    };
    of_the_book("nginx").map(line).collect()
}

/// Those for HAProxy, with these servers, each as the first one of the book, and without TLS.
fn haproxy_of_the_book(at: SocketAddr, servers: &[SocketAddr]) -> String {
    let line = |it: &str| {
        if it.starts_with("bind ") {
            return format!("bind {at}\n");
        }
        match it.strip_prefix("server a 10.0.0.1:8080 ") {
            Some(how) => {
                let all = servers.iter().enumerate();
                all.map(|(n, it)| format!("server s{n} {it} {how}\n")).collect()
            }
            None if it.starts_with("server ") => String::new(),
            None => format!("{it}\n"),
        }
    };
    of_the_book("haproxy").map(line).collect()
}

/// nginx, with the settings of the book.
async fn nginx(field: &Field<'_>, servers: &[&Server]) -> Balancer {
    let port = ReservedPort::new().unwrap();
    let at = port.at();
    let folder = field.home.path().join("nginx");
    fs::create_dir_all(&folder).unwrap();
    let place = folder.display();
    let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .map(|what| format!("{what}_temp_path {place}/{what};\n"))
        .concat();
    let book = nginx_of_the_book(at, servers);
    let conf = format!(
        "user root;\ndaemon off;\npid {place}/pid;\nerror_log stderr crit;\nevents {{}}\nhttp {{\n\
         access_log off;\n{temporary}{book}}}\n"
    );
    let file = folder.join("nginx.conf");
    fs::write(&file, conf).unwrap();
    let mut command = Command::new("nginx");
    command.arg("-c").arg(file);
    Balancer::start(command, port).await
}

/// HAProxy, with the settings of the book.
pub(crate) async fn haproxy(field: &Field<'_>, servers: &[SocketAddr]) -> Balancer {
    let port = ReservedPort::new().unwrap();
    let conf = haproxy_of_the_book(port.at(), servers);
    assert_eq!(conf.matches("\nserver ").count(), servers.len(), "{conf}");
    let file = field.home.path().join("haproxy.cfg");
    fs::write(&file, conf).unwrap();
    let mut command = Command::new("haproxy");
    command.arg("-f").arg(file);
    Balancer::start(command, port).await
}

/// Each request of a client may reach another server, and one of them is killed.
async fn serves(field: &Field<'_>, balancer: &Balancer, mut servers: Vec<Server>) {
    let key = Key::generate();
    let channel = Channel::create(&servers[0], &provider(&servers[0]).await, &key).await;
    for round in 0..30 {
        let issued = balancer.ask(&channel.issue_short_lived(With::default())).await;
        assert_eq!(issued.status, 200, "round {round}: {}", issued.text());
        let token = token_in(&issued);
        for _ in 0..3 {
            assert!(is_good(&balancer.ask(&verify(&token)).await), "round {round}: issued");
        }
        assert_eq!(balancer.ask(&channel.revoke(&token)).await.status, 200, "round {round}");
        for _ in 0..3 {
            assert!(!is_good(&balancer.ask(&verify(&token)).await), "round {round}: revoked");
        }
    }
    let token = token_in(&balancer.ask(&channel.issue_stateless(With::default())).await);
    drop(servers.pop());
    for _ in 0..60 {
        assert!(is_good(&balancer.ask(&verify(&token)).await), "one server was killed");
    }
    // It waits for the lease of the server that is gone.
    assert_eq!(balancer.ask(&channel.revoke(&token)).await.status, 200);
    assert!(!is_good(&balancer.ask(&verify(&token)).await));
    assert!(field.home.path().exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn nginx_spreads_requests_over_three_servers() {
    let field = Field::new();
    let (a, b, c) = tokio::join!(field.start("a"), field.start("b"), field.start("c"));
    let balancer = nginx(&field, &[&a, &b, &c]).await;
    serves(&field, &balancer, vec![a, b, c]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nginx_of_the_book_passes_the_longest_text_on_to_the_leak_desk() {
    let field = Field::new();
    let server = field.start("a").await;
    let balancer = nginx(&field, &[&server]).await;
    let text = format!("text={}", "%0A".repeat(1 << 20));
    let form = "application/x-www-form-urlencoded";
    let headers = [("origin", "http://127.0.0.1"), ("content-type", form)];
    let response = balancer.ask(&Request::new("POST", "/console/leak-desk", &headers, &text)).await;
    // Tegata itself refuses a long text of a person who is not signed in.
    let by_tegata = response.header("x-line-request-id").is_some();
    assert_eq!((response.status, by_tegata), (413, true));
}

#[tokio::test(flavor = "multi_thread")]
async fn haproxy_spreads_requests_over_three_servers() {
    let field = Field::new();
    let (a, b, c) = tokio::join!(field.start("a"), field.start("b"), field.start("c"));
    let balancer = haproxy(&field, &[a.address(), b.address(), c.address()]).await;
    serves(&field, &balancer, vec![a, b, c]).await;
}

//! The proxies of the book: its configuration is run as it stands in the programs that
//! it is written for, with other ports. `cargo xtask test` installs them.

use crate::{
    book::fenced,
    program::{Desk, finish},
};
use serde_json::Value;
use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::Duration,
};

/// What the book's blocks name, and the tests put their own addresses in the place of.
const TEGATA: &str = "127.0.0.1:8080";
const API: &str = "127.0.0.1:9000";
const GUARD: &str = "127.0.0.1:8000";

/// A running proxy; dropping it ends it.
struct Proxy {
    process: Child,
    at: SocketAddr,
}

impl Drop for Proxy {
    fn drop(&mut self) {
        // Envoy is started by another program: its whole group ends.
        let group = format!("-{}", self.process.id());
        let _ = Command::new("kill").args(["-KILL", "--", &group]).status();
        let _ = self.process.wait();
    }
}

impl Proxy {
    /// What curl gets for `words`, from one of this machine's many addresses: the
    /// status, and head and body as one text in small letters.
    fn ask(&self, from: &str, words: &[&str], path: &str) -> (u16, String) {
        let url = format!("http://{}{path}", self.at);
        let always = ["-sS", "-i", "--max-time", "30", "--interface", from];
        let mut curl = Command::new("curl");
        let answer = finish(curl.args(always).args(words).arg(url)).expect(0);
        let status = answer.split(' ').nth(1).and_then(|it| it.parse().ok());
        (status.unwrap_or_else(|| panic!("no status: {answer}")), answer.to_ascii_lowercase())
    }
}

/// An authority, an API that says what it was asked, and where a proxy may listen.
struct World {
    desk: Desk,
    api: SocketAddr,
    at: SocketAddr,
}

impl World {
    fn new() -> Self {
        let words = ["--trusted-proxy", "127.0.0.1", "--log", "info,tegata_server::http=debug"];
        let desk = Desk::with(&words);
        let api = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = api.local_addr().unwrap();
        thread::spawn(move || api.incoming().map_while(Result::ok).for_each(echo));
        // Free now; whoever takes it before the proxy does makes the test fail, not pass.
        let at = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        Self { desk, api: address, at }
    }

    /// A block with our addresses in the place of the book's.
    fn ours(&self, block: &str) -> String {
        let tegata = self.desk.server.url.strip_prefix("http://").unwrap();
        let port = |it: &str| format!("port_value: {}", it.rsplit(':').next().unwrap());
        let (api, at) = (self.api.to_string(), self.at.to_string());
        [(TEGATA, tegata), (API, &api), (GUARD, &at)].iter().fold(
            block.replace("api.example.com", &format!("http://{at}")),
            |text, (theirs, ours)| text.replace(theirs, ours).replace(&port(theirs), &port(ours)),
        )
    }

    fn file(&self, name: &str, text: &str) -> PathBuf {
        self.desk.home.file(name, text)
    }

    /// nginx with these locations.
    fn nginx(&self, locations: &str) -> Proxy {
        let folder = self.desk.home.path("nginx");
        fs::create_dir(&folder).unwrap();
        let place = |what: &str| format!("{}/{what}", folder.display());
        let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
            .map(|what| format!("{what}_temp_path {};\n", place(what)))
            .concat();
        let conf = format!(
            "daemon off;\npid {};\nerror_log stderr;\nevents {{}}\nhttp {{\naccess_log off;\n\
             {temporary}server {{\nlisten {};\n{}\n}}\n}}\n",
            place("pid"),
            self.at,
            self.ours(locations)
        );
        let conf = self.file("nginx.conf", &conf);
        self.run(Command::new("nginx").arg("-c").arg(conf))
    }

    /// Starts the proxy and waits until it listens.
    fn run(&self, command: &mut Command) -> Proxy {
        use std::os::unix::process::CommandExt;
        let home = self.desk.home.path("");
        let command = command.current_dir(&home).env("HOME", &home).process_group(0);
        command.env("PATH", "/usr/local/sbin:/usr/sbin:/sbin:/usr/local/bin:/usr/bin:/bin");
        let log = fs::File::create(self.desk.home.path("proxy.log")).unwrap();
        let command = command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
        let started = command.spawn();
        let process = started
            .unwrap_or_else(|error| panic!("{command:?}: {error}; `cargo xtask test` installs it"));
        let mut proxy = Proxy { process, at: self.at };
        for _ in 0..3_000 {
            if TcpStream::connect(self.at).is_ok() {
                return proxy;
            }
            if proxy.process.try_wait().unwrap().is_some() {
                break;
            }
            thread::sleep(Duration::from_millis(20));
        }
        panic!("{}", fs::read_to_string(self.desk.home.path("proxy.log")).unwrap())
    }
}

/// Answers one request with what it was.
fn echo(stream: TcpStream) {
    thread::spawn(move || {
        let mut reader = BufReader::new(&stream);
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") && reader.read_line(&mut head).is_ok_and(|n| n > 0) {}
        let length = head.to_ascii_lowercase();
        let length = length.split("content-length:").nth(1).and_then(|it| it.lines().next());
        let length = length.and_then(|it| it.trim().parse().ok()).unwrap_or(0);
        let mut body = String::new();
        let _ = reader.take(length).read_to_string(&mut body);
        let said = format!("the api was asked {head}{body}");
        let length = said.len();
        let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\nconnection: close\r\n");
        let _ = (&stream).write_all(format!("{head}\r\n{said}").as_bytes());
    });
}

/// What each of them must do.
fn guards(world: World, proxy: &Proxy) {
    let ask = |words: &[&str]| proxy.ask("127.0.0.2", words, "/api/x");
    let World { mut desk, .. } = world;
    let (channel, secret) = desk.channel();
    let issue = ["token", "issue", "--channel", &channel, "--kind", "short-lived", "-o", "json"];
    let issued = finish(desk.command(&issue).env("TEGATA_CHANNEL_SECRET", &secret)).expect(0);
    let issued: Value = serde_json::from_str(&issued).unwrap();
    let token = issued["access_token"].as_str().unwrap();
    let bearer = format!("Authorization: Bearer {token}");

    let (status, said) = ask(&[]);
    assert_eq!(status, 401, "{said}");
    assert!(said.contains("www-authenticate: bearer error=\"invalid_token\""), "{said}");
    let (status, said) = ask(&["-H", "Authorization: Bearer no"]);
    assert_eq!(status, 401, "{said}");

    let claim = "X-Tegata-Channel: forged";
    let group = "X-Tegata-Group: forged";
    let hop = "X-Forwarded-For: 9.9.9.9";
    let (status, said) = ask(&["-H", &bearer, "-H", claim, "-H", group, "-H", hop]);
    assert_eq!(status, 200, "{said}");
    assert!(said.contains("the api was asked get /api/x"), "{said}");
    assert!(said.contains(&format!("x-tegata-channel: {channel}")), "{said}");
    assert!(!said.contains("forged"), "a client says who it is: {said}");
    let nonsense = said.lines().any(|line| line.starts_with("x-tegata-group"));
    assert!(!nonsense, "there is no group: {said}");

    let (status, said) = ask(&["-H", &bearer, "-d", "a=body"]);
    assert_eq!(status, 200, "{said}");
    assert!(said.contains("asked post /api/x") && said.ends_with("a=body"), "{said}");

    desk.run(&["token", "revoke", token]).expect(0);
    let (status, said) = ask(&["-H", &bearer]);
    assert_eq!(status, 401, "{said}");

    let log = desk.server.log();
    assert!(desk.server.stop().success());
    let (status, said) = ask(&["-H", &bearer]);
    assert!(status >= 500, "it lets somebody in that nobody vouches for: {said}");
    let log = log.join().unwrap();
    let checks: Vec<_> = log.lines().filter(|line| line.contains("/gateway/verify")).collect();
    assert_eq!(checks.len(), 5, "{log}");
    assert!(checks.iter().all(|line| line.contains("source=127.0.0.2")), "{checks:?}");
}

const PAGE: &str = "docs/book/src/gateway.md";

#[test]
fn nginx_guards_an_api_as_the_book_says() {
    let world = World::new();
    let proxy = world.nginx(&fenced(PAGE, "#", "nginx")[0]);
    guards(world, &proxy);
}

#[test]
fn nginx_guards_an_api_as_the_readme_says() {
    let world = World::new();
    let proxy = world.nginx(&fenced("README.md", "#", "nginx")[0]);
    guards(world, &proxy);
}

#[test]
fn caddy_guards_an_api_as_the_book_says() {
    let world = World::new();
    let block = world.ours(&fenced(PAGE, "#", "caddyfile")[0]);
    let file = world.file("Caddyfile", &format!("{{\n    admin off\n}}\n{block}\n"));
    let mut caddy = Command::new("caddy");
    caddy.args(["run", "--adapter", "caddyfile", "--config"]).arg(file);
    let proxy = world.run(&mut caddy);
    guards(world, &proxy);
}

#[test]
fn haproxy_guards_an_api_as_the_book_says() {
    let world = World::new();
    let lua = world.file("tegata.lua", &world.ours(&fenced(PAGE, "#", "lua")[0]));
    let conf = world.ours(&fenced(PAGE, "#", "haproxy")[0]);
    let conf = conf.replace("/etc/haproxy/tegata.lua", lua.to_str().unwrap());
    let file = world.file("haproxy.cfg", &conf);
    let proxy = world.run(Command::new("haproxy").arg("-f").arg(file));
    guards(world, &proxy);
}

#[test]
fn envoy_guards_an_api_as_the_book_says() {
    let world = World::new();
    let file = world.file("envoy.yaml", &world.ours(&fenced(PAGE, "#", "yaml")[0]));
    let parts = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/test-parts");
    let mut envoy = Command::new(parts.join("envoy/bin/envoy"));
    envoy.args(["--concurrency", "1", "--disable-hot-restart", "--log-level", "warn", "-c"]);
    let proxy = world.run(envoy.arg(file));
    guards(world, &proxy);
}

#[test]
fn whoever_guesses_secrets_through_a_proxy_is_told_apart_from_others() {
    let world = World::new();
    let proxy = world.nginx(&fenced(PAGE, "#", "nginx")[1]);
    let (channel, secret) = world.desk.channel();
    let ask = |from: &str, secret: &str, forged: &str| {
        let hop = format!("X-Forwarded-For: {forged}");
        let (id, secret) = (format!("client_id={channel}"), format!("client_secret={secret}"));
        let grant = "grant_type=client_credentials";
        let words = ["-H", &hop, "-d", grant, "-d", &id, "-d", &secret];
        proxy.ask(from, &words, "/v2/oauth/accessToken").0
    };
    let guesses: Vec<_> =
        (0..12).map(|n| ask("127.0.0.2", "wrong", &format!("9.9.9.{n}"))).collect();
    assert_eq!(guesses[..10], [400; 10], "{guesses:?}");
    assert_eq!(guesses[11], 429, "{guesses:?}");
    assert_eq!(ask("127.0.0.3", "wrong", "127.0.0.2"), 400);
    assert_eq!(ask("127.0.0.2", &secret, "9.9.9.9"), 200);
    for path in ["/admin/v1/openapi.json", "/metrics"] {
        assert_eq!(proxy.ask("127.0.0.3", &[], path).0, 404, "{path}");
    }
}

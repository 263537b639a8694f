//! The book's proxy configurations, run unchanged in the proxies that they are for, except
//! for ports. `cargo xtask test` installs them.

use crate::{
    book::fenced,
    program::{Desk, Server, finish},
    verify_proxy,
};
use serde_json::Value;
use std::{
    fs::{self, Permissions},
    io::{BufRead, BufReader},
    net::{SocketAddr, TcpListener, TcpStream},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicU32, Ordering::Relaxed},
    thread,
    time::Duration,
};
use tempfile::TempDir;

/// The addresses in the book's blocks, which the tests replace by their own.
const TEGATA: &str = "127.0.0.1:8080";
const API: &str = "127.0.0.1:9000";
const GUARD: &str = "127.0.0.1:8000";
const SOCKET: &str = "/run/tegata/verify.sock";
const GATE: &str = "127.0.0.1:8081";
const EXT_AUTHZ: &str = "127.0.0.1:8082";

/// Where the book's blocks for the verifying proxy begin.
const BY_PROXY: &str = "## Verify on the API's machine";
const GRPC: &str = "## Let Envoy ask over gRPC";

/// A running proxy or API; dropping it stops it.
pub struct Running {
    process: Child,
    pub at: SocketAddr,
}

impl Drop for Running {
    fn drop(&mut self) {
        // Another program starts Envoy, so its whole group is stopped.
        let group = format!("-{}", self.process.id());
        let _ = Command::new("kill").args(["-KILL", "--", &group]).status();
        let _ = self.process.wait();
    }
}

impl Running {
    /// What curl gets for `words`, from one of this machine's many addresses: the
    /// status, and head and body as one text in small letters.
    pub fn ask(&self, from: &str, words: &[&str], path: &str) -> (u16, String) {
        let url = format!("http://{}{path}", self.at);
        let always = ["-sS", "-i", "--max-time", "30", "--interface", from];
        let mut curl = Command::new("curl");
        let response = finish(curl.args(always).args(words).arg(url)).expect(0);
        let status = response.split(' ').nth(1).and_then(|it| it.parse().ok());
        (status.unwrap_or_else(|| panic!("no status: {response}")), response.to_ascii_lowercase())
    }
}

/// An authority, an API that echoes its requests, and an address for a proxy.
pub struct World {
    pub desk: Desk,
    pub api: Running,
    /// What is replaced in the book's blocks.
    pub edits: Vec<(String, String)>,
    /// The verifying proxy, if it answers in place of the authority.
    gate: Option<Server>,
    /// The folder of its socket.
    folder: Option<TempDir>,
    at: SocketAddr,
}

impl World {
    pub fn new() -> Self {
        let words = ["--trusted-proxy", "127.0.0.1", "--log", "info,tegata_server::http=debug"];
        let words = [&words[..], &["--ext-authz-listen", "127.0.0.1:0"]].concat();
        let mut desk = Desk::with(&words);
        let ext_authz = ext_authz(&mut desk.server);
        let edits = vec![(EXT_AUTHZ.to_owned(), ext_authz)];
        Self { desk, api: api(), edits, gate: None, folder: None, at: free_address() }
    }

    /// One whose proxies ask the verifying proxy.
    pub fn by_proxy() -> Self {
        let mut world = Self::new();
        let verifier = verify_proxy::verifier(&world.desk, &[]);
        // nginx's workers are of another user, who may not enter the test's own folder.
        let folder = tempfile::Builder::new().permissions(Permissions::from_mode(0o755)).tempdir();
        let folder = folder.unwrap();
        let socket = folder.path().join("verify.sock");
        let listen = format!("unix:{}", socket.display());
        let words = ["--listen", &listen, "--ext-authz-listen", "127.0.0.1:0"];
        let words = [&words[..], &["--max-staleness", "5s"]].concat();
        let mut gate = verify_proxy::start_with("0000", &world.desk, &verifier, &words);
        verify_proxy::until_ready_is(&gate, 200);
        world.folder = Some(folder);
        world.edits = vec![
            (SOCKET.to_owned(), socket.to_str().unwrap().to_owned()),
            (EXT_AUTHZ.to_owned(), ext_authz(&mut gate)),
        ];
        world.gate = Some(gate);
        world
    }

    /// As [`World::by_proxy`], at a TCP address.
    pub fn by_proxy_at_an_address() -> Self {
        let mut world = Self::by_proxy();
        drop(world.gate.take());
        let verifier = verify_proxy::verifier(&world.desk, &[]);
        let gate = verify_proxy::start(&world.desk, &verifier, &["--max-staleness", "5s"]);
        verify_proxy::until_ready_is(&gate, 200);
        let at = gate.url.strip_prefix("http://").unwrap().to_owned();
        world.edits.push((GATE.to_owned(), at));
        world.gate = Some(gate);
        world
    }

    /// Stops what answers the proxies.
    pub fn stop_answering(self) {
        let stopped = self.gate.unwrap_or(self.desk.server).stop();
        assert!(stopped.success());
    }

    /// The book's line for the verifying proxy in place of the one of `block` that begins
    /// so, if it is used.
    fn by_proxy_in(&self, block: &str, language: &str, begin: &str) -> String {
        if self.gate.is_none() {
            return block.to_owned();
        }
        let ours = fenced(PAGE, BY_PROXY, language).remove(0);
        assert!(block.lines().filter(|line| line.trim().starts_with(begin)).count() == 1);
        let line = |line: &str| match line.trim().starts_with(begin) {
            true => ours.clone(),
            false => format!("{line}\n"),
        };
        block.lines().map(line).collect()
    }

    /// A block with the tests' addresses instead of the book's.
    fn ours(&self, block: &str) -> String {
        let tegata = self.desk.server.url.strip_prefix("http://").unwrap();
        let port = |it: &str| format!("port_value: {}", it.rsplit(':').next().unwrap());
        let (api, at) = (self.api.at.to_string(), self.at.to_string());
        let block = self.edits.iter().fold(block.to_owned(), |text, (theirs, ours)| {
            let text = text.replace(theirs, ours);
            // Envoy writes the port alone.
            if theirs == EXT_AUTHZ { text.replace(&port(theirs), &port(ours)) } else { text }
        });
        [(TEGATA, tegata), (API, &api), (GUARD, &at)].iter().fold(
            block.replace("api.example.com", &format!("http://{at}")),
            |text, (theirs, ours)| text.replace(theirs, ours).replace(&port(theirs), &port(ours)),
        )
    }

    fn file(&self, name: &str, text: &str) -> PathBuf {
        self.desk.home.file(name, text)
    }

    /// nginx with these in `http` and in its server, and around them the settings that
    /// would let the most headers through.
    pub fn nginx(&self, http: &str, server: &str) -> Running {
        let folder = self.desk.home.path("nginx");
        fs::create_dir_all(&folder).unwrap();
        let place = |what: &str| format!("{}/{what}", folder.display());
        let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
            .map(|what| format!("{what}_temp_path {};\n", place(what)))
            .concat();
        let conf = format!(
            "daemon off;\npid {};\nerror_log stderr;\nevents {{}}\nhttp {{\naccess_log off;\n\
             underscores_in_headers on;\nignore_invalid_headers off;\n{temporary}{http}server {{\nlisten {};\n{}\n}}\n}}\n",
            place("pid"),
            self.at,
            self.ours(server)
        );
        let conf = conf.replace("/var/log/nginx", folder.to_str().unwrap());
        let conf = self.file("nginx.conf", &conf);
        self.run(Command::new("nginx").arg("-c").arg(conf))
    }

    pub fn nginx_of_the_book(&self) -> Running {
        let blocks = fenced(PAGE, "## nginx", "nginx");
        let server = self.by_proxy_in(
            &blocks[1],
            "nginx",
            "proxy_pass http://127.0.0.1:8080/gateway/verify;",
        );
        self.nginx(&blocks[0], &server)
    }

    pub fn caddy(&self) -> Running {
        let block = &fenced(PAGE, "#", "caddyfile")[0];
        let block = self.ours(&self.by_proxy_in(block, "caddyfile", "forward_auth"));
        let global = "{\n    admin off\n    servers {\n        protocols h1 h2c\n    }\n}\n";
        let file = self.file("Caddyfile", &format!("{global}{block}\n"));
        let mut caddy = Command::new("caddy");
        self.run(caddy.args(["run", "--adapter", "caddyfile", "--config"]).arg(file))
    }

    pub fn haproxy(&self) -> Running {
        let lua = self.by_proxy_in(&fenced(PAGE, "#", "lua")[0], "lua", "url =");
        let lua = self.file("tegata.lua", &self.ours(&lua));
        let conf = self.ours(&fenced(PAGE, "#", "haproxy")[0]);
        let conf = conf.replace("/etc/haproxy/tegata.lua", lua.to_str().unwrap());
        let file = self.file("haproxy.cfg", &conf);
        self.run(Command::new("haproxy").arg("-f").arg(file))
    }

    pub fn envoy(&self) -> Running {
        self.envoy_with("## Envoy")
    }

    pub fn envoy_over_grpc(&self) -> Running {
        self.envoy_with(GRPC)
    }

    fn envoy_with(&self, heading: &str) -> Running {
        let file = self.file("envoy.yaml", &self.ours(&fenced(PAGE, heading, "yaml")[0]));
        let mut envoy = Command::new(part("envoy"));
        envoy.args(["--concurrency", "1", "--disable-hot-restart", "--log-level", "warn", "-c"]);
        self.run(envoy.arg(file))
    }

    pub fn traefik(&self) -> Running {
        // Not `traefik.yaml`, which Traefik would take for its static settings.
        let routes = &fenced(PAGE, "## Traefik", "yaml")[0];
        let routes = self
            .by_proxy_in(routes, "yaml", "address:")
            .replace("\naddress:", "\n        address:");
        let file = self.file("routes.yaml", &self.ours(&routes));
        let mut traefik = Command::new(part("traefik"));
        traefik.arg(format!("--entryPoints.api.address={}", self.at));
        traefik.arg(format!("--providers.file.filename={}", file.display()));
        // Only loopback traffic: no check for updates, no statistics.
        traefik.args(["--global.checkNewVersion=false", "--global.sendAnonymousUsage=false"]);
        let proxy = self.run(&mut traefik);
        // Traefik listens before it has read its routes.
        for _ in 0..3_000 {
            if proxy.ask("127.0.0.1", &[], "/api/").0 != 404 {
                return proxy;
            }
            thread::sleep(Duration::from_millis(20));
        }
        panic!("{}", fs::read_to_string(self.desk.home.path("proxy.log")).unwrap())
    }

    /// Starts the proxy and waits until it listens.
    fn run(&self, command: &mut Command) -> Running {
        use std::os::unix::process::CommandExt;
        let home = self.desk.home.path("");
        let command = command.current_dir(&home).env("HOME", &home).process_group(0);
        command.env("PATH", "/usr/local/sbin:/usr/sbin:/sbin:/usr/local/bin:/usr/bin:/bin");
        let log = fs::File::create(self.desk.home.path("proxy.log")).unwrap();
        let command = command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
        let started = command.spawn();
        let process = started
            .unwrap_or_else(|error| panic!("{command:?}: {error}; `cargo xtask test` installs it"));
        let mut proxy = Running { process, at: self.at };
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

/// The address that a server prints for Envoy.
fn ext_authz(server: &mut Server) -> String {
    let line = server.line(|line| line.contains("ext_authz over gRPC at "));
    line.split_once(" at ").unwrap().1.to_owned()
}

/// An address for a proxy, below the ports that the system hands out: no API of another
/// test, and no connection, takes it before the proxy does.
fn free_address() -> SocketAddr {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    loop {
        let number = std::process::id().wrapping_mul(97).wrapping_add(NEXT.fetch_add(1, Relaxed));
        let at = format!("127.0.0.1:{}", 20_000 + number % 12_000);
        if let Ok(listener) = TcpListener::bind(at) {
            return listener.local_addr().unwrap();
        }
    }
}

/// Starts the API.
fn api() -> Running {
    use std::os::unix::process::CommandExt;
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cli/api.py");
    let mut python = Command::new("python3");
    let python = python.arg(script).stdout(Stdio::piped()).process_group(0);
    let mut process = python.spawn().unwrap();
    let mut port = String::new();
    BufReader::new(process.stdout.take().unwrap()).read_line(&mut port).unwrap();
    let at = format!("127.0.0.1:{}", port.trim()).parse().unwrap();
    Running { process, at }
}

/// A proxy that `cargo xtask setup` installs from Python's registry.
fn part(program: &str) -> PathBuf {
    let parts = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/test-parts");
    parts.join("proxies/bin").join(program)
}

/// Asserts what each proxy must do.
fn guards(world: World, proxy: &Running) {
    let ask = |words: &[&str]| proxy.ask("127.0.0.2", words, "/api/x?channel=no&a=b");
    let World { mut desk, api, .. } = world;
    let token = token(&desk, &[]);
    let bearer = format!("Authorization: Bearer {token}");
    // Counted from here: waiting for Traefik's routes may have asked already.
    let before = api.ask("127.0.0.1", &[], "/seen").1;

    let (status, said) = ask(&[]);
    assert_eq!(status, 401, "{said}");
    assert!(said.contains("www-authenticate: bearer error=\"invalid_token\""), "{said}");
    let (status, said) = ask(&["-H", "Authorization: Bearer no"]);
    assert_eq!(status, 401, "{said}");
    let after = api.ask("127.0.0.1", &[], "/seen").1;
    let number = |response: &str| response.lines().last().map(str::to_owned);
    assert_eq!(number(&before), number(&after), "a refused request reached the api");

    let hop = "X-Forwarded-For: 9.9.9.9";
    let (status, said) = ask(&["-H", &bearer, "-H", hop]);
    assert_eq!(status, 200, "{said}");
    assert!(said.contains("\"get /api/x\"") && said.contains("\"channel=no&a=b\""), "{said}");

    let (status, said) = ask(&["-H", &bearer, "-d", "a=body"]);
    assert_eq!(status, 200, "{said}");
    assert!(said.contains("\"post /api/x\"") && said.contains("\"a=body\""), "{said}");

    desk.run(&["token", "revoke", &token]).expect(0);
    let (status, said) = ask(&["-H", &bearer]);
    assert_eq!(status, 401, "{said}");

    let log = desk.server.log();
    assert!(desk.server.stop().success());
    let (status, said) = ask(&["-H", &bearer]);
    assert!(status >= 500, "a request passes that no authority vouches for: {said}");
    let log = log.join().unwrap();
    let is_check =
        |line: &&str| line.contains("/gateway/verify") || line.contains("v3.Authorization");
    let asked = |line: &&str| is_check(line) && !line.contains("source=127.0.0.1");
    let checks: Vec<_> = log.lines().filter(asked).collect();
    assert_eq!(checks.len(), 5, "{log}");
    assert!(checks.iter().all(|line| line.contains("source=127.0.0.2")), "{checks:?}");
}

/// A new short-lived token of a new channel.
pub fn token(desk: &Desk, more: &[&str]) -> String {
    let (channel, secret) = desk.channel();
    let issue = ["token", "issue", "--channel", &channel, "--kind", "short-lived", "-o", "json"];
    let issue = [&issue[..], more].concat();
    let issued = finish(desk.command(&issue).env("TEGATA_CHANNEL_SECRET", &secret)).expect(0);
    let issued: Value = serde_json::from_str(&issued).unwrap();
    issued["access_token"].as_str().unwrap().to_owned()
}

pub const PAGE: &str = "docs/book/src/gateway.md";

#[test]
fn nginx_guards_an_api_as_the_book_says() {
    let world = World::new();
    let proxy = world.nginx_of_the_book();
    guards(world, &proxy);
}

#[test]
fn the_readmes_configuration_is_that_of_the_book() {
    let block = |page: &str| fenced(page, "#", "caddyfile").remove(0);
    assert_eq!(block("README.md"), block(PAGE));
}

#[test]
fn caddy_guards_an_api_as_the_book_says() {
    let world = World::new();
    let proxy = world.caddy();
    guards(world, &proxy);
}

#[test]
fn haproxy_guards_an_api_as_the_book_says() {
    let world = World::new();
    let proxy = world.haproxy();
    guards(world, &proxy);
}

#[test]
fn envoy_guards_an_api_as_the_book_says() {
    let world = World::new();
    let proxy = world.envoy();
    guards(world, &proxy);
}

#[test]
fn traefik_guards_an_api_as_the_book_says() {
    let world = World::new();
    let proxy = world.traefik();
    guards(world, &proxy);
}

#[test]
fn envoy_over_grpc_guards_an_api_as_the_book_says() {
    let world = World::new();
    let proxy = world.envoy_over_grpc();
    guards(world, &proxy);
}

/// Asserts what each proxy must do that asks the verifying proxy.
fn guards_by_proxy(world: World, proxy: &Running) {
    let ask = |words: &[&str]| proxy.ask("127.0.0.2", words, "/api/x?channel=no&a=b");
    let (token, other) = (token(&world.desk, &[]), token(&world.desk, &[]));
    let bearer = format!("Authorization: Bearer {token}");
    let other = format!("Authorization: Bearer {other}");
    let (status, said) = ask(&[]);
    assert_eq!(status, 401, "{said}");
    assert!(said.contains("www-authenticate: bearer error=\"invalid_token\""), "{said}");
    let (status, said) = ask(&["-H", &bearer, "-d", "a=body"]);
    assert_eq!(status, 200, "{said}");
    assert!(said.contains("\"post /api/x\"") && said.contains("\"a=body\""), "{said}");
    let revoked = world.desk.json(&["token", "revoke", &token, "--wait", "30"]);
    assert_eq!(revoked["receipt"]["state"], "complete", "{revoked}");
    let (status, said) = ask(&["-H", &bearer]);
    assert_eq!(status, 401, "{said}");
    let World { desk, gate, api: _api, folder: _folder, .. } = world;
    assert!(!desk.server.crash().success());
    let (status, said) = ask(&["-H", &other]);
    assert_eq!(status, 200, "the authority is not needed: {said}");
    // Until the view is too old.
    let gate = gate.unwrap();
    verify_proxy::until_ready_is(&gate, 503);
    let (status, said) = ask(&["-H", &other]);
    assert!(status >= 500, "no view vouches for it: {said}");
    assert!(gate.stop().success());
    assert!(ask(&["-H", &other]).0 >= 500);
}

#[test]
fn nginx_guards_an_api_by_the_verifying_proxy() {
    let world = World::by_proxy();
    let proxy = world.nginx_of_the_book();
    guards_by_proxy(world, &proxy);
}

#[test]
fn caddy_guards_an_api_by_the_verifying_proxy() {
    let world = World::by_proxy();
    let proxy = world.caddy();
    guards_by_proxy(world, &proxy);
}

#[test]
fn haproxy_guards_an_api_by_the_verifying_proxy() {
    let world = World::by_proxy_at_an_address();
    let proxy = world.haproxy();
    guards_by_proxy(world, &proxy);
}

#[test]
fn envoy_guards_an_api_by_the_verifying_proxy() {
    let world = World::by_proxy();
    let proxy = world.envoy_over_grpc();
    guards_by_proxy(world, &proxy);
}

#[test]
fn traefik_guards_an_api_by_the_verifying_proxy() {
    let world = World::by_proxy_at_an_address();
    let proxy = world.traefik();
    guards_by_proxy(world, &proxy);
}

#[test]
fn a_client_that_guesses_secrets_through_a_proxy_is_distinguished_from_others() {
    let world = World::new();
    let proxy = world.nginx("", &fenced(PAGE, "## Run Tegata itself", "nginx")[0]);
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

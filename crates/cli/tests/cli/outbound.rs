//! Outbound requests: those to this machine never go through a proxy from the environment,
//! whatever part of the program sends them; those to other machines do.

use crate::program::{ADMIN_TOKEN, Done, Home, Server, finish};
use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    process::Command,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

/// Every variable that names a proxy for a request over plain HTTP, and for any.
const FOR_HTTP: [&str; 4] = ["HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"];
const FOR_HTTPS: [&str; 2] = ["HTTPS_PROXY", "https_proxy"];

/// For commands that do not contact an authority at this address.
const NONE: &str = "http://127.0.0.1:1";

/// Listens on loopback and records the first line and the headers of every request. It
/// answers 200 with an empty JSON object, and 502 to `CONNECT`.
struct Recorder {
    address: SocketAddr,
    heads: Arc<Mutex<Vec<String>>>,
    stopped: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Recorder {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let heads = Arc::new(Mutex::new(Vec::new()));
        let stopped = Arc::new(AtomicBool::new(false));
        let (to, is_stopped) = (Arc::clone(&heads), Arc::clone(&stopped));
        let thread = thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                if is_stopped.load(Relaxed) {
                    return;
                }
                to.lock().unwrap().push(response(stream).unwrap_or_else(|it| it.to_string()));
            }
        });
        Self { address, heads, stopped, thread: Some(thread) }
    }

    fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    fn heads(&self) -> Vec<String> {
        self.heads.lock().unwrap().clone()
    }

    /// Waits for a request with these words.
    fn wait_for(&self, words: &str) {
        let pause = Duration::from_millis(20);
        for _ in 0..3_000 {
            if self.heads().iter().any(|head| head.contains(words)) {
                return;
            }
            thread::sleep(pause);
        }
        panic!("no request with {words:?} came: {:?}", self.heads());
    }

    /// Sets it as the proxy in these environment variables and no others.
    fn is_proxy_of(&self, command: &mut Command, variables: &[&str]) {
        for name in FOR_HTTP.iter().chain(&FOR_HTTPS).chain(&["NO_PROXY", "no_proxy"]) {
            command.env_remove(name);
        }
        // CGI programs use no proxy at all.
        command.env_remove("REQUEST_METHOD").envs(variables.iter().map(|it| (it, self.url())));
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        self.stopped.store(true, Relaxed);
        let _ = TcpStream::connect(self.address);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Reads one request and answers it; its head.
fn response(mut stream: TcpStream) -> std::io::Result<String> {
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    let mut reader = BufReader::new(stream.try_clone()?);
    let (mut head, mut length) = (String::new(), 0);
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? <= 2 {
            break;
        }
        if let Some(text) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = text.trim().parse().unwrap_or(0);
        }
        head.push_str(&line);
    }
    std::io::copy(&mut reader.take(length), &mut std::io::sink())?;
    let response = match head.starts_with("CONNECT ") {
        true => "HTTP/1.1 502 Bad Gateway\r\ncontent-length: 0\r\nconnection: close\r\n\r\n",
        false => "HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\n{}",
    };
    stream.write_all(response.as_bytes())?;
    Ok(head)
}

fn ask(home: &Home, proxy: &Recorder, variables: &[&str], url: &str, words: &[&str]) -> Done {
    let mut command = home.tegata(words);
    proxy.is_proxy_of(&mut command, variables);
    finish(command.env("TEGATA_URL", url).env("TEGATA_ADMIN_TOKEN", ADMIN_TOKEN))
}

#[test]
fn the_administrators_token_for_this_machine_never_reaches_a_proxy() {
    let (home, proxy, authority) = (Home::new(), Recorder::start(), Recorder::start());
    let port = authority.address.port();
    for variable in FOR_HTTP {
        for host in ["127.0.0.1", "localhost", "[::ffff:127.0.0.1]"] {
            let url = format!("http://{host}:{port}");
            ask(&home, &proxy, &[variable], &url, &["provider", "list"]);
            assert_eq!(proxy.heads(), [""; 0], "{variable}, {url}");
        }
        // The proxy works, and is used for another machine.
        ask(&home, &proxy, &[variable], "http://tegata.example", &["provider", "list"]).expect(0);
        let heads = std::mem::take(&mut *proxy.heads.lock().unwrap());
        assert!(heads[0].starts_with("GET http://tegata.example/admin/v1/providers"), "{heads:?}");
    }
    let asked = authority.heads();
    assert!(asked.iter().all(|head| head.contains(ADMIN_TOKEN)), "{asked:?}");
    assert!(asked.len() >= 2 * FOR_HTTP.len(), "{asked:?}");
}

/// An agent with one stateless token of a channel with a secret.
fn agent(home: &Home, authority: &str) -> String {
    home.file("secret", "canary-channel-secret");
    let text = format!(
        "authority = '{authority}'\n[[channel]]\nid = '1234567890'\nsecret_file = 'secret'\n\
         [[token]]\nname = 't'\nchannel = '1234567890'\n[[sink]]\ntokens = ['t']\npath = 't'\n"
    );
    home.file("agent.toml", &text).display().to_string()
}

#[test]
fn a_channels_secret_reaches_a_proxy_only_on_its_way_to_another_machine() {
    let (home, proxy, authority) = (Home::new(), Recorder::start(), Recorder::start());
    let both = [FOR_HTTP[0], FOR_HTTPS[0]];
    let check = |config: &str| {
        ask(&home, &proxy, &both, NONE, &["agent", "check", "--config", config]);
    };
    check(&agent(&home, &authority.url()));
    assert!(authority.heads()[0].starts_with("POST /oauth2/v3/token"), "{:?}", authority.heads());
    let mut command = home.tegata(&["agent", "run", "--config", &agent(&home, &authority.url())]);
    proxy.is_proxy_of(&mut command, &both);
    let before = authority.heads().len();
    let mut running = command.spawn().unwrap();
    while authority.heads().len() == before {
        thread::sleep(Duration::from_millis(20));
        assert!(running.try_wait().unwrap().is_none(), "it runs");
    }
    running.kill().unwrap();
    running.wait().unwrap();
    assert_eq!(proxy.heads(), [""; 0]);
    check(&agent(&home, "https://api.line.me"));
    let heads = proxy.heads();
    assert!(heads[0].starts_with("CONNECT api.line.me:443 "), "{heads:?}");
}

#[test]
fn the_keys_of_an_authority_on_this_machine_are_fetched_from_it() {
    let (home, proxy, authority) = (Home::new(), Recorder::start(), Recorder::start());
    let log = home.file("log", "nothing").display().to_string();
    let jwks = format!("{}/.well-known/jwks.json", authority.url());
    ask(&home, &proxy, &FOR_HTTP, NONE, &["token", "inspect", &log, "--jwks", &jwks]);
    assert!(authority.heads()[0].starts_with("GET /.well-known/jwks.json"));
    assert_eq!(proxy.heads(), [""; 0]);
}

#[test]
fn the_server_sends_warnings_and_traces_to_this_machine_itself_and_doctor_asks_it() {
    let (home, proxy) = (Home::new(), Recorder::start());
    let (receiver, collector) = (Recorder::start(), Recorder::start());
    let hook = format!("{}/hook", receiver.url());
    let mut command = home.tegata(&["serve", "--dev", "--listen", "127.0.0.1:0"]);
    proxy.is_proxy_of(&mut command, &FOR_HTTP);
    command
        .env("TEGATA_ADMIN_TOKEN", ADMIN_TOKEN)
        .env("TEGATA_WEBHOOK_SECRET", format!("whsec_{}", "CQkJ".repeat(8)))
        .env("OTEL_BSP_SCHEDULE_DELAY", "100")
        .args(["--webhook-url", &hook, "--otlp-endpoint", &collector.url()]);
    let server = Server::start(&mut command);
    // Within eight days the development channel's key is warned of as unused.
    let address = server.url.strip_prefix("http://").unwrap();
    let body = r#"{"advance_seconds":691200}"#;
    let mut stream = TcpStream::connect(address).unwrap();
    write!(
        stream,
        "POST /dev/clock HTTP/1.1\r\nhost: {address}\r\ncontent-type: application/json\r\n\
         content-length: {}\r\nconnection: close\r\n\r\n{body}",
        body.len()
    )
    .unwrap();
    let mut said = String::new();
    stream.read_to_string(&mut said).unwrap();
    assert!(said.starts_with("HTTP/1.1 200"), "{said}");
    receiver.wait_for("POST /hook");
    collector.wait_for("POST /v1/traces");
    let done = ask(&home, &proxy, &FOR_HTTP, NONE, &["doctor", "--listen", address]);
    assert!(done.out.contains(&format!("an authority serves on {address}")), "{}", done.out);
    assert_eq!(proxy.heads(), [""; 0]);
}

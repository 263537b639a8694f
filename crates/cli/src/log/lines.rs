//! The lines of the log on their way to stderr. Those of requests share a write, since a
//! write costs more than all else of a line; warnings and errors are written at once,
//! after what waits before them.

use std::{
    io::{self, Write},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread,
    time::Duration,
};
use tracing::{Level, Metadata};
use tracing_subscriber::fmt::MakeWriter;

/// How long a line waits for others. A process that is killed loses as much.
const GATHER: Duration = Duration::from_millis(10);
/// So many bytes are written without waiting longer.
const MOST: usize = 64 * 1024;

/// The lines of the log, which are written in their order.
pub struct Lines<W>(Arc<Shared<W>>);

struct Shared<W> {
    waiting: Mutex<Waiting<W>>,
    more: Condvar,
}

struct Waiting<W> {
    out: W,
    lines: Vec<u8>,
    /// Whether lines wait for others; `false` before the thread is started, and at the end.
    gathers: bool,
}

impl<W: Write + Send + 'static> Lines<W> {
    /// Writes each line to `out` at once.
    pub fn to(out: W) -> Self {
        let waiting = Waiting { out, lines: Vec::new(), gathers: false };
        Self(Arc::new(Shared { waiting: Mutex::new(waiting), more: Condvar::new() }))
    }

    /// Lets lines wait for others, until the returned value is dropped.
    pub fn gather(&self) -> io::Result<Gathering> {
        let shared = self.0.clone();
        let write = move || {
            loop {
                let mut waiting = shared.lock();
                while waiting.lines.is_empty() {
                    waiting = shared.more.wait(waiting).unwrap_or_else(PoisonError::into_inner);
                }
                drop(waiting);
                thread::sleep(GATHER);
                shared.lock().write();
            }
        };
        thread::Builder::new().name("tegata-log".into()).spawn(write)?;
        self.0.lock().gathers = true;
        let shared = self.0.clone();
        Ok(Gathering(Box::new(move || {
            let mut waiting = shared.lock();
            waiting.gathers = false;
            waiting.write();
        })))
    }
}

/// Lines wait for others as long as this exists.
#[must_use]
pub struct Gathering(Box<dyn Fn()>);

impl Drop for Gathering {
    fn drop(&mut self) {
        (self.0)();
    }
}

impl<W> Shared<W> {
    fn lock(&self) -> MutexGuard<'_, Waiting<W>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<W: Write> Waiting<W> {
    fn write(&mut self) {
        // There is no other place to report an error of the log.
        let _ = self.out.write_all(&self.lines);
        // A long line must not keep its memory.
        if self.lines.capacity() > 2 * MOST {
            self.lines = Vec::new();
        }
        self.lines.clear();
    }
}

/// Takes one line.
pub struct Line<'a, W> {
    shared: &'a Shared<W>,
    urgent: bool,
}

impl<W: Write> Write for Line<'_, W> {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let mut waiting = self.shared.lock();
        let first = waiting.lines.is_empty();
        waiting.lines.extend_from_slice(line);
        if self.urgent || !waiting.gathers || waiting.lines.len() >= MOST {
            waiting.write();
        } else if first {
            self.shared.more.notify_one();
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a, W: Write + 'a> MakeWriter<'a> for Lines<W> {
    type Writer = Line<'a, W>;

    fn make_writer(&'a self) -> Self::Writer {
        Line { shared: &self.0, urgent: true }
    }

    fn make_writer_for(&'a self, about: &Metadata<'_>) -> Self::Writer {
        Line { shared: &self.0, urgent: *about.level() <= Level::WARN }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc::{Sender, channel};
    use tracing::{info, warn};

    /// Sends what is written in one call.
    struct Writes(Sender<String>);

    impl Write for Writes {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let text = String::from_utf8(bytes.to_vec()).unwrap();
            self.0.send(text).map_err(io::Error::other)?;
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn log_to(lines: Lines<Writes>) -> impl tracing::Subscriber {
        let log = tracing_subscriber::fmt().with_writer(lines).with_target(false);
        log.without_time().with_level(false).with_ansi(false).finish()
    }

    #[test]
    fn lines_of_requests_share_a_write_and_all_are_written() {
        let (sender, writes) = channel();
        let lines = Lines::to(Writes(sender));
        let _gathering = lines.gather().unwrap();
        tracing::subscriber::with_default(log_to(lines), || {
            (0..1_000).for_each(|n| info!("{n}"));
            let (mut text, mut count) = (String::new(), 0);
            while text.lines().count() < 1_000 {
                text += &writes.recv().unwrap();
                count += 1;
            }
            let all: Vec<_> = (0..1_000).map(|n| n.to_string()).collect();
            assert_eq!(text.lines().collect::<Vec<_>>(), all);
            assert!(count < 500, "{count} writes");
        });
    }

    #[test]
    fn a_warning_is_written_at_once_after_what_came_before_it() {
        let (sender, writes) = channel();
        let lines = Lines::to(Writes(sender));
        let _gathering = lines.gather().unwrap();
        tracing::subscriber::with_default(log_to(lines), || {
            info!("one");
            warn!("two");
            let written: String = writes.try_iter().collect();
            assert_eq!(written, "one\ntwo\n");
        });
    }

    #[test]
    fn nothing_waits_before_the_gathering_and_after_it() {
        let (sender, writes) = channel();
        let lines = Lines::to(Writes(sender));
        let again = Lines(lines.0.clone());
        tracing::subscriber::with_default(log_to(lines), || {
            info!("before");
            assert_eq!(writes.try_iter().collect::<String>(), "before\n");
            let gathering = again.gather().unwrap();
            info!("meanwhile");
            drop(gathering);
            assert_eq!(writes.try_iter().collect::<String>(), "meanwhile\n");
            info!("after");
            assert_eq!(writes.try_iter().collect::<String>(), "after\n");
        });
    }
}

//! Child processes: servers that are ready when `start` returns and gone after drop, and programs that run within a time limit.

use std::collections::VecDeque;
use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant};

use crate::failure::{Failure, io};

/// How a server shows that it is ready.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Ready {
    /// It answers a plain HTTP GET of this path with any status.
    Http(String),
    /// It accepts connections on this Unix socket.
    Socket(PathBuf),
    /// It accepts TCP connections.
    Tcp,
}

/// A server on a loopback port of its own; it is stopped when this value is dropped.
#[derive(Debug)]
pub struct Server {
    name: String,
    child: Child,
    port: u16,
    log: PathBuf,
}

/// What a program that has ended left behind.
#[derive(Clone, Debug)]
pub struct Ran {
    /// The program and its arguments, for messages.
    pub command: String,
    /// The exit code; `None` when a signal ended it.
    pub code: Option<i32>,
    /// What it wrote to standard output.
    pub stdout: String,
    /// What it wrote to standard error.
    pub stderr: String,
}

impl Server {
    /// Starts the command that `command` makes for a free port, and returns once it is ready.
    ///
    /// Its output goes to `NAME.log` in `folder`. A server that ends at once is started again on another port, because somebody else may have
    /// taken the port meanwhile.
    ///
    /// # Errors
    /// [`Failure::NotReady`] with the server's log when it does not answer within 20 seconds; [`Failure::Io`] when it cannot be started.
    pub fn start(
        name: &str,
        folder: &Path,
        ready: &Ready,
        command: impl Fn(u16) -> Result<Command, Failure>,
    ) -> Result<Self, Failure> {
        let mut why = None;
        for _ in 0..STARTS {
            let port = free_port()?;
            match Self::start_on(name, folder, ready, port, command(port)?) {
                Err(failure @ Failure::NotReady { .. }) => why = Some(failure),
                other => return other,
            }
        }
        Err(why.unwrap_or_else(|| Failure::NotReady {
            name: name.to_owned(),
            why: "never started".to_owned(),
            log: String::new(),
        }))
    }

    fn start_on(name: &str, folder: &Path, ready: &Ready, port: u16, mut command: Command) -> Result<Self, Failure> {
        let log = folder.join(format!("{name}.log"));
        let out = File::create(&log).map_err(io(format!("{name}.log")))?;
        let err = out.try_clone().map_err(io("log"))?;
        let child = command.stdin(Stdio::null()).stdout(out).stderr(err).spawn().map_err(io(name))?;
        let mut server = Self { name: name.to_owned(), child, port, log };
        let end = Instant::now() + START_LIMIT;
        while Instant::now() < end {
            server.still_running()?;
            if answers(ready, port) {
                // Not enough: another process may have answered on a port that this one then failed to take.
                std::thread::sleep(SETTLE);
                server.still_running()?;
                return Ok(server);
            }
            std::thread::sleep(POLL);
        }
        Err(server.not_ready(format!("no answer within {START_LIMIT:?}")))
    }

    fn still_running(&mut self) -> Result<(), Failure> {
        match self.child.try_wait().map_err(io("waiting for a child"))? {
            Some(status) => Err(self.not_ready(format!("it ended with {status}"))),
            None => Ok(()),
        }
    }

    fn not_ready(&self, why: String) -> Failure {
        Failure::NotReady { name: self.name.clone(), why, log: self.log() }
    }

    /// Ends it at once, without asking, as a crash or the kernel does.
    pub fn kill(mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// The loopback port it was given.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// `127.0.0.1:PORT`.
    #[must_use]
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Its process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Everything it has written so far.
    #[must_use]
    pub fn log(&self) -> String {
        fs::read(&self.log).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if !matches!(self.child.try_wait(), Ok(None)) {
            return;
        }
        // Asked first: an engine has children of its own to end. Then made to.
        let _ = Command::new("sh").arg("-c").arg(format!("kill -TERM {}", self.child.id())).stderr(Stdio::null()).status();
        let end = Instant::now() + STOP_LIMIT;
        while Instant::now() < end {
            if !matches!(self.child.try_wait(), Ok(None)) {
                return;
            }
            std::thread::sleep(POLL);
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Runs a command to its end with nothing on standard input; any exit status is a result.
///
/// # Errors
/// [`Failure::Slow`] after killing it when it takes longer than `limit`; [`Failure::Io`] when it cannot be started.
pub fn run(command: &mut Command, limit: Duration) -> Result<Ran, Failure> {
    run_with_input(command, limit, b"")
}

/// Like [`run`], with `input` on standard input.
///
/// # Errors
/// As [`run`].
pub fn run_with_input(command: &mut Command, limit: Duration, input: &[u8]) -> Result<Ran, Failure> {
    let shown = format!("{command:?}");
    // Files, not pipes: a grandchild that keeps a pipe open cannot make us wait for ever.
    let mut files = (temporary()?, temporary()?, temporary()?);
    files.0.write_all(input).and_then(|()| files.0.seek(SeekFrom::Start(0)).map(drop)).map_err(io("standard input"))?;
    let copy = |file: &File| file.try_clone().map_err(io("temporary file"));
    command.stdin(copy(&files.0)?).stdout(copy(&files.1)?).stderr(copy(&files.2)?);
    let mut child = command.spawn().map_err(io(shown.clone()))?;
    let end = Instant::now() + limit;
    let status = loop {
        if let Some(status) = child.try_wait().map_err(io("waiting for a child"))? {
            break status;
        }
        if Instant::now() >= end {
            let _ = child.kill();
            let _ = child.wait();
            return Err(Failure::Slow { command: shown, limit });
        }
        std::thread::sleep(POLL);
    };
    Ok(Ran { command: shown, code: status.code(), stdout: content(&mut files.1)?, stderr: content(&mut files.2)? })
}

impl Ran {
    /// True when it ended with status zero.
    #[must_use]
    pub fn success(&self) -> bool {
        self.code == Some(0)
    }

    /// Itself when it ended with status zero.
    ///
    /// # Errors
    /// [`Failure::Ended`] with everything it wrote, otherwise.
    pub fn ok(self) -> Result<Self, Failure> {
        if self.success() {
            return Ok(self);
        }
        let status = self.code.map_or_else(|| "a signal".to_owned(), |code| format!("status {code}"));
        Err(Failure::Ended { command: self.command, status, stdout: self.stdout, stderr: self.stderr })
    }

    /// Standard output followed by standard error.
    #[must_use]
    pub fn output(&self) -> String {
        format!("{}{}", self.stdout, self.stderr)
    }
}

/// A loopback port that nobody listened on a moment ago, and that this library will not soon name again.
///
/// # Errors
/// [`Failure::Io`] when there is none.
pub fn free_port() -> Result<u16, Failure> {
    let first = FIRST_PORT + u16::try_from(u64::from(std::process::id()) * 131 % u64::from(PORTS)).unwrap_or(0);
    for _ in 0..PORTS {
        let port = FIRST_PORT + (first - FIRST_PORT + NEXT.fetch_add(1, Ordering::Relaxed) % PORTS) % PORTS;
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() && remember(port) {
            return Ok(port);
        }
    }
    Err(io("a free loopback port")(std::io::Error::from(std::io::ErrorKind::AddrInUse)))
}

fn remember(port: u16) -> bool {
    let Ok(mut recent) = RECENT.lock() else { return true };
    if recent.contains(&port) {
        return false;
    }
    recent.push_back(port);
    if recent.len() > 512 {
        recent.pop_front();
    }
    true
}

fn answers(ready: &Ready, port: u16) -> bool {
    match ready {
        Ready::Socket(path) => UnixStream::connect(path).is_ok(),
        Ready::Tcp => TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok(),
        Ready::Http(path) => crate::http::Request::new("GET", path).send(&format!("127.0.0.1:{port}")).is_ok(),
    }
}

fn temporary() -> Result<File, Failure> {
    tempfile::tempfile().map_err(io("temporary file"))
}

fn content(file: &mut File) -> Result<String, Failure> {
    let mut bytes = Vec::new();
    file.seek(SeekFrom::Start(0)).and_then(|_| file.read_to_end(&mut bytes)).map_err(io("temporary file"))?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

const STARTS: usize = 3;
const START_LIMIT: Duration = Duration::from_secs(20);
const STOP_LIMIT: Duration = Duration::from_secs(10);
const SETTLE: Duration = Duration::from_millis(30);
const POLL: Duration = Duration::from_millis(4);

// Below the range from which the kernel takes the ports of outgoing connections: those come and go between our look and the server's start.
const FIRST_PORT: u16 = 20_000;
const PORTS: u16 = 12_000;
static NEXT: AtomicU16 = AtomicU16::new(0);
static RECENT: Mutex<VecDeque<u16>> = Mutex::new(VecDeque::new());

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    fn shell(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.arg("-c").arg(script);
        command
    }

    #[test]
    fn a_program_that_ends_gives_its_code_and_output() {
        let ran = run_with_input(&mut shell("cat; echo err >&2; exit 3"), Duration::from_secs(5), b"in").unwrap();
        assert_eq!((ran.code, ran.stdout.as_str(), ran.stderr.as_str()), (Some(3), "in", "err\n"));
        assert!(matches!(ran.ok(), Err(Failure::Ended { .. })));
    }

    #[test]
    fn a_program_that_hangs_is_killed() {
        assert!(matches!(run(&mut shell("exec sleep 60"), Duration::from_millis(50)), Err(Failure::Slow { .. })));
    }

    #[test]
    fn a_server_that_ends_at_once_is_not_ready_and_shows_its_log() {
        let folder = tempfile::tempdir().unwrap();
        let failure = Server::start("bad", folder.path(), &Ready::Tcp, |_| Ok(shell("echo no such option; exit 2"))).unwrap_err();
        assert!(matches!(failure, Failure::NotReady { log, .. } if log.contains("no such option")));
    }

    #[test]
    fn ports_differ() {
        assert_ne!(free_port().unwrap(), free_port().unwrap());
    }
}

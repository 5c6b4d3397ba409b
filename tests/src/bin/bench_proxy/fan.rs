//! Many clients at once: one upstream request for one cold blob, and the memory that connections and streams take.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use trustctl_tests::counting::Counting;
use trustctl_tests::failure::Failure;

use crate::arena::{Arena, layer};
use crate::large::curl;
use crate::meter::{mebibytes, reset_peak};

const CLIENTS: usize = 64;
const CONNECTIONS: usize = 1000;
const MEBIBYTE: usize = 1024 * 1024;

fn io(what: &str) -> impl FnOnce(std::io::Error) -> Failure {
    let what = what.to_owned();
    |source| Failure::Io { what, source }
}

/// 64 clients ask for one cold blob of 100 MiB.
///
/// # Errors
/// [`Failure`] when a transfer fails.
pub(crate) fn stampede(arena: &Arena) -> Result<(), Failure> {
    let blob = layer(100 * MEBIBYTE, 3);
    arena.publish(&[&blob], "stampede")?;
    let counting = Counting::start(&arena.registry.server.address())?;
    let proxy = arena.fresh_proxy("stampede", &counting.address())?;
    let manifest = format!("http://{}/v2/{}/manifests/stampede", proxy.address(), crate::arena::NAME);
    all_of(std::iter::once(manifest))?;
    let start = Instant::now();
    all_of((0..CLIENTS).map(|_| format!("http://{}/v2/{}/blobs/{}", proxy.address(), crate::arena::NAME, blob.digest())))?;
    let seen = counting.seen();
    let asked = seen.iter().filter(|seen| seen.target.contains(&blob.digest())).count();
    println!("{CLIENTS} clients, one cold blob of 100 MiB: {asked} upstream requests, {:.2} s\n", start.elapsed().as_secs_f64());
    Ok(())
}

/// Fetches all of them at once.
fn all_of(urls: impl Iterator<Item = String>) -> Result<(), Failure> {
    let children: Result<Vec<_>, _> = urls.map(|url| curl(&url).spawn().map_err(io("curl"))).collect();
    for mut child in children? {
        let status = child.wait().map_err(io("curl"))?;
        if !status.success() {
            return Err(Failure::Output(format!("curl: {status}")));
        }
    }
    Ok(())
}

/// The memory of the proxy with 1,000 open connections, while 64 cold layers stream, and while 64 clients take a warm one slowly.
///
/// # Errors
/// [`Failure`] when a transfer fails.
pub(crate) fn memory(arena: &Arena) -> Result<(), Failure> {
    let layers: Vec<_> = (0..CLIENTS).map(|n| layer(16 * MEBIBYTE, 100 + u64::try_from(n).unwrap_or(0))).collect();
    arena.publish(&layers.iter().collect::<Vec<_>>(), "layers")?;
    let proxy = arena.fresh_proxy("memory", &arena.registry.server.address())?;
    let (address, pid) = (proxy.address(), proxy.pid());
    let url = |rest: &str| format!("http://{address}/v2/{}/{rest}", crate::arena::NAME);
    println!("| resident memory of the proxy | MiB |\n|---|---|\n| idle | {:.1} |", mebibytes(pid, "VmRSS")?);
    let open: Result<Vec<TcpStream>, Failure> = (0..CONNECTIONS).map(|_| ping(&address)).collect();
    let open = open?;
    println!("| {CONNECTIONS} open connections, each of which asked once | {:.1} |", mebibytes(pid, "VmRSS")?);
    all_of([url("manifests/1"), url("manifests/layers")].into_iter())?;
    reset_peak(pid)?;
    all_of(layers.iter().map(|layer| url(&format!("blobs/{}", layer.digest()))))?;
    println!("| with them, peak while {CLIENTS} cold layers of 16 MiB stream at once | {:.1} |", mebibytes(pid, "VmHWM")?);
    all_of(std::iter::once(url(&format!("blobs/{}", arena.large))))?;
    reset_peak(pid)?;
    slow_readers(&url(&format!("blobs/{}", arena.large)))?;
    println!("| with them, peak while {CLIENTS} slow clients take a large warm layer | {:.1} |\n", mebibytes(pid, "VmHWM")?);
    drop(open);
    Ok(())
}

/// A connection that asked once and stays open.
fn ping(address: &str) -> Result<TcpStream, Failure> {
    let mut stream = TcpStream::connect(address).map_err(io(address))?;
    stream.set_read_timeout(Some(Duration::from_secs(10))).map_err(io(address))?;
    stream.write_all(format!("GET /v2/ HTTP/1.1\r\nHost: {address}\r\n\r\n").as_bytes()).map_err(io(address))?;
    let mut answer = [0; 1024];
    let length = stream.read(&mut answer).map_err(io(address))?;
    let is_ok = answer.get(..length).is_some_and(|bytes| bytes.starts_with(b"HTTP/1.1 200"));
    if is_ok { Ok(stream) } else { Err(Failure::Http(format!("ping of {address}"))) }
}

/// 64 clients that take 4 MiB a second each, for five seconds.
fn slow_readers(url: &str) -> Result<(), Failure> {
    let mut children = Vec::new();
    for _ in 0..CLIENTS {
        children.push(curl(url).args(["--limit-rate", "4M", "--max-time", "5"]).spawn().map_err(io("curl"))?);
    }
    for mut child in children {
        child.wait().map_err(io("curl"))?;
    }
    Ok(())
}

//! A TCP proxy that makes a server on loopback as far away as one wishes.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use crate::failure::{Failure, io};

/// A proxy in front of a loopback port; it stops accepting when this value is dropped.
///
/// Each piece of data is delayed by the same time in each direction, and as on a real line pieces on the way do not wait for each other. Opening a
/// connection costs the caller one round trip, as it does over a real line.
#[derive(Debug)]
pub struct Latency {
    port: u16,
    stop: Arc<AtomicBool>,
    connections: Arc<AtomicUsize>,
}

impl Latency {
    /// Starts a proxy to `127.0.0.1:target` that adds `one_way` in each direction.
    ///
    /// # Errors
    /// [`Failure::Io`] when there is no free port.
    pub fn start(target: u16, one_way: Duration) -> Result<Self, Failure> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).map_err(io("listening"))?;
        let port = listener.local_addr().map_err(io("listening"))?.port();
        let latency = Self { port, stop: Arc::new(AtomicBool::new(false)), connections: Arc::new(AtomicUsize::new(0)) };
        let (stop, connections) = (Arc::clone(&latency.stop), Arc::clone(&latency.connections));
        thread::spawn(move || {
            for near in listener.incoming() {
                if stop.load(Ordering::SeqCst) {
                    return;
                }
                let Ok(near) = near else { continue };
                connections.fetch_add(1, Ordering::SeqCst);
                thread::spawn(move || join(near, target, one_way));
            }
        });
        Ok(latency)
    }

    /// `127.0.0.1:PORT`.
    #[must_use]
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// The loopback port.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// How many connections were opened so far.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }
}

impl Drop for Latency {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port));
    }
}

fn join(near: TcpStream, target: u16, one_way: Duration) {
    // The kernel has already accepted the caller's connection without delay: the round trip that it should have cost is spent here.
    let opened = Instant::now();
    let Ok(far) = TcpStream::connect((Ipv4Addr::LOCALHOST, target)) else { return };
    let _ = (near.set_nodelay(true), far.set_nodelay(true));
    let (Ok(near_again), Ok(far_again)) = (near.try_clone(), far.try_clone()) else { return };
    let back = thread::spawn(move || carry(far_again, near_again, one_way, opened));
    carry(near, far, one_way, opened + one_way * 2);
    let _ = back.join();
}

/// Copies one direction, each piece `one_way` after it came and none before `first`.
fn carry(mut from: TcpStream, to: TcpStream, one_way: Duration, first: Instant) {
    let (pieces, queue) = channel();
    let writer = thread::spawn(move || deliver(to, &queue));
    let mut buffer = vec![0; 64 * 1024];
    while let Ok(length) = from.read(&mut buffer) {
        let due = Instant::now().max(first) + one_way;
        let piece = buffer.get(..length).unwrap_or_default().to_vec();
        if pieces.send((due, piece)).is_err() || length == 0 {
            break;
        }
    }
    drop(pieces);
    let _ = writer.join();
}

fn deliver(mut to: TcpStream, queue: &Receiver<(Instant, Vec<u8>)>) {
    while let Ok((due, piece)) = queue.recv() {
        thread::sleep(due.saturating_duration_since(Instant::now()));
        if piece.is_empty() || to.write_all(&piece).is_err() {
            break;
        }
    }
    let _ = to.shutdown(Shutdown::Write);
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use crate::http::{Request, Response, Service};

    #[test]
    fn a_request_on_a_new_connection_takes_two_round_trips() {
        let service = Service::start(|_| Response::new(200, "text/plain", b"ok")).unwrap();
        let port = service.address().rsplit(':').next().unwrap().parse().unwrap();
        let proxy = Latency::start(port, Duration::from_millis(40)).unwrap();
        let start = Instant::now();
        let answer = Request::new("GET", "/").send(&proxy.address()).unwrap();
        let took = start.elapsed();
        assert_eq!((answer.status, proxy.connections()), (200, 1));
        assert!(took >= Duration::from_millis(160) && took < Duration::from_millis(1000), "{took:?}");
    }
}

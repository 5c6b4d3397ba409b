//! Listening and talking HTTP: connections, their limits and their end. What is answered is a [`Site`]'s business.
//!
//! HTTP/1.1 alone: every client of registries speaks it, and one stream a connection keeps the limits simple. Request bodies are never
//! read; a connection that sends one is closed after the answer.

mod client;
mod connection;
mod pace;
mod parts;
mod tls;

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use http::request::Parts;
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};
use trustctl_core::reason::{Code, Reason};

use crate::answer::Answer;
use crate::config::{Limits, Listen};

pub use client::{Client, RequestId};
use connection::Connections;
use tls::Acceptor;

/// What is answered.
pub trait Site: Send + Sync + 'static {
    /// The answer to a request. For a HEAD request its body is left out by the server.
    fn answer(&self, received: Received) -> impl Future<Output = Answer> + Send;
}

/// A request, and whose it is.
#[derive(Debug)]
pub struct Received {
    /// Request line and headers.
    pub head: Parts,
    /// Who asks.
    pub client: Arc<Client>,
    /// The number of the request, which the answer tells as `x-request-id`.
    pub id: RequestId,
}

/// Where what happens while serving is told; called seldom, from any thread.
pub type Notices = Arc<dyn Fn(&Reason) + Send + Sync>;

/// Sockets that are bound and certificates that are loaded; nobody is served yet.
pub struct Server {
    listeners: Vec<(TcpListener, Option<Acceptor>)>,
    limits: Limits,
}

/// What connections are told to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// Break off.
    Cut,
    /// Finish what was begun.
    Ending,
    /// Go on.
    Serving,
}

impl Server {
    /// Whether every certificate, key and authority of clients can be used.
    ///
    /// # Errors
    /// A [`Reason`] of [`Code::ProxyCertificate`] for the first that cannot.
    pub async fn check(listen: &[Listen]) -> Result<(), Reason> {
        for files in listen.iter().filter_map(|listen| listen.tls.as_ref()) {
            Acceptor::load(files.clone()).await?;
        }
        Ok(())
    }

    /// Binds every address and loads every certificate.
    ///
    /// # Errors
    /// A [`Reason`] of [`Code::ProxyListen`] or [`Code::ProxyCertificate`].
    pub async fn bind(listen: &[Listen], limits: Limits) -> Result<Self, Reason> {
        let mut listeners = Vec::new();
        for listen in listen {
            let acceptor = match &listen.tls {
                Some(files) => Some(Acceptor::load(files.clone()).await?),
                None => None,
            };
            let socket = TcpListener::bind(listen.address).await;
            let socket = socket.map_err(|error| Reason::new(Code::ProxyListen, format!("{}: {error}", listen.address)))?;
            listeners.push((socket, acceptor));
        }
        Ok(Self { listeners, limits })
    }

    /// The addresses that are listened on, with the ports that the system chose.
    #[must_use]
    pub fn addresses(&self) -> Vec<SocketAddr> {
        self.listeners.iter().filter_map(|(socket, _)| socket.local_addr().ok()).collect()
    }

    /// Serves until `stop` is ready. Then nobody new is let in, what was begun may finish within the limit for shutting down, and what is
    /// left is cut. Returns whether nothing had to be cut.
    pub async fn run<S: Site>(self, site: Arc<S>, notices: Notices, stop: impl Future<Output = ()>) -> bool {
        let (stage, watched) = watch::channel(Stage::Serving);
        let slots = Arc::new(Semaphore::new(self.limits.connections));
        let numbers = Arc::new(Numbers::new());
        let mut accepting = Vec::new();
        let mut reloading = Vec::new();
        for (socket, acceptor) in self.listeners {
            if let Some(acceptor) = &acceptor {
                reloading.push(tokio::spawn(acceptor.clone().reload(notices.clone())));
            }
            let connections = Connections {
                site: site.clone(),
                acceptor,
                limits: self.limits,
                stage: watched.clone(),
                slots: slots.clone(),
                numbers: numbers.clone(),
            };
            accepting.push(tokio::spawn(accept(socket, Arc::new(connections))));
        }
        drop(watched);
        stop.await;
        reloading.iter().for_each(tokio::task::JoinHandle::abort);
        let _ = stage.send(Stage::Ending);
        for loop_ in accepting {
            let _ = loop_.await;
        }
        let all = u32::try_from(self.limits.connections).unwrap_or(u32::MAX);
        let finished = tokio::time::timeout(self.limits.shutdown, slots.acquire_many(all)).await.is_ok();
        let _ = stage.send(Stage::Cut);
        finished
    }
}

/// Takes connections while there are slots for them; when there are none, more wait in the backlog of the system.
async fn accept<S: Site>(socket: TcpListener, connections: Arc<Connections<S>>) {
    let mut stage = connections.stage.clone();
    loop {
        let accepted = async {
            let slot = connections.slots.clone().acquire_owned().await.ok()?;
            socket.accept().await.ok().map(|(stream, peer)| (slot, stream, peer))
        };
        tokio::select! {
            _ = stage.changed() => return,
            accepted = accepted => match accepted {
                Some((slot, stream, peer)) => drop(tokio::spawn({
                    let connections = connections.clone();
                    async move {
                        connections.serve(stream, peer).await;
                        drop(slot);
                    }
                })),
                // Out of file handles, most likely: trying at once again would only burn the processor.
                None => tokio::time::sleep(ACCEPT_PAUSE).await,
            },
        }
    }
}

/// Numbers requests: the run of the program is a random number, so that two runs do not share numbers.
struct Numbers {
    run: u32,
    next: AtomicU32,
}

impl Numbers {
    fn new() -> Self {
        Self { run: fastrand::u32(..), next: AtomicU32::new(0) }
    }

    fn next(&self) -> RequestId {
        RequestId::new(self.run, self.next.fetch_add(1, Ordering::Relaxed))
    }
}

const ACCEPT_PAUSE: Duration = Duration::from_millis(20);

#[cfg(test)]
mod tests;

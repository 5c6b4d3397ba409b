//! One connection, from the handshake to its end.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;

use http::{HeaderName, Method, Request, Response};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::sync::{Semaphore, watch};

use super::client::Client;
use super::pace::{Pace, Paced, Watched};
use super::parts::{Parts, Socket};
use super::tls::Acceptor;
use super::{Numbers, Received, Site, Stage};
use crate::answer::without_body;
use crate::config::Limits;

/// Longest request head, in bytes: the longest target that is of use, and room for the tokens that some registries hand out.
const MAX_HEAD: usize = 32 * 1024;
/// Most header fields of a request.
const MAX_FIELDS: usize = 100;
/// Bytes that are buffered for a connection, in each direction.
const BUFFER: usize = 64 * 1024;
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// What the connections of a listener share.
pub(super) struct Connections<S> {
    pub(super) site: Arc<S>,
    pub(super) acceptor: Option<Acceptor>,
    pub(super) limits: Limits,
    pub(super) stage: watch::Receiver<Stage>,
    pub(super) slots: Arc<Semaphore>,
    pub(super) numbers: Arc<Numbers>,
}

impl<S: Site> Connections<S> {
    /// Serves a connection to its end. One that fails is the client's business.
    pub(super) async fn serve(&self, stream: TcpStream, peer: SocketAddr) {
        // Without it each small part of a streamed body waits for the acknowledgement of the one before.
        let _ = stream.set_nodelay(true);
        let Some(acceptor) = &self.acceptor else {
            return self.talk(stream, Client::new(peer, None)).await;
        };
        let handshake = acceptor.accept(stream);
        if let Ok(Ok(stream)) = tokio::time::timeout(self.limits.header, handshake).await {
            let certificates = stream.get_ref().1.peer_certificates();
            let client = Client::new(peer, certificates.and_then(<[_]>::first));
            self.talk(stream, client).await;
        }
    }

    async fn talk<T: Socket>(&self, stream: T, client: Client) {
        let (pace, client) = (Arc::new(Pace::new()), Arc::new(client));
        let parts = T::SENDS_FILES.then(Arc::<Parts>::default);
        // In a box of its own: hyper keeps room for it on each connection, ten kilobytes, also while nothing is asked.
        let service = service_fn(|request| Box::pin(self.respond(request, &client, (&pace, &parts))));
        let mut http = http1::Builder::new();
        http.header_read_timeout(None).max_header_size(MAX_HEAD).max_headers(MAX_FIELDS).max_buf_size(BUFFER);
        if parts.is_some() {
            // Bytes that stand for parts of files must come out as they went in.
            http.writev(true);
        }
        let mut connection =
            pin!(http.serve_connection(TokioIo::new(Watched::new(stream, pace.clone(), parts.clone())), service));
        let mut stage = self.stage.clone();
        let Some(first_look) = pace.next_look(&self.limits) else { return };
        let mut look = pin!(tokio::time::sleep_until(first_look));
        loop {
            tokio::select! {
                biased;
                _ = connection.as_mut() => return,
                () = look.as_mut() => match pace.next_look(&self.limits) {
                    Some(next) => look.as_mut().reset(next),
                    None => return,
                },
                changed = stage.changed() => {
                    if changed.is_err() || *stage.borrow() == Stage::Cut {
                        return;
                    }
                    connection.as_mut().graceful_shutdown();
                }
            }
        }
    }

    async fn respond(
        &self,
        request: Request<Incoming>,
        client: &Arc<Client>,
        (pace, parts): (&Arc<Pace>, &Option<Arc<Parts>>),
    ) -> Result<Response<Paced>, Infallible> {
        pace.answering();
        let (head, _) = request.into_parts();
        let id = self.numbers.next();
        let is_head = head.method == Method::HEAD;
        let answer = self.site.answer(Received { head, client: client.clone(), id }).await;
        let mut answer = if is_head { without_body(answer) } else { answer };
        answer.headers_mut().insert(REQUEST_ID, id.header());
        Ok(answer.map(|body| Paced::new(body, pace.clone(), parts.clone())))
    }
}

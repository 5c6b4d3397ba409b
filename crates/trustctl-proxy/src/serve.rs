//! From a request to an answer: who asks, which upstream is meant, whether it may be served, and then its bytes.

mod admit;
mod blobs;
mod canary;
mod lists;
mod manifests;
mod words;

use std::sync::Arc;
use std::time::Duration;

use http::header::WWW_AUTHENTICATE;
use http::{HeaderMap, HeaderValue, StatusCode};
use tokio::sync::Semaphore;
use tokio::time::Instant;
use trustctl_core::digest::Digest;
use trustctl_core::reason::{Code, Reason};
use trustctl_core::reference::Repository;

use crate::answer::{self, Answer};
use crate::cache::Blobs;
use crate::decide::{Clock, Decider, Trouble, see_to};
use crate::metrics::Metrics;
use crate::observe::Observer;
use crate::request::{Ask, Call, Fault, parse};
use crate::server::{Client, Received, RequestId, Site};
use crate::upstreams::{Place, UpstreamCredentials, Upstreams};
use crate::world::{Caller, World, Worlds};

/// Most callers and repositories for which it is remembered that the one may read the other.
const ADMISSIONS: u64 = 65_536;
/// Most blobs of signatures and attestations of which it is remembered that they are some.
const LOOKED_AT: u64 = 16_384;
/// Most such blobs that are read at the same time: each has 8 MiB at most.
const LOOKING: usize = 4;
/// Most questions at once whether a registry has a blob that nothing trusted names. Whoever makes up digests must not use up what the
/// registry allows; beyond, the blob is refused without asking.
const ASKING: usize = 8;
/// Most denials that are kept, of a kilobyte or so each.
const DENIALS: u64 = 16_384;
/// Names by which a denial is asked for: the digests of its manifest and of its configuration.
const NAMES: u64 = 2;
/// How long a denial manifest is kept: engines ask for it by its digest right after they were given that.
const DENIED_FOR: Duration = Duration::from_secs(10 * 60);
/// After how long a client is asked to come back when it could not be decided.
const RETRY_AFTER: Duration = Duration::from_secs(5);

/// What a proxy is made of.
pub struct Assembly {
    /// The registries it stands in front of.
    pub upstreams: Upstreams,
    /// Their servers.
    pub worlds: Worlds,
    /// Who decides.
    pub decider: Arc<Decider>,
    /// What was fetched.
    pub blobs: Arc<dyn Blobs>,
    /// Who is told.
    pub observer: Arc<dyn Observer>,
    /// Wall-clock time.
    pub clock: Clock,
    /// The page that refusals lead to, in place of the one of the reason.
    pub help: Option<String>,
    /// What is counted.
    pub metrics: Arc<Metrics>,
    /// Where this machine keeps what clients are not told of.
    pub places: answer::Places,
    /// How long a caller that may read a repository is not asked about again.
    pub admission: Duration,
}

/// The proxy, as far as it is independent of connections.
pub struct Proxy {
    parts: Assembly,
    admitted: moka::sync::Cache<(Digest, Repository), Instant>,
    /// Blobs of signatures and attestations that were read and are what they say.
    looked_at: moka::sync::Cache<Digest, ()>,
    /// Denials that were given out, by whom they were given to, where, and each of their names.
    denials: Denials,
    /// Leave to hold such a blob in memory.
    looking: Semaphore,
    /// Leave to ask whether a blob is there.
    asking: Semaphore,
}

/// By the caller, `None` for anybody; the repository; and the digest.
type Denials = moka::sync::Cache<(Option<Digest>, Repository, Digest), Arc<answer::Denial>>;

/// One request that is being answered.
struct Request<'a> {
    ask: &'a Ask,
    headers: &'a HeaderMap,
    client: &'a Client,
    id: RequestId,
    began: Instant,
    place: Place,
    world: World,
}

impl Proxy {
    /// A proxy that has served nothing yet.
    #[must_use]
    pub fn new(parts: Assembly) -> Self {
        let (admitted, looked_at) = (moka::sync::Cache::new(ADMISSIONS), moka::sync::Cache::new(LOOKED_AT));
        Self { parts, admitted, looked_at, denials: denials(), looking: Semaphore::new(LOOKING), asking: Semaphore::new(ASKING) }
    }

    /// Who decides.
    #[must_use]
    pub fn decider(&self) -> &Arc<Decider> {
        &self.parts.decider
    }

    async fn call(&self, ask: &Ask, received: &Received) -> Result<Answer, Fault> {
        let (headers, client, id, began) = (&received.head.headers, received.client.as_ref(), received.id, Instant::now());
        let Some(name) = ask.call.name() else { return Ok(self.ping(ask, headers)) };
        let place = self.parts.upstreams.place(ask, name)?;
        let world = match self.parts.worlds.caller(&place.upstream, headers) {
            Caller::Anybody(world) | Caller::Known(world) => world,
            Caller::Unknown if place.upstream.mirror => {
                // A challenge would make some engines hand over what they have for another registry.
                let words = format!("{} is only served to those who bring credentials", place.upstream.registry);
                return Err(Fault::new(StatusCode::FORBIDDEN, "DENIED", words));
            }
            Caller::Unknown => return Ok(challenge()),
        };
        // One time for all that is asked before it is decided, and for the manifest.
        let world = world.within(self.parts.decider.patience());
        let request = Request { ask, headers, client, id, began, place, world };
        let mut answer = match self.handed_out(&request) {
            Some(answer) => answer,
            None => self.fresh(&request).await,
        };
        if ask.namespace.is_some() {
            answer::add_namespace(answer.headers_mut(), &request.place.upstream.registry);
        }
        Ok(answer::unless_known(headers, answer))
    }

    async fn fresh(&self, request: &Request<'_>) -> Answer {
        match &request.ask.call {
            Call::Ping => answer::ping(),
            Call::Blob { .. } | Call::Manifest { .. } if request.place.is_canary() => self.canary(request).await,
            Call::Manifest { reference, .. } => self.manifest(request, reference).await,
            Call::Blob { digest, .. } => self.blob(request, digest).await,
            Call::Referrers { digest, artifact_type, .. } => self.referrers(request, digest, artifact_type.as_deref()).await,
            Call::Tags { name, limit, last } => self.tags(request, name, (*limit, last.as_ref())).await,
        }
    }

    /// Some engines send credentials only after this answer has asked for them.
    fn ping(&self, ask: &Ask, headers: &HeaderMap) -> Answer {
        let needs = |upstream: &crate::upstreams::Upstream| {
            upstream.credentials == UpstreamCredentials::PassThrough
                && !upstream.mirror
                && matches!(self.parts.worlds.caller(upstream, headers), Caller::Unknown)
        };
        let meant = self.parts.upstreams.meant_by_host(ask);
        if meant.is_some_and(needs) { challenge() } else { answer::ping() }
    }

    /// The answer where there is no decision. What a registry denies to a caller is denied here; what it denies to the proxy itself has
    /// to be mended by the proxy's operator.
    fn trouble(&self, request: &Request<'_>, trouble: &Trouble) -> Answer {
        let what = &request.place.repository;
        match trouble {
            Trouble::Unknown(reason) if request.world.caller.is_some() && is_denial(reason) => {
                let reason = &self.parts.places.told(reason);
                answer::denied(&answer::Refusal { image: None, digest: None, reason, rule: None, link: &self.link(reason.code) })
            }
            Trouble::NotFound => {
                let code = if matches!(request.ask.call, Call::Blob { .. }) { "BLOB_UNKNOWN" } else { "MANIFEST_UNKNOWN" };
                answer::error(StatusCode::NOT_FOUND, code, &format!("{what} does not have it, as its registry says"), None)
            }
            Trouble::Unknown(reason) => self.unsure(request, reason, None),
        }
    }

    /// That the bytes of something that may be served cannot be had now.
    fn unavailable(&self, request: &Request<'_>, reason: &Reason) -> Answer {
        let reason = &self.of_registry(request, reason);
        let refusal = answer::Refusal { image: None, digest: None, reason, rule: None, link: &self.link(reason.code) };
        answer::undecided(&refusal, RETRY_AFTER)
    }

    /// A reason as clients are told it, with what to do next where it is that the registry cannot be reached: that is no matter of the
    /// client's network.
    fn of_registry(&self, request: &Request<'_>, reason: &Reason) -> Reason {
        let told = self.parts.places.told(reason);
        match reason.code {
            Code::Unavailable => Reason { next: vec![see_to(&request.place.upstream.registry)], ..told },
            _ => told,
        }
    }

    /// Where those who are refused find help.
    fn link(&self, code: Code) -> String {
        self.parts.help.clone().unwrap_or_else(|| answer::docs_link(code))
    }
}

impl Site for Proxy {
    async fn answer(&self, received: Received) -> Answer {
        let head = &received.head;
        let metrics = &self.parts.metrics;
        let (call, answer) = match parse(&head.method, &head.uri, &head.headers) {
            Ok(ask) => {
                let answer = self.call(&ask, &received).await.unwrap_or_else(|fault| answer::fault(&fault));
                (ask.call.word(), answer)
            }
            Err(fault) => ("other", answer::fault(&fault)),
        };
        metrics.answered(call, answer.status());
        if head.method == http::Method::HEAD { answer } else { answer.map(|body| body.counted(metrics)) }
    }
}

/// A place for denials, in which the newest stays: who was just given its digest asks for it next. The usual policy would not let
/// it in where others were asked for more often.
fn denials() -> Denials {
    let lru = moka::policy::EvictionPolicy::lru();
    moka::sync::Cache::builder().max_capacity(DENIALS * NAMES).time_to_live(DENIED_FOR).eviction_policy(lru).build()
}

/// Whether a server denies what is asked for.
fn is_denial(reason: &Reason) -> bool {
    matches!(reason.code, Code::AccessDenied | Code::NoCredentials)
}

fn challenge() -> Answer {
    let words = "this registry is read as you: give the credentials that you have for it";
    let mut answer = answer::error(StatusCode::UNAUTHORIZED, "UNAUTHORIZED", words, None);
    answer.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Basic realm=\"trustctl\", charset=\"UTF-8\""));
    answer
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]
    use super::*;

    #[test]
    fn the_newest_denial_is_kept_however_many_there_are() {
        let denials = denials();
        let key = |digest: Digest| (None, "registry.example/app".parse::<Repository>().unwrap(), digest);
        let denial = |number: u64| {
            let reason = Reason::new(Code::CosignUnsigned, number.to_string());
            Arc::new(answer::Denial::new(&answer::Refusal { image: None, digest: None, reason: &reason, rule: None, link: "" }))
        };
        let mut newest = denial(0);
        for number in 0..DENIALS + 500 {
            newest = denial(number);
            denials.insert(key(newest.digest()), newest.clone());
            denials.insert(key(newest.configuration()), newest.clone());
        }
        denials.run_pending_tasks();
        assert!(denials.entry_count() <= DENIALS * NAMES, "{}", denials.entry_count());
        assert!(denials.contains_key(&key(newest.digest())) && denials.contains_key(&key(newest.configuration())));
    }
}

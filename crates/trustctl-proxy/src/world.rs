//! Who is asked about an upstream, and as whom.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::sync::Arc;
use std::time::Duration;

use http::HeaderMap;
use http::header::AUTHORIZATION;
use tokio::sync::Semaphore;
use trustctl_core::digest::Digest;
use trustctl_core::reason::{Code, Reason};
use trustctl_remote::credentials::{Credential, Credentials};
use trustctl_remote::http::{Http, Network};
use trustctl_remote::limits::Deadline;
use trustctl_remote::notary::{Notary, NotaryServers, network_for_notary};
use trustctl_remote::registry::{Endpoints, Registry};
use trustctl_remote::token::Session;
use zeroize::Zeroizing;

use crate::metrics::{Metrics, UpstreamMetrics};
use crate::upstreams::{Upstream, UpstreamCredentials};

/// Most callers with credentials of their own whose connections and tokens are kept.
const CALLERS: u64 = 1024;
/// How long they are kept after their last request, in seconds.
const CALLER_IDLE: u64 = 600;
/// Most images of one upstream about which evidence is gathered at the same time: that about one may have 64 MiB, and a registry that hangs
/// takes the time for each of its own only.
const GATHERING: usize = 24;
/// Most bytes of an `Authorization` header that is looked at: user name and password in base64.
const MAX_AUTHORIZATION: usize = 8192;

/// The servers of one upstream, as one identity sees them. Cloning is cheap and shares connections and tokens.
#[derive(Clone)]
pub struct World {
    /// The registry.
    pub registry: Registry,
    /// The Notary servers.
    pub notary: Notary,
    /// Who asks: nobody in particular, or a caller by a digest of its credentials that is good in this process alone.
    pub caller: Option<Digest>,
    /// Leave to gather evidence from this upstream; all of its callers share it.
    pub gathering: Arc<Semaphore>,
    /// Until when all that is asked for one request has to be answered; `None` where nothing was asked yet.
    pub until: Option<Deadline>,
}

impl World {
    /// The same servers, where everything that is asked has `time` in all; a time that runs already goes on.
    #[must_use]
    pub fn within(&self, time: Duration) -> Self {
        Self { until: Some(self.deadline(time)), ..self.clone() }
    }

    /// The same servers for work that nobody waits for: its time begins with it.
    #[must_use]
    pub(crate) fn unhurried(&self) -> Self {
        Self { until: None, ..self.clone() }
    }

    /// Until when answers are waited for: `time` from now where none runs yet.
    #[must_use]
    pub(crate) fn deadline(&self, time: Duration) -> Deadline {
        self.until.unwrap_or_else(|| Deadline::after(time))
    }

    /// Whether the time for one request is used up.
    #[must_use]
    pub(crate) fn is_late(&self) -> bool {
        self.until.is_some_and(|until| until.remaining().is_zero())
    }
}

/// The servers of all upstreams.
pub struct Worlds {
    by_registry: BTreeMap<String, Prepared>,
    callers: moka::sync::Cache<(String, Digest), World>,
    salt: [u8; 32],
}

struct Prepared {
    network: Network,
    notary_network: Network,
    endpoints: Endpoints,
    servers: NotaryServers,
    watch: Option<Arc<UpstreamMetrics>>,
    gathering: Arc<Semaphore>,
    /// The proxy's own identity; `None` where each caller brings credentials.
    own: Option<World>,
}

/// Whom a request is answered as.
pub enum Caller {
    /// As anybody: with the proxy's own identity.
    Anybody(World),
    /// As a caller that brought credentials.
    Known(World),
    /// Nobody knows: credentials are needed.
    Unknown,
}

impl Worlds {
    /// The servers of `upstreams`. Passwords are read now, and nobody is connected to.
    ///
    /// `variable` looks up environment variables, as everywhere in this program.
    ///
    /// # Errors
    /// [`Code::ConfigUnusable`] for an endpoint that cannot be used, [`Code::ProxySecret`] for a password.
    pub fn new<'a>(
        upstreams: impl IntoIterator<Item = &'a Upstream>,
        (plain_http, metrics): (&[String], &Metrics),
        variable: impl Fn(&str) -> Option<OsString>,
    ) -> Result<Self, Reason> {
        let mut network = Network::of_environment(&variable);
        network.plain_http = plain_http.to_vec();
        let mut by_registry = BTreeMap::new();
        for upstream in upstreams {
            let watch = metrics.upstream(&upstream.registry).cloned();
            let prepared = Prepared::new(upstream, (network.clone(), watch), &variable)?;
            by_registry.insert(upstream.registry.clone(), prepared);
        }
        let callers = moka::sync::Cache::builder().max_capacity(CALLERS);
        let callers = callers.time_to_idle(Duration::from_secs(CALLER_IDLE)).build();
        let mut salt = [0; 32];
        let random = |_| Reason::new(Code::ConfigUnusable, "the system gives no random numbers");
        aws_lc_rs::rand::fill(&mut salt).map_err(random)?;
        Ok(Self { by_registry, callers, salt })
    }

    /// As whom a request with `headers` is answered.
    #[must_use]
    pub fn caller(&self, upstream: &Upstream, headers: &HeaderMap) -> Caller {
        let Some(prepared) = self.by_registry.get(&upstream.registry) else { return Caller::Unknown };
        if let Some(own) = &prepared.own {
            return Caller::Anybody(own.clone());
        }
        let Some((user, password)) = basic(headers) else { return Caller::Unknown };
        let secret = Zeroizing::new([&self.salt, user.as_bytes(), &[0], password.as_bytes()].concat());
        let name = Digest::sha256_of(&secret);
        let made = self.callers.get_with((upstream.registry.clone(), name), || {
            let credential = Credential::password(user.as_str(), password.as_str());
            prepared.world(Credentials::none().with(&upstream.registry, credential), Some(name))
        });
        Caller::Known(made)
    }
}

impl Prepared {
    fn new(
        upstream: &Upstream,
        (mut network, watch): (Network, Option<Arc<UpstreamMetrics>>),
        variable: &impl Fn(&str) -> Option<OsString>,
    ) -> Result<Self, Reason> {
        let mut endpoints = Endpoints::none();
        if let Some(endpoint) = &upstream.endpoint {
            // Plain HTTP was allowed for it when the configuration was read, or it is on loopback.
            network.plain_http.extend(endpoint.strip_prefix("http://").map(str::to_owned));
            endpoints.add(&upstream.registry, endpoint).map_err(Reason::from)?;
        }
        let mut servers = NotaryServers::of_environment(variable);
        if let Some(notary) = &upstream.notary {
            servers = servers.with_registry(&upstream.registry, notary);
        }
        let notary_network = network_for_notary(network.clone(), variable);
        let gathering = Arc::new(Semaphore::new(GATHERING));
        let mut prepared = Self { network, notary_network, endpoints, servers, watch, gathering, own: None };
        let credentials = match &upstream.credentials {
            UpstreamCredentials::Docker => Some(Credentials::of_environment(variable)),
            UpstreamCredentials::None => Some(Credentials::none()),
            UpstreamCredentials::PassThrough => None,
            UpstreamCredentials::User { user, password } => {
                let password = password.read()?;
                Some(Credentials::none().with(&upstream.registry, Credential::password(user, password.as_str())))
            }
        };
        prepared.own = credentials.map(|credentials| prepared.world(credentials, None));
        Ok(prepared)
    }

    fn world(&self, credentials: Credentials, caller: Option<Digest>) -> World {
        let http = |network: &Network| match &self.watch {
            Some(watch) => Http::watched(network.clone(), watch.clone()),
            None => Http::new(network.clone()),
        };
        let session = Session::new(http(&self.network), credentials.clone());
        let notary = Notary::new(http(&self.notary_network), credentials, self.servers.clone());
        let registry = Registry::at(session, self.endpoints.clone());
        World { registry, notary, caller, gathering: self.gathering.clone(), until: None }
    }
}

/// User name and password of an `Authorization` header (RFC 7617).
fn basic(headers: &HeaderMap) -> Option<(Zeroizing<String>, Zeroizing<String>)> {
    use base64::Engine as _;
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let (Some(value), None) = (values.next(), values.next()) else { return None };
    let text = value.to_str().ok().filter(|text| text.len() <= MAX_AUTHORIZATION)?;
    let (scheme, encoded) = text.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let pair = Zeroizing::new(base64::engine::general_purpose::STANDARD.decode(encoded.trim()).ok()?);
    let (user, password) = std::str::from_utf8(&pair).ok()?.split_once(':')?;
    Some((Zeroizing::new(user.to_owned()), Zeroizing::new(password.to_owned())))
}

//! The network as the flags and the machine's files say: registries and Notary servers.

use trustctl_core::evidence::{Entry, Evidence, Locator, Origin, Want};
use trustctl_core::reason::Reason;
use trustctl_core::reference::Reference;
use trustctl_core::subject::Subject;
use trustctl_remote::credentials::Credentials;
use trustctl_remote::gather::{Fetching, Source};
use trustctl_remote::http::{Http, Network};
use trustctl_remote::limits::Deadline;
use trustctl_remote::notary::{Notary, NotaryServers, credential_of_notary_auth, network_for_notary};
use trustctl_remote::registry::{Online, Registry};
use trustctl_remote::token;

use super::Session;
use crate::failure::Failure;

/// Everything that this run talks to.
pub(super) struct World {
    /// Registries.
    pub(super) registry: Registry,
    /// Notary servers.
    pub(super) notary: Notary,
    http: Http,
}

impl Session {
    /// A client for everything that is neither a registry nor a Notary server.
    pub(super) fn http(&self) -> Http {
        let mut network = Network::of_environment(|name| std::env::var_os(name));
        network.plain_http.clone_from(&self.global.plain_http);
        Http::new(network)
    }

    /// The network, with `dct_server` for the collections of every registry when it is named.
    pub(super) fn world(&self, dct_server: Option<&str>) -> Result<World, Failure> {
        let variable = |name: &str| std::env::var_os(name);
        let mut network = Network::of_environment(variable);
        network.plain_http.clone_from(&self.global.plain_http);
        let http = Http::new(network.clone());
        let notary_http = Http::new(network_for_notary(network, variable));
        let credentials = Credentials::of_environment(variable);
        let mut servers = NotaryServers::of_environment(variable);
        if let Some(server) = dct_server {
            servers = servers.with_server(server);
        }
        let mut notary = Notary::new(notary_http, credentials.clone(), servers);
        if let Some(value) = std::env::var("NOTARY_AUTH").ok().filter(|value| !value.is_empty()) {
            let credential = credential_of_notary_auth(&value).map_err(|error| Failure::new(error.reason()))?;
            notary = notary.with_credential(credential);
        }
        Ok(World { registry: Registry::new(token::Session::new(http.clone(), credentials)), notary, http })
    }
}

impl World {
    /// The image that `reference` names now, and its manifest as the first piece of evidence.
    pub(super) async fn resolve(&self, reference: &Reference, deadline: Deadline) -> Result<(Subject, Evidence), Reason> {
        let resolved = self.registry.resolve(reference, deadline).await?;
        let mut evidence = Evidence::new();
        let locator = Locator::Manifest { repository: resolved.subject.repository.clone(), digest: resolved.subject.digest };
        evidence.insert(locator, Entry::Present { bytes: resolved.manifest, origin: Origin::Registry });
        Ok((resolved.subject, evidence))
    }

    /// The same settings and nothing else in common: no connection, no token, nothing learnt.
    pub(super) fn fresh(&self) -> Self {
        Self { registry: self.registry.fresh(), notary: self.notary.fresh(), http: self.http.clone() }
    }

    /// This world as a source of evidence until `deadline`.
    pub(super) fn until(&self, deadline: Deadline) -> Connected<'_> {
        Connected { world: self, deadline }
    }

    /// How much was asked so far, in words.
    pub(super) fn counts(&self) -> String {
        let (one, two) = (self.http.counts(), self.notary.http().counts());
        format!(
            "{} requests, {} bytes, {} dependent round trips",
            one.requests + two.requests,
            one.bytes + two.bytes,
            one.round_trips.max(two.round_trips)
        )
    }
}

/// A [`World`] with a deadline: a source of evidence.
pub(super) struct Connected<'a> {
    world: &'a World,
    deadline: Deadline,
}

impl Source for Connected<'_> {
    fn fetch<'a>(&'a self, want: &'a Want) -> Fetching<'a> {
        Box::pin(async move {
            let notary = self.world.notary.source(self.deadline);
            Online { registry: &self.world.registry, notary: Some(&notary), deadline: self.deadline }.fetch(want).await
        })
    }
}

//! The clients against small servers on loopback that answer as real ones do, or as an attacker would.
#![expect(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a failed unwrap fails the test")]

mod auth;
mod gather;
mod http;
mod memory;
mod oidc;
mod publish;
mod reading;
mod referrers;
mod server;
mod services;
mod streaming;
mod tls;
mod writing;

use std::time::Duration;

use trustctl_core::reference::Repository;
use trustctl_remote::credentials::Credentials;
use trustctl_remote::http::{Http, Network};
use trustctl_remote::limits::Deadline;
use trustctl_remote::registry::Registry;
use trustctl_remote::token::Session;

const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";
const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

fn soon() -> Deadline {
    Deadline::after(Duration::from_secs(20))
}

/// Settings for tests: no folder of this machine, short pauses.
fn network() -> Network {
    let mut network = Network::default();
    network.retry_pause = Duration::from_millis(1);
    network.idle = Duration::from_secs(2);
    network
}

fn registry() -> Registry {
    registry_with(Credentials::none())
}

fn registry_with(credentials: Credentials) -> Registry {
    Registry::new(Session::new(Http::new(network()), credentials))
}

fn repository(address: &str) -> Repository {
    format!("{address}/demo/app").parse().unwrap()
}

/// Servers of many tasks hold these futures across threads. This only has to compile.
#[expect(dead_code, reason = "the compiler checks it")]
fn futures_can_be_sent_between_threads(
    registry: &Registry,
    edit: &dyn trustctl_core::publish::Edit,
    (scheme, context): (&dyn trustctl_core::scheme::Scheme, &trustctl_core::scheme::Context<'_>),
    subject: &trustctl_core::subject::Subject,
) {
    use trustctl_remote::gather::{Limits, Supply, gather};
    fn sendable(_: impl Future + Send) {}
    sendable(trustctl_remote::publish::Publisher::new(registry.clone()).publish_all(&[edit], soon()));
    sendable(registry.tags(&subject.repository, soon()));
    sendable(registry.open_blob(&subject.repository, &subject.digest, 0, soon()));
    let source = trustctl_core::evidence::Evidence::new();
    let supply = Supply { source: &source, limits: Limits::default(), deadline: soon() };
    sendable(gather(&[scheme], subject, context, (source.clone(), supply)));
}

//! The proxy as the only place that a client knows, by the files that `trustctl proxy client-config` writes.

use std::time::{Duration, Instant};

use trustctl_tests::clients::{Client, Deny, Dockerd, Kind, Release, Setup, Site, traces};

use crate::cases::{Case, bad, good, tampered};

/// The log of decisions is written a moment after the answer.
const LOGGED: Duration = Duration::from_secs(10);

/// How images are named.
#[derive(Clone, Copy)]
enum Names {
    /// As `client-config` says: for Docker with the name of the proxy.
    AsWritten,
    /// As if there were no proxy.
    OfTheRegistry,
}

/// Pulls the whole table.
fn pulls_what_is_trusted_and_nothing_else(kind: Kind) {
    pulls_with(kind, Names::AsWritten);
}

fn pulls_with(kind: Kind, names: Names) {
    if !kind.is_here() {
        return;
    }
    let site = Site::new(Deny::Status);
    let (registry, proxy, setup) = (site.world.registry().host(), site.proxy(), site.configured(kind));
    let setup = match names {
        Names::AsWritten => Setup::Written(&setup),
        Names::OfTheRegistry => Setup::Files(&setup),
    };
    let client = kind.start(&site.route(&registry, &proxy, setup)).unwrap().unwrap();
    let mut cases = bad(&site);
    cases.extend(tampered(&site).into_iter().take(if retries_for_long(kind) { 1 } else { usize::MAX }));
    for case in &cases {
        refuses(client.as_ref(), &site, case);
    }
    for case in good(&site) {
        arrives(client.as_ref(), &case);
    }
}

/// BuildKit takes a connection that was cut for an accident, and tries for a minute: once is enough.
fn retries_for_long(kind: Kind) -> bool {
    matches!(kind, Kind::BuildKit(_) | Kind::Buildkitd)
}

/// The pull fails, the proxy says why, and nothing is left of the image.
#[track_caller]
fn refuses(client: &dyn Client, site: &Site, case: &Case) {
    let before = site.codes(0).len();
    let ran = client.pull(&case.asked).unwrap();
    assert!(!ran.success(), "{}: {}", case.what, ran.output());
    if let Some(code) = case.code {
        let end = Instant::now() + LOGGED;
        while !site.codes(before).iter().any(|found| found == code) {
            assert!(Instant::now() < end, "{}: {:?}, and the client says {}", case.what, site.codes(before), ran.output());
            std::thread::sleep(Duration::from_millis(20));
        }
    }
    leaves_nothing(client, case);
}

/// Neither what its layer says is anywhere, nor, where the policy refuses, anything that names its parts.
#[track_caller]
pub(crate) fn leaves_nothing(client: &dyn Client, case: &Case) {
    let names = case.image.parts.each_ref().map(|digest| digest.trim_start_matches("sha256:"));
    let [config, layer] = names;
    let signs = [case.image.text.as_str(), config, layer];
    // A trusted manifest may come although its layer does not.
    let signs = if case.code.is_some() { &signs[..] } else { &signs[..1] };
    let signs: Vec<&str> = signs.iter().copied().filter(|sign| !sign.is_empty()).collect();
    let found = traces(client.folder(), &signs);
    assert!(found.is_empty(), "{}: {found:?}", case.what);
}

/// The pull succeeds, and the client names the digests of what came; its files hold what the layer says.
#[track_caller]
pub(crate) fn arrives(client: &dyn Client, case: &Case) {
    let ran = client.pull(&case.asked).unwrap();
    assert!(ran.success(), "{}: {}", case.what, ran.output());
    let told = client.tells(&case.asked).unwrap();
    let [_, layer] = &case.image.parts;
    assert!(told.contains(layer.as_str()), "{}: {told}", case.what);
    assert!(!traces(client.folder(), &[&case.image.text]).is_empty(), "{}: nothing is there", case.what);
}

#[test]
fn docker() {
    pulls_what_is_trusted_and_nothing_else(Kind::Docker(Dockerd::Classic));
}

#[test]
fn newer_docker_with_the_classic_store() {
    pulls_what_is_trusted_and_nothing_else(Kind::Docker(Dockerd::NewerClassic));
}

#[test]
fn newer_docker_with_the_containerd_store() {
    pulls_what_is_trusted_and_nothing_else(Kind::Docker(Dockerd::NewerContainerd));
}

/// As people write them, without the proxy's name: such an engine obeys the files in `certs.d`.
#[test]
fn newer_docker_with_the_containerd_store_by_the_names_of_docker_hub() {
    pulls_with(Kind::Docker(Dockerd::NewerContainerd), Names::OfTheRegistry);
}

#[test]
fn newest_docker_by_the_names_of_docker_hub() {
    pulls_with(Kind::Docker(Dockerd::Newest), Names::OfTheRegistry);
}

#[test]
fn buildkit_in_newer_docker_by_the_names_of_docker_hub() {
    pulls_with(Kind::BuildKit(Dockerd::NewerContainerd), Names::OfTheRegistry);
}

#[test]
fn buildkit_in_docker() {
    pulls_what_is_trusted_and_nothing_else(Kind::BuildKit(Dockerd::Classic));
}

#[test]
fn buildkit_in_newer_docker() {
    pulls_what_is_trusted_and_nothing_else(Kind::BuildKit(Dockerd::NewerContainerd));
}

#[test]
fn newest_docker() {
    pulls_what_is_trusted_and_nothing_else(Kind::Docker(Dockerd::Newest));
}

#[test]
fn buildkit_in_newest_docker() {
    pulls_what_is_trusted_and_nothing_else(Kind::BuildKit(Dockerd::Newest));
}

#[test]
fn buildkit_of_its_own() {
    pulls_what_is_trusted_and_nothing_else(Kind::Buildkitd);
}

#[test]
fn containerd_by_ctr() {
    pulls_what_is_trusted_and_nothing_else(Kind::Containerd(Release::Old));
}

#[test]
fn containerd_1_7_by_ctr() {
    pulls_what_is_trusted_and_nothing_else(Kind::Containerd(Release::Trixie));
}

#[test]
fn containerd_2_by_ctr() {
    pulls_what_is_trusted_and_nothing_else(Kind::Containerd(Release::Sid));
}

#[test]
fn containerd_by_cri() {
    pulls_what_is_trusted_and_nothing_else(Kind::Cri(Release::Old));
}

#[test]
fn containerd_1_7_by_cri() {
    pulls_what_is_trusted_and_nothing_else(Kind::Cri(Release::Trixie));
}

#[test]
fn containerd_2_by_cri() {
    pulls_what_is_trusted_and_nothing_else(Kind::Cri(Release::Sid));
}

#[test]
fn podman() {
    pulls_what_is_trusted_and_nothing_else(Kind::Podman);
}

#[test]
fn buildah() {
    pulls_what_is_trusted_and_nothing_else(Kind::Buildah);
}

#[test]
fn skopeo() {
    pulls_what_is_trusted_and_nothing_else(Kind::Skopeo);
}

#[test]
fn newer_skopeo() {
    pulls_what_is_trusted_and_nothing_else(Kind::SkopeoSid);
}

//! The proxy as a mirror before the registry, which the client asks when the proxy refuses by status: only the denial manifest stops it.

use trustctl_lab::faults::{Fault, FaultRule};
use trustctl_tests::clients::{Deny, Dockerd, Kind, Release, Setup, Site};

use crate::cases::{Case, bad, good};
use crate::only::{arrives, leaves_nothing};

/// Whether a denial manifest in place of a digest that was asked for stops a client. Docker's classic store asks the registry.
fn stops_by_digest(kind: Kind) -> bool {
    !matches!(kind, Kind::Docker(Dockerd::Classic | Dockerd::NewerClassic))
}

/// Whether it shows what it is told of a denial: its type, or the answer for its configuration. Skopeo 1.9 shows the status alone.
fn shows_the_reason(kind: Kind) -> bool {
    kind != Kind::Skopeo
}

fn denial_manifests_stop_and_statuses_do_not(kind: Kind) {
    if !kind.is_here() {
        return;
    }
    let site = Site::new(Deny::Sticky);
    let (registry, proxy) = (site.world.registry().host(), site.proxy());
    let client = kind.start(&site.route(&registry, &proxy, Setup::Mirror)).unwrap().unwrap();
    for case in bad(&site).iter().filter(|case| !case.is_by_digest() || stops_by_digest(kind)).chain(&undecided(&site)) {
        let ran = client.pull(&case.asked).unwrap();
        assert!(!ran.success(), "{}: {}", case.what, ran.output());
        // By digest they see bytes that are not what they asked for.
        if let Some(code) = case.code.filter(|_| !case.is_by_digest() && shows_the_reason(kind)) {
            assert!(ran.output().to_ascii_uppercase().contains(code), "{}: {code} is not in {}", case.what, ran.output());
        }
        leaves_nothing(client.as_ref(), case);
    }
    for case in good(&site) {
        arrives(client.as_ref(), &case);
    }
    passes_over_a_status(kind);
}

/// Whoever can push can make an image that cannot be judged; that must not be a way around.
fn undecided(site: &Site) -> Option<Case> {
    let image = site.push("shop/unsure:1", "nobody can say whether this is signed");
    for path in ["/v2/shop/unsure/referrers/*", "/v2/shop/unsure/manifests/sha256-*"] {
        site.world.registry().faults().add(FaultRule::always(path, Fault::Status { status: 500, retry_after: None }));
    }
    Some(Case { what: "not to be decided", asked: image.name.clone(), image, code: Some("TC0401") })
}

/// The proof that the registry is in reach, and that a mirror enforces nothing otherwise.
fn passes_over_a_status(kind: Kind) {
    let site = Site::new(Deny::Status);
    let (registry, proxy) = (site.world.registry().host(), site.proxy());
    let client = kind.start(&site.route(&registry, &proxy, Setup::Mirror)).unwrap().unwrap();
    let unsigned = site.push("shop/new:1", "nobody signed this");
    let case = Case { what: "unsigned", asked: unsigned.name.clone(), image: unsigned, code: None };
    arrives(client.as_ref(), &case);
    assert!(site.codes(0).iter().any(|code| code == "TC0301"), "the proxy was asked first");
}

#[test]
fn docker() {
    denial_manifests_stop_and_statuses_do_not(Kind::Docker(Dockerd::Classic));
}

#[test]
fn newer_docker_with_the_classic_store() {
    denial_manifests_stop_and_statuses_do_not(Kind::Docker(Dockerd::NewerClassic));
}

#[test]
fn newer_docker_with_the_containerd_store() {
    denial_manifests_stop_and_statuses_do_not(Kind::Docker(Dockerd::NewerContainerd));
}

#[test]
fn buildkit_in_docker() {
    denial_manifests_stop_and_statuses_do_not(Kind::BuildKit(Dockerd::Classic));
}

#[test]
fn buildkit_in_newer_docker() {
    denial_manifests_stop_and_statuses_do_not(Kind::BuildKit(Dockerd::NewerContainerd));
}

#[test]
fn newest_docker() {
    denial_manifests_stop_and_statuses_do_not(Kind::Docker(Dockerd::Newest));
}

#[test]
fn buildkit_in_newest_docker() {
    denial_manifests_stop_and_statuses_do_not(Kind::BuildKit(Dockerd::Newest));
}

#[test]
fn buildkit_of_its_own() {
    denial_manifests_stop_and_statuses_do_not(Kind::Buildkitd);
}

#[test]
fn containerd_by_ctr() {
    denial_manifests_stop_and_statuses_do_not(Kind::Containerd(Release::Old));
}

#[test]
fn containerd_1_7_by_ctr() {
    denial_manifests_stop_and_statuses_do_not(Kind::Containerd(Release::Trixie));
}

#[test]
fn containerd_2_by_ctr() {
    denial_manifests_stop_and_statuses_do_not(Kind::Containerd(Release::Sid));
}

#[test]
fn containerd_by_cri() {
    denial_manifests_stop_and_statuses_do_not(Kind::Cri(Release::Old));
}

#[test]
fn containerd_1_7_by_cri() {
    denial_manifests_stop_and_statuses_do_not(Kind::Cri(Release::Trixie));
}

#[test]
fn containerd_2_by_cri() {
    denial_manifests_stop_and_statuses_do_not(Kind::Cri(Release::Sid));
}

#[test]
fn podman() {
    denial_manifests_stop_and_statuses_do_not(Kind::Podman);
}

#[test]
fn buildah() {
    denial_manifests_stop_and_statuses_do_not(Kind::Buildah);
}

#[test]
fn skopeo() {
    denial_manifests_stop_and_statuses_do_not(Kind::Skopeo);
}

#[test]
fn newer_skopeo() {
    denial_manifests_stop_and_statuses_do_not(Kind::SkopeoSid);
}

//! A tag in Docker Content Trust.

use trustctl_tests::failure::Failure;
use trustctl_tests::image::{Image, Repository};
use trustctl_tests::notary::{self as server, NotaryClient, NotaryServer};
use trustctl_tests::peers::{Peer, Program};
use trustctl_tests::process::run;
use trustctl_tests::program::program;
use trustctl_tests::registry::{DebianRegistry, Options};

use crate::contest::{Bench, Contest, LIMIT};
use crate::find;

/// One tag beside `notary lookup`.
///
/// # Errors
/// [`Failure`] of the first program that fails.
pub(crate) fn contests(bench: &Bench, notary: &Program) -> Result<(), Failure> {
    let running = NotaryServer::start(&find(Peer::NotaryServer)?, &server::Options::default())?;
    let registry = DebianRegistry::start(&find(Peer::DockerRegistry)?, &Options::default())?;
    let repository = Repository::new(registry.address(), "bench/app");
    let image = Image::tiny("dct");
    let digest = image.push(&repository, "1")?;
    let gun = format!("{}/bench/app", registry.address());
    let client = NotaryClient::new(notary, &running)?;
    run(&mut client.command(&["init", "-p", &gun]), LIMIT)?.ok()?;
    let hex = digest.trim_start_matches("sha256:");
    let length = image.manifest.bytes.len().to_string();
    run(&mut client.command(&["addhash", "-p", &gun, "1", &length, "--sha256", hex]), LIMIT)?.ok()?;
    let trust =
        format!("-d {} -s {} --tlscacert {}", client.trust_directory().display(), running.url(), running.authority().display());
    let tls = bench.home.join(".docker/tls").join(running.address());
    let copied = std::fs::create_dir_all(&tls).and_then(|()| std::fs::copy(running.authority(), tls.join("ca.crt")));
    copied.map_err(|source| Failure::Io { what: tls.display().to_string(), source })?;
    bench.compete(&Contest {
        what: "DCT tag, loopback, warm (beside notary lookup)",
        ours: format!("{} verify {gun}:1 --danger-trust-on-first-use --dct-server {}", program().display(), running.url()),
        theirs: format!("{} {trust} lookup {gun} 1", notary.path().display()),
    })
}

//! Signatures by key, in both storage formats, near and behind a slow line.

use std::time::Duration;

use trustctl_tests::failure::Failure;
use trustctl_tests::image::{Image, Repository};
use trustctl_tests::latency::Latency;
use trustctl_tests::peers::{Peer, Program};
use trustctl_tests::process::run;
use trustctl_tests::program::program;
use trustctl_tests::registry::{DebianRegistry, FerroRegistry, Options};

use crate::contest::{Bench, Contest, LIMIT};
use crate::find;

const HALF_OF_50_MS: Duration = Duration::from_millis(25);

/// Both formats beside `cosign verify --key`.
///
/// # Errors
/// [`Failure`] of the first program that fails.
pub(crate) fn contests(bench: &Bench, cosign: &Program) -> Result<(), Failure> {
    prepare(bench, cosign)?;
    let legacy = DebianRegistry::start(&find(Peer::DockerRegistry)?, &Options::default())?;
    let bundles = FerroRegistry::start(&find(Peer::FerroOciServer)?)?;
    let cosign = cosign.path().display().to_string();
    let old = "--use-signing-config=false --new-bundle-format=false --tlog-upload=false";
    for (form, address, port, flags) in [
        ("legacy signature", legacy.address(), legacy.port(), old.to_owned()),
        ("bundle, referrers API", bundles.address(), bundles.port(), "--signing-config signing.json".to_owned()),
    ] {
        let repository = Repository::new(&address, "bench/app");
        let digest = Image::tiny(form).push(&repository, "1")?;
        let image = repository.at(&digest);
        run(&mut bench.command(&format!("{cosign} sign -y --key cosign.key --allow-http-registry {flags} {image}")), LIMIT)?
            .ok()?;
        let slow = Latency::start(port, HALF_OF_50_MS)?;
        for (network, host) in [("loopback", address.clone()), ("50 ms round trip", slow.address())] {
            let image = format!("{host}/bench/app:1");
            // Behind the slow port it is another registry by name, and a legacy signature names the one it was made for.
            let policy = format!(
                "version = 1\n[signers.key]\nscheme = \"cosign\"\nkey = \"cosign.pub\"\n[[rules]]\nname = \"bench\"\nimages = [\"**\"]\n\
                 require = {{ any = [\"key\"] }}\nsigned-repository = {{ remap = {{ \"{host}\" = \"{address}\" }} }}\n"
            );
            bench.write("policy.toml", &policy)?;
            bench.compete(&Contest {
                what: &format!("{form}, {network}"),
                ours: format!("{} verify {image} --policy policy.toml", program().display()),
                theirs: format!(
                    "{cosign} verify --key cosign.pub --insecure-ignore-tlog --private-infrastructure --allow-http-registry {image}"
                ),
            })?;
        }
    }
    Ok(())
}

/// A key, and a signing config that names no service.
fn prepare(bench: &Bench, cosign: &Program) -> Result<(), Failure> {
    run(&mut bench.command(&format!("{} generate-key-pair", cosign.path().display())), LIMIT)?.ok()?;
    bench.write("signing.json", "{\"mediaType\":\"application/vnd.dev.sigstore.signingconfig.v0.2+json\"}")
}

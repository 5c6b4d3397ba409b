//! Signatures by identity, against the lab's Sigstore: cosign signs, both verify, each given the identity and the trusted root's file, so
//! that nobody asks anybody but the registry.

use trustctl_lab::error::LabError;
use trustctl_lab::image::Artifact;
use trustctl_lab::sigstore::Claims;
use trustctl_lab::world::{World, WorldOptions};
use trustctl_tests::failure::Failure;
use trustctl_tests::peers::Program;
use trustctl_tests::process::run;
use trustctl_tests::program::program;

use crate::contest::{Bench, Contest, LIMIT};

const SIGNER: &str = "bench@example.test";

/// Bundles with an entry of either Rekor and a timestamp, beside `cosign verify`.
///
/// # Errors
/// [`Failure`] of the first program that fails.
pub(crate) fn contests(bench: &Bench, cosign: &Program) -> Result<(), Failure> {
    let lab = |error: LabError| Failure::Output(error.to_string());
    let world = World::start(WorldOptions::default()).map_err(lab)?;
    let bench = bench.with(world.environment());
    let file = |name: &str| world.sigstore_folder().join(name).display().to_string();
    let (root, issuer, cosign) = (file("trusted_root.json"), world.sigstore().issuer().url(), cosign.path().display());
    let token = world.write_token(&Claims::email(SIGNER)).map_err(lab)?.display().to_string();
    for (log, config) in [("Rekor v1", "signing_config.json"), ("Rekor v2", "signing_config_rekor_v2.json")] {
        let name = format!("bench/{}", log.replace(' ', "-").to_lowercase());
        let digest = world.push(&format!("{name}:1"), &Artifact::image(log)).map_err(lab)?;
        let (image, config) = (format!("{}@{digest}", world.name(&name)), file(config));
        let services = format!("--signing-config {config} --trusted-root {root} --identity-token {token}");
        run(&mut bench.command(&format!("{cosign} sign -y {services} --allow-http-registry {image}")), LIMIT)?.ok()?;
        bench.compete(&Contest {
            what: &format!("keyless bundle ({log}, timestamp), loopback"),
            ours: format!("{} verify {image} --identity {SIGNER} --issuer {issuer} --trusted-root {root}", program().display()),
            theirs: format!(
                "{cosign} verify --certificate-identity {SIGNER} --certificate-oidc-issuer {issuer} --trusted-root {root} \
                 --allow-http-registry {image}"
            ),
        })?;
    }
    Ok(())
}

//! The demo's act without keys: a workflow signs by its identity; neither a log that lies nor another workflow is believed.

use trustctl_core::reason::Code;
use trustctl_lab::faults::{Fault, FaultRule, Part};
use trustctl_lab::image::Artifact;
use trustctl_lab::sigstore::Claims;

use super::{DONE, Story, TRUSTED, refused};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::run::lab::failed;

impl Story<'_> {
    pub(super) async fn tell_keyless(&mut self) -> Result<(), Failure> {
        self.say(
            "Where an identity provider vouches for a workflow, no key is needed. The release workflow of acme/shop has a token.",
        );
        let (image, workflow) = (self.build("one")?, Claims::github("acme/shop", "refs/tags/v2.0"));
        let (issuer, identity) = (self.world.sigstore().issuer().url(), workflow.identity());
        let [config, root] = ["signing_config.json", "trusted_root.json"].map(|name| self.sigstore_file(name));

        self.say("An attacker owns the transparency log, which promises an entry with a key that is not the log's.");
        let faults = self.world.sigstore().rekor().faults().clone();
        faults.add(FaultRule::always("*", Fault::Wrong(Part::Promise)));
        let token = self.token(&workflow)?;
        let sign = ["sign", &image, "--identity-token", &token, "--signing-config", &config, "--trusted-root", &root];
        let lie = refused(Exit::Rejected, Code::CosignLogInvalid);
        self.run("the lie is noticed, and nothing is published", &sign, &lie).await?;
        faults.clear();

        self.run("sign it by identity: certificate, log entry and timestamp are checked first", &sign, &DONE).await?;
        let whom = ["--identity", &identity, "--issuer", &issuer, "--trusted-root", &root];
        self.run("whoever trusts that workflow accepts the image", &[&["verify", &image][..], &whom].concat(), &TRUSTED).await?;

        self.say("A fork of the repository has the same workflow, and may sign as itself.");
        let other = self.build("two")?;
        let token = self.token(&Claims::github("mallory/shop", "refs/tags/v2.0"))?;
        let sign = ["sign", &other, "--identity-token", &token, "--signing-config", &config, "--trusted-root", &root];
        self.run("the fork signs an image of its own", &sign, &DONE).await?;
        let stranger = refused(Exit::Rejected, Code::CosignWrongIdentity);
        self.run("which nobody takes for the original's", &[&["verify", &other][..], &whom].concat(), &stranger).await?;
        Ok(())
    }

    /// Pushes another image; its name with the digest.
    fn build(&self, text: &str) -> Result<String, Failure> {
        let digest = self.world.push("shop/web:2.0", &Artifact::image(text)).map_err(failed)?;
        Ok(format!("{}@{digest}", self.world.name("shop/web")))
    }

    fn token(&self, claims: &Claims) -> Result<String, Failure> {
        Ok(self.world.write_token(claims).map_err(failed)?.display().to_string())
    }

    fn sigstore_file(&self, name: &str) -> String {
        self.world.sigstore_folder().join(name).display().to_string()
    }
}

//! The demo's act with the proxy: it stands in front of the lab's registry, and clients pull through it with a real program where one is
//! here.

mod client;

use std::process::Stdio;
use std::time::Duration;

use serde_json::json;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::Child;
use trustctl_core::digest::Digest;
use trustctl_core::reason::{Code, Reason};
use trustctl_lab::image::Artifact;

use super::{DONE, Story};
use crate::failure::Failure;
use crate::run::lab::failed;
use client::{Client, Pulled};

/// The repository of the act.
const NAME: &str = "shop/api";
/// How long the proxy may take to be there.
const START: Duration = Duration::from_secs(30);
/// Most pulls until a revocation counts, which the proxy is told to notice within a second.
const PULLS: usize = 40;
/// The pause between them.
const PAUSE: Duration = Duration::from_millis(250);

impl Story<'_> {
    pub(super) async fn tell_proxy(&mut self) -> Result<(), Failure> {
        self.say("A verifying proxy stands between hosts and the registry. Clients know nothing of signatures, and get what the policy trusts.");
        self.write_proxy()?;
        let (mut running, address) = self.start_proxy().await?;
        let client = Client::here(self).await;
        let first = self.api("1.0", "the first api")?;
        self.pull("nobody has signed the image: it does not arrive", (&client, &address, "1.0"), Err(Code::CosignUnsigned))
            .await?;
        self.sign_api(&first, "1.0").await?;
        self.pull("signed, it arrives, byte for byte", (&client, &address, "1.0"), Ok(first)).await?;

        let second = self.api("2.0", "the second api")?;
        self.sign_api(&second, "2.0").await?;
        self.say("An attacker points the tag of the second image to the first one, whose signature is valid: for another tag.");
        self.world.registry().point_tag(NAME, "2.0", first);
        self.pull("a tag that was moved is refused", (&client, &address, "2.0"), Err(Code::CosignTagMismatch)).await?;
        self.world.registry().point_tag(NAME, "2.0", second);

        let image = format!("{}@{first}", self.world.name(NAME));
        let words =
            ["revoke", &image, "--key", "release", "--reason", "compromised", "--message", "the first api leaks", "--yes"];
        self.run("the first image is withdrawn", &words, &DONE).await?;
        self.pull("within a second nobody gets it any more", (&client, &address, "1.0"), Err(Code::CosignRevoked)).await?;
        self.pull("the other one still arrives", (&client, &address, "2.0"), Ok(second)).await?;
        // Nothing of it is needed any more.
        let _ = running.kill().await;
        Ok(())
    }

    fn api(&self, tag: &str, text: &str) -> Result<Digest, Failure> {
        self.world.push(&format!("{NAME}:{tag}"), &Artifact::image(text)).map_err(failed)
    }

    async fn sign_api(&mut self, digest: &Digest, tag: &str) -> Result<(), Failure> {
        let image = format!("{}@{digest}", self.world.name(NAME));
        self.run("sign it, with its tag", &["sign", &image, "--tag", tag, "--key", "release"], &DONE).await?;
        Ok(())
    }

    fn write_proxy(&self) -> Result<(), Failure> {
        let host = self.world.registry().host();
        let key = self.path("data").join("trustctl/keys/release.pub");
        let policy = format!(
            "version = 1\n\n[signers.release]\nscheme = \"cosign\"\nkey = \"{}\"\n\n[[rules]]\nname = \"shop\"\nimages = [\"{host}/shop/**\"]\n\
             require = {{ any = [\"release\"] }}\nsigned-repository = \"required\"\nsigned-tag = \"same\"\n",
            key.display()
        );
        let config = format!(
            "version = 1\npolicy = \"proxy-policy.toml\"\nstate = \"proxy-state\"\n\n[[listen]]\naddress = \"127.0.0.1:0\"\n\n[times]\n\
             tag-ttl = \"0s\"\nrevocation = \"1s\"\nrefusal = \"0s\"\n\n[[upstreams]]\nregistry = \"{host}\"\ndefault = true\n"
        );
        for (name, text) in [("proxy-policy.toml", policy), ("proxy.toml", config)] {
            let path = self.path(name);
            std::fs::write(&path, text).map_err(|error| Failure::file(&path, &error))?;
        }
        Ok(())
    }

    /// The proxy, and where it listens. It ends when it is dropped.
    async fn start_proxy(&mut self) -> Result<(Child, String), Failure> {
        let (what, config, log) = ("the proxy is started", self.path("proxy.toml"), self.path("proxy.log"));
        let shown = config.display().to_string();
        let words = ["proxy", "run", "--config", &shown];
        let file = std::fs::File::create(&log).map_err(|error| Failure::file(&log, &error))?;
        let started = self.command(&words).stdout(Stdio::piped()).stderr(file).spawn();
        let mut running = started.map_err(|error| Failure::file(&self.program, &error))?;
        let mut lines = running.stdout.take().map(BufReader::new).map(BufReader::lines);
        let first = async {
            match &mut lines {
                Some(lines) => lines.next_line().await.ok().flatten(),
                None => None,
            }
        };
        let first = tokio::time::timeout(START, first).await.ok().flatten();
        let Some(address) = first.as_deref().and_then(|line| line.strip_prefix("serving on ")).map(str::to_owned) else {
            let said = std::fs::read_to_string(&log).unwrap_or_default();
            return Err(Failure::new(Reason::new(Code::PolicyCaseFailed, format!("step \"{what}\": it does not serve: {said}"))));
        };
        let command: Vec<String> = std::iter::once("trustctl").chain(words).map(str::to_owned).collect();
        self.steps.push(json!({ "step": what, "command": command, "exit": 0, "reasons": [] }));
        if !self.session.ui.json() {
            self.show(what, &command, first.unwrap_or_default().as_bytes());
        }
        Ok((running, address))
    }

    /// Pulls an image through the proxy, and checks that it arrives with a digest or is refused for a reason.
    async fn pull(
        &mut self,
        what: &str,
        (client, address, tag): (&Client, &str, &str),
        expected: Result<Digest, Code>,
    ) -> Result<(), Failure> {
        let image = format!("{address}/{NAME}:{tag}");
        let mut pulled = client.pull(self, &image).await?;
        // What was trusted a moment ago is served until the proxy looks again, which may be in the middle of a pull.
        for _ in 0..PULLS {
            let is_told = pulled.arrived.is_none() && pulled.said.contains(&Code::CosignRevoked.id());
            if is_told || expected != Err(Code::CosignRevoked) {
                break;
            }
            tokio::time::sleep(PAUSE).await;
            pulled = client.pull(self, &image).await?;
        }
        let Pulled { arrived, said, command } = pulled;
        let is_right = match (expected, arrived) {
            (Ok(expected), Some(digest)) => digest == expected,
            (Err(code), None) => said.contains(&code.id()),
            _ => false,
        };
        if !is_right {
            let words = format!("step \"{what}\": expected {expected:?}, found {arrived:?}: {said}");
            return Err(Failure::new(Reason::new(Code::PolicyCaseFailed, words)));
        }
        let reasons: Vec<String> = expected.err().map(Code::id).into_iter().collect();
        self.steps.push(json!({ "step": what, "command": command, "exit": i32::from(arrived.is_none()), "reasons": reasons }));
        if !self.session.ui.json() {
            let words = arrived.map_or(said, |digest| format!("arrived: {digest}"));
            self.show(what, &command, words.as_bytes());
        }
        Ok(())
    }
}

//! `trustctl demo`: an image is refused, signed, accepted, attacked and revoked, on loopback, with the commands a user would type.
//!
//! Each step runs this program again as a process of its own, and is checked by the verdict, the reason code and the exit code that it
//! reports as JSON; what is printed is the text of the same command.

mod keyless;
mod proxy;

use std::path::PathBuf;

use serde_json::{Value, json};
use tokio::process::Command;
use trustctl_core::digest::Digest;
use trustctl_core::reason::{Code, Reason};
use trustctl_lab::image::Artifact;
use trustctl_lab::world::{World, WorldOptions};

use super::Session;
use super::lab::{Stop, failed, push_images};
use crate::cli::DemoArgs;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::render::quoted;
use crate::ui::Paint;

/// The repository of the story.
const NAME: &str = "shop/cart";
/// The passphrase of every key of the story; the keys die with the lab.
const PASSPHRASE: &str = "only for the demo";

/// Tells the story; fails at the first step that does not come out as it should.
///
/// # Errors
/// A [`Failure`] naming the step.
pub(super) async fn run(session: &Session, args: &DemoArgs) -> Result<Exit, Failure> {
    let world = World::start(WorldOptions::default()).map_err(failed)?;
    let mut story = Story::new(session, &world)?;
    story.tell().await?;
    if session.ui.json() {
        session.ui.say(json!({ "schema": "trustctl/demo/v1", "exit": 0, "steps": story.steps }).to_string());
    } else {
        session.ui.say(session.ui.paint(Paint::Green, &format!("all {} steps came out as they should", story.steps.len())));
    }
    if args.keep {
        drop(story);
        drop(world);
        keep(session).await?;
    }
    Ok(Exit::Done)
}

/// Leaves a new lab running, with the images of the quickstart and nothing signed, until the user stops it.
async fn keep(session: &Session) -> Result<(), Failure> {
    let mut stop = Stop::listen()?;
    let world = World::start(WorldOptions::default()).map_err(failed)?;
    push_images(&world)?;
    let data = world.folder().join("data");
    let (image, tell) = (world.name("shop/cart:1.4"), |line: &str| session.ui.tell(line));
    tell("\n# Now it is your turn: a new lab, in which nobody has signed anything. In another terminal:");
    tell(world.describe().trim_end());
    tell(&format!("export XDG_DATA_HOME='{}' COSIGN_PASSWORD='{PASSPHRASE}'", data.display()));
    tell(&format!(
        "export DOCKER_CONTENT_TRUST_ROOT_PASSPHRASE='{PASSPHRASE}' DOCKER_CONTENT_TRUST_REPOSITORY_PASSPHRASE='{PASSPHRASE}'"
    ));
    tell("trustctl key generate release");
    tell(&format!("trustctl verify {image} --key release          # unsigned: exit 3"));
    tell(&format!("trustctl sign {image} --resolve-tag --key release --scheme cosign --scheme dct"));
    tell(&format!("trustctl verify {image} --key release"));
    tell(&format!("trustctl inspect {image} --key release"));
    tell(&format!("trustctl revoke {image} --resolve-tag --key release --reason mistake --message 'try it' --yes"));
    tell(&format!("trustctl verify {image} --key release          # rejected: exit 1"));
    tell("# Ctrl-C stops the lab and forgets everything.");
    stop.asked().await;
    Ok(())
}

struct Story<'a> {
    session: &'a Session,
    world: &'a World,
    program: PathBuf,
    steps: Vec<Value>,
}

/// What a step must come to.
struct Expected {
    exit: Exit,
    /// The reason that must be among those given.
    code: Option<Code>,
}

const TRUSTED: Expected = Expected { exit: Exit::Done, code: None };
const DONE: Expected = Expected { exit: Exit::Done, code: None };

fn refused(exit: Exit, code: Code) -> Expected {
    Expected { exit, code: Some(code) }
}

impl<'a> Story<'a> {
    fn new(session: &'a Session, world: &'a World) -> Result<Self, Failure> {
        let program = std::env::current_exe().map_err(|error| Failure::new(Reason::new(Code::LocalFile, error.to_string())))?;
        Ok(Self { session, world, program, steps: Vec::new() })
    }

    async fn tell(&mut self) -> Result<(), Failure> {
        let registry = self.world.registry();
        self.say(trustctl_lab::world::NOTICE);
        let key = "release";
        self.run("make a signing key", &["key", "generate", key], &DONE).await?;

        let first = self.push("1.4", "the first build")?;
        self.run(
            "nobody has signed the image",
            &["verify", &self.image(":1.4"), "--key", key],
            &refused(Exit::Unsigned, Code::CosignUnsigned),
        )
        .await?;

        let signed = self.sign(&first, key).await?;
        self.write_policy(key, &signed)?;
        let policy = self.path("policy.toml").display().to_string();
        let by_policy = ["verify", &self.image(":1.4"), "--policy", &policy];
        self.run("signed with both schemes, the image is accepted", &by_policy, &TRUSTED).await?;

        let second = self.push("1.4", "the second build, without the hole")?;
        self.sign(&second, key).await?;
        self.run("a new build is signed under the same tag", &by_policy, &TRUSTED).await?;

        self.say("An attacker with push rights points the tag back to the first build. Its signature is valid.");
        registry.point_tag(NAME, "1.4", first);
        let by_key = ["verify", &self.image(":1.4"), "--key", key];
        self.run("a signature alone does not notice", &by_key, &TRUSTED).await?;
        self.run("Docker Content Trust does: the tag has moved", &by_policy, &refused(Exit::Rejected, Code::DctTagMoved)).await?;

        self.say("The attacker serves altered bytes under the signed digest.");
        registry.point_tag(NAME, "1.4", second);
        let genuine = registry.snapshot();
        registry.overwrite_manifest(NAME, &second, altered(registry, &second)?).map_err(failed)?;
        let by_digest = ["verify", &self.image(&format!("@{second}")), "--policy", &policy];
        self.run("altered bytes are noticed", &by_digest, &refused(Exit::Rejected, Code::WrongDigest)).await?;
        registry.restore(&genuine);
        self.run("the genuine image is still accepted", &by_policy, &TRUSTED).await?;

        let image = self.image(&format!("@{second}"));
        let words = "the build machine was broken into";
        let revoke = ["revoke", &image, "--key", key, "--reason", "compromised", "--message", words, "--yes"];
        let before = registry.snapshot();
        self.run("the image is withdrawn", &revoke, &DONE).await?;
        self.run("it is refused from now on", &by_policy, &refused(Exit::Rejected, Code::CosignRevoked)).await?;
        self.say("The attacker restores the registry as it was: all signatures are back, the revocation is gone.");
        registry.restore(&before);
        self.run("what was seen is remembered", &by_policy, &refused(Exit::Rejected, Code::CosignRevoked)).await?;

        let tag = self.image(":1.4");
        let revoke = ["revoke", &tag, "--scheme", "dct", "--reason", "compromised", "--message", words, "--yes"];
        self.run("the tag is withdrawn from every role that signs it", &revoke, &DONE).await?;
        let root = signed.root.as_str();
        self.run(
            "and is not signed any more",
            &["verify", &tag, "--dct-root", root],
            &refused(Exit::Unsigned, Code::DctTagNotSigned),
        )
        .await?;
        self.tell_keyless().await?;
        self.tell_proxy().await
    }

    fn push(&self, tag: &str, text: &str) -> Result<Digest, Failure> {
        self.world.push(&format!("{NAME}:{tag}"), &Artifact::multi_platform(text)).map_err(failed)
    }

    async fn sign(&mut self, digest: &Digest, key: &str) -> Result<Signed, Failure> {
        let image = self.image(&format!("@{digest}"));
        let words = ["sign", &image, "--tag", "1.4", "--scheme", "cosign", "--scheme", "dct", "--key", key, "--storage", "both"];
        let report = self.run("sign it with Cosign and Docker Content Trust", &words, &DONE).await?;
        let root = report.pointer("/results/1/rootKeyIds/0").and_then(Value::as_str);
        let root = root.ok_or_else(|| Failure::new(Reason::new(Code::DctMalformed, "signing named no root key")))?;
        Ok(Signed { root: root.to_owned() })
    }

    /// A policy that asks for both signatures.
    fn write_policy(&self, key: &str, signed: &Signed) -> Result<(), Failure> {
        let public = self.path("data").join("trustctl/keys").join(format!("{key}.pub"));
        let text = format!(
            "version = 1\n\n[signers.release]\nscheme = \"cosign\"\nkey = \"{}\"\n\n[signers.notary]\nscheme = \"dct\"\nroots = [\"{}\"]\n\n\
             [[rules]]\nname = \"shop\"\nimages = [\"{}/shop/**\"]\nrequire = {{ all = [\"release\", \"notary\"] }}\n",
            public.display(),
            signed.root,
            self.world.registry().host()
        );
        let path = self.path("policy.toml");
        std::fs::write(&path, text).map_err(|error| Failure::file(&path, &error))
    }

    /// Runs this program, checks how it came out, and shows it. The JSON it reported.
    async fn run(&mut self, what: &str, words: &[&str], expected: &Expected) -> Result<Value, Failure> {
        let shown: Vec<String> = std::iter::once("trustctl").chain(words.iter().copied()).map(str::to_owned).collect();
        let done = self.command(words).args(["--output", "json"]).output().await;
        let done = done.map_err(|error| Failure::file(&self.program, &error))?;
        let report: Value = serde_json::from_slice(&done.stdout).unwrap_or_default();
        let failed = |why: String| {
            let words = format!("step \"{what}\" ({}): {why}: {}", quoted(&shown), String::from_utf8_lossy(&done.stderr));
            Failure::new(Reason::new(Code::PolicyCaseFailed, words))
        };
        let exit = done.status.code().unwrap_or(-1);
        if exit != i32::from(expected.exit.code()) || report.get("exit").and_then(Value::as_i64) != Some(i64::from(exit)) {
            return Err(failed(format!("exit code {exit}, expected {}", expected.exit.code())));
        }
        let codes = codes(&report);
        if let Some(code) = expected.code.filter(|code| !codes.contains(&code.id())) {
            return Err(failed(format!("reasons {codes:?}, expected {code}")));
        }
        self.steps.push(json!({ "step": what, "command": shown, "exit": exit, "reasons": codes }));
        if !self.session.ui.json() {
            // Verifying changes nothing, so it can be run again for people to read.
            let told = match words.first() {
                Some(&"verify") => {
                    self.command(words).output().await.map(|done| [done.stdout, done.stderr].concat()).unwrap_or_default()
                }
                _ => done.stderr,
            };
            self.show(what, &shown, &told);
        }
        Ok(report)
    }

    fn show(&self, what: &str, shown: &[String], told: &[u8]) {
        let ui = &self.session.ui;
        ui.say(format!("\n{} {what}", ui.paint(Paint::Cyan, &format!("[{}]", self.steps.len()))));
        ui.say(format!("  $ {}", quoted(shown)));
        let told = String::from_utf8_lossy(told);
        for line in told.lines() {
            ui.say(format!("    {line}"));
        }
        if told.is_empty() {
            ui.say(format!("    {}", ui.paint(Paint::Green, "ok")));
        }
    }

    fn say(&self, words: &str) {
        if !self.session.ui.json() {
            self.session.ui.say(format!("\n{words}"));
        }
    }

    fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        command.args(words).arg("--no-input").kill_on_drop(true).env_clear().envs(self.world.environment());
        command.env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command.env("HOME", self.path("home")).env("XDG_DATA_HOME", self.path("data"));
        for variable in ["COSIGN_PASSWORD", "DOCKER_CONTENT_TRUST_ROOT_PASSPHRASE", "DOCKER_CONTENT_TRUST_REPOSITORY_PASSPHRASE"]
        {
            command.env(variable, PASSPHRASE);
        }
        command
    }

    fn image(&self, rest: &str) -> String {
        format!("{}{rest}", self.world.name(NAME))
    }

    fn path(&self, name: &str) -> PathBuf {
        self.world.folder().join(name)
    }
}

struct Signed {
    root: String,
}

/// Every reason code that a report of `verify`, or of a failed run, gives.
fn codes(report: &Value) -> Vec<String> {
    let of_results = report.pointer("/results/0/reasons").and_then(Value::as_array).into_iter().flatten();
    let of_run = report.get("error").into_iter();
    of_results.chain(of_run).filter_map(|reason| reason.get("code")?.as_str().map(str::to_owned)).collect()
}

/// The manifest with one byte changed so that it is JSON still.
fn altered(registry: &trustctl_lab::registry::LabRegistry, digest: &Digest) -> Result<bytes::Bytes, Failure> {
    let found = registry.manifest(NAME, &digest.to_string());
    let (_, manifest) = found.ok_or_else(|| Failure::new(Reason::new(Code::ImageNotFound, "the lab lost the image")))?;
    let mut bytes = manifest.bytes.to_vec();
    bytes.push(b'\n');
    Ok(bytes.into())
}

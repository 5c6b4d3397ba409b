//! The benchmark of `tests/bench/sign.sh`: many images signed by an identity in one call of `trustctl`, and by cosign in a loop, against the
//! lab's Sigstore and registry: wall time, requests, certificates and log entries. The number of images is the argument.

use std::process::Command;
use std::time::{Duration, Instant};

use trustctl_lab::error::LabError;
use trustctl_lab::image::Artifact;
use trustctl_lab::sigstore::{Claims, LogVersion};
use trustctl_lab::world::{World, WorldOptions};
use trustctl_tests::failure::Failure;
use trustctl_tests::peers::Peer;
use trustctl_tests::process::run;
use trustctl_tests::program::program;

const LIMIT: Duration = Duration::from_secs(600);

fn main() -> Result<(), Failure> {
    let count: usize = std::env::args().nth(1).and_then(|text| text.parse().ok()).unwrap_or(100);
    let cosign = Peer::Cosign3.find().map_err(|missing| Failure::Output(missing.to_string()))?;
    println!("{count} images, cosign {}\n", cosign.version());
    println!("| | wall s | requests | certificates | log entries |\n|---|---|---|---|---|");
    let ours = |images: &[String], flags: &[String]| {
        let mut command = Command::new(program());
        command.arg("sign").args(images).args(flags).args(["--quiet", "--no-input"]);
        vec![command]
    };
    measure("trustctl, one call", count, ours)?;
    let path = cosign.path().to_owned();
    let theirs = |images: &[String], flags: &[String]| {
        let sign = |image: &String| {
            let mut command = Command::new(&path);
            command.arg("sign").args(flags).args(["--allow-http-registry", "-y"]).arg(image);
            command
        };
        images.iter().map(sign).collect()
    };
    measure("cosign, a loop", count, theirs)
}

fn measure(what: &str, count: usize, commands: impl Fn(&[String], &[String]) -> Vec<Command>) -> Result<(), Failure> {
    let lab = |error: LabError| Failure::Output(error.to_string());
    let world = World::start(WorldOptions::default()).map_err(lab)?;
    let mut images = Vec::new();
    for number in 0..count {
        let name = format!("bench/image-{number}");
        let digest = world.push(&format!("{name}:1"), &Artifact::image(&name)).map_err(lab)?;
        images.push(format!("{}@{digest}", world.name(&name)));
    }
    let token = world.write_token(&Claims::email("bench@example.test").lives(3600)).map_err(lab)?;
    let file = |name: &str| world.sigstore_folder().join(name).display().to_string();
    let (config, root) = (file("signing_config_rekor_v2.json"), file("trusted_root.json"));
    let flags = ["--signing-config", &config, "--trusted-root", &root, "--identity-token"].map(str::to_owned);
    let flags = [&flags[..], &[token.display().to_string()]].concat();
    let home = tempfile::tempdir().map_err(|source| Failure::Io { what: "a temporary folder".to_owned(), source })?;
    let sigstore = world.sigstore();
    let services = [sigstore.issuer(), sigstore.fulcio(), sigstore.rekor(), sigstore.tiles(), sigstore.timestamps()];
    world.registry().requests().clear();
    let started = Instant::now();
    for mut command in commands(&images, &flags) {
        command.env("HOME", home.path()).envs(world.environment());
        run(&mut command, LIMIT)?.ok()?;
    }
    let wall = started.elapsed();
    let requests = services.iter().map(|service| service.requests().count()).sum::<usize>() + world.registry().requests().count();
    let certificates = sigstore.fulcio().requests().all().iter().filter(|request| request.method == "POST").count();
    let entries = sigstore.entries(LogVersion::V2).len();
    println!("| {what} | {:.1} | {requests} | {certificates} | {entries} |", wall.as_secs_f64());
    Ok(())
}

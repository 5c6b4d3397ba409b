//! The benchmark of `tests/bench/verify.sh`: real registries, cosign and notary beside `trustctl`, measured by hyperfine and GNU time.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde_json::Value;
use trustctl_tests::failure::Failure;
use trustctl_tests::image::{Image, Repository};
use trustctl_tests::latency::Latency;
use trustctl_tests::notary::{self, NotaryClient, NotaryServer};
use trustctl_tests::peers::{Peer, Program};
use trustctl_tests::process::run;
use trustctl_tests::program::program;
use trustctl_tests::registry::{DebianRegistry, FerroRegistry, Options};

const LIMIT: Duration = Duration::from_secs(300);
const HALF_OF_50_MS: Duration = Duration::from_millis(25);

/// One line of the table: the same work by this program and by a peer.
struct Contest<'a> {
    what: &'a str,
    ours: String,
    theirs: String,
}

struct Measured {
    milliseconds: f64,
    kibibytes: f64,
}

fn main() -> Result<(), Failure> {
    let home = tempfile::tempdir().map_err(|source| Failure::Io { what: "a temporary folder".to_owned(), source })?;
    let bench = Bench { home: home.path().to_owned(), hyperfine: find(Peer::Hyperfine)? };
    let (cosign, notary) = (find(Peer::Cosign3)?, find(Peer::Notary)?);
    bench.prepare_keys(&cosign)?;
    println!(
        "cosign {}, notary {}, {} CPUs\n",
        cosign.version(),
        notary.version(),
        std::thread::available_parallelism().map_or(1, usize::from)
    );
    println!("| what | trustctl ms | peer ms | faster | trustctl MiB | peer MiB | memory |\n|---|---|---|---|---|---|---|");
    let version = Contest {
        what: "start-up (version)",
        ours: format!("{} --version", program().display()),
        theirs: format!("{} version", cosign.path().display()),
    };
    bench.compete(&version)?;
    bench.cosign_contests(&cosign)?;
    bench.notary_contests(&notary)?;
    let size = |path: &Path| std::fs::metadata(path).map_or(0, |metadata| metadata.len()) / 1024;
    println!("\nsize of the stripped binary: trustctl {} KiB, cosign {} KiB", size(program()), size(cosign.path()));
    Ok(())
}

fn find(peer: Peer) -> Result<Program, Failure> {
    peer.find().map_err(|missing| Failure::Output(format!("{peer:?}: {missing}")))
}

struct Bench {
    home: PathBuf,
    hyperfine: Program,
}

impl Bench {
    fn command(&self, words: &str) -> Command {
        let mut parts = words.split(' ');
        let mut command = Command::new(parts.next().unwrap_or_default());
        command.args(parts).current_dir(&self.home).env("HOME", &self.home).env("COSIGN_PASSWORD", "bench");
        command
    }

    fn prepare_keys(&self, cosign: &Program) -> Result<(), Failure> {
        run(&mut self.command(&format!("{} generate-key-pair", cosign.path().display())), LIMIT)?.ok()?;
        let no_services = "{\"mediaType\":\"application/vnd.dev.sigstore.signingconfig.v0.2+json\"}";
        let path = self.home.join("signing.json");
        std::fs::write(&path, no_services).map_err(|source| Failure::Io { what: path.display().to_string(), source })
    }

    fn cosign_contests(&self, cosign: &Program) -> Result<(), Failure> {
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
            run(&mut self.command(&format!("{cosign} sign -y --key cosign.key --allow-http-registry {flags} {image}")), LIMIT)?
                .ok()?;
            let slow = Latency::start(port, HALF_OF_50_MS)?;
            for (network, host) in [("loopback", address.clone()), ("50 ms round trip", slow.address())] {
                let image = format!("{host}/bench/app:1");
                // Behind the slow port it is another registry by name, and a legacy signature names the one it was made for.
                let policy = format!(
                    "version = 1\n[signers.key]\nscheme = \"cosign\"\nkey = \"cosign.pub\"\n[[rules]]\nname = \"bench\"\nimages = [\"**\"]\n\
                     require = {{ any = [\"key\"] }}\nsigned-repository = {{ remap = {{ \"{host}\" = \"{address}\" }} }}\n"
                );
                let path = self.home.join("policy.toml");
                std::fs::write(&path, policy).map_err(|source| Failure::Io { what: path.display().to_string(), source })?;
                self.compete(&Contest {
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

    fn notary_contests(&self, notary: &Program) -> Result<(), Failure> {
        let server = NotaryServer::start(&find(Peer::NotaryServer)?, &notary::Options::default())?;
        let registry = DebianRegistry::start(&find(Peer::DockerRegistry)?, &Options::default())?;
        let repository = Repository::new(registry.address(), "bench/app");
        let image = Image::tiny("dct");
        let digest = image.push(&repository, "1")?;
        let gun = format!("{}/bench/app", registry.address());
        let client = NotaryClient::new(notary, &server)?;
        run(&mut client.command(&["init", "-p", &gun]), LIMIT)?.ok()?;
        let hex = digest.trim_start_matches("sha256:");
        let length = image.manifest.bytes.len().to_string();
        run(&mut client.command(&["addhash", "-p", &gun, "1", &length, "--sha256", hex]), LIMIT)?.ok()?;
        let trust =
            format!("-d {} -s {} --tlscacert {}", client.trust_directory().display(), server.url(), server.authority().display());
        let tls = self.home.join(".docker/tls").join(server.address());
        let copied = std::fs::create_dir_all(&tls).and_then(|()| std::fs::copy(server.authority(), tls.join("ca.crt")));
        copied.map_err(|source| Failure::Io { what: tls.display().to_string(), source })?;
        self.compete(&Contest {
            what: "DCT tag, loopback, warm (beside notary lookup)",
            ours: format!("{} verify {gun}:1 --danger-trust-on-first-use --dct-server {}", program().display(), server.url()),
            theirs: format!("{} {trust} lookup {gun} 1", notary.path().display()),
        })
    }

    fn compete(&self, contest: &Contest<'_>) -> Result<(), Failure> {
        let (ours, theirs) = (self.measure(&contest.ours)?, self.measure(&contest.theirs)?);
        let mut line = String::new();
        let _ = write!(
            line,
            "| {} | {:.1} | {:.1} | {:.1}x | {:.1} | {:.1} | 1/{:.1} |",
            contest.what,
            ours.milliseconds,
            theirs.milliseconds,
            theirs.milliseconds / ours.milliseconds,
            ours.kibibytes / 1024.0,
            theirs.kibibytes / 1024.0,
            theirs.kibibytes / ours.kibibytes
        );
        println!("{line}");
        Ok(())
    }

    /// Median wall time over hyperfine's runs, and the peak resident set of one run.
    fn measure(&self, words: &str) -> Result<Measured, Failure> {
        let json = self.home.join("hyperfine.json");
        let mut hyperfine = self.command(&self.hyperfine.path().display().to_string());
        hyperfine.args(["-N", "--warmup", "3", "--min-runs", "20", "--export-json"]).arg(&json).arg(words);
        run(&mut hyperfine, LIMIT)?.ok()?;
        let text = std::fs::read_to_string(&json).map_err(|source| Failure::Io { what: json.display().to_string(), source })?;
        let report: Value = serde_json::from_str(&text).map_err(|error| Failure::Output(error.to_string()))?;
        let median = report.pointer("/results/0/median").and_then(Value::as_f64).unwrap_or(f64::NAN);
        let timed = run(&mut self.command(&format!("/usr/bin/time -f %M {words}")), LIMIT)?.ok()?;
        let kibibytes = timed.stderr.lines().last().and_then(|line| line.trim().parse().ok()).unwrap_or(f64::NAN);
        Ok(Measured { milliseconds: median * 1000.0, kibibytes })
    }
}

//! `trustctl policy`, and loading the policy that other commands judge by.

use std::io::Write as _;
use std::path::Path;

use serde_json::json;
use trustctl_core::policy::{self, Policy, PolicyText};
use trustctl_core::reason::{Code, Reason, Step};
use trustctl_core::reference::Reference;
use trustctl_core::report::ReasonReport;
use trustctl_core::time::Timestamp;

use super::{Session, clock, policy_cases, sigstore};
use crate::cli::PolicyCommand;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::render;
use crate::ui::Paint;

/// Largest policy or anchor file that is read, in bytes.
const MAX_FILE: u64 = 4 * 1024 * 1024;

/// Carries out a `policy` command.
///
/// # Errors
/// A [`Failure`], by what is wrong.
pub(super) fn run(session: &Session, command: &PolicyCommand) -> Result<Exit, Failure> {
    match command {
        PolicyCommand::Init { file, key, dct_root, images } => {
            let start = Start { key: key.as_deref(), dct_root: dct_root.as_deref(), images: images.as_deref() };
            init(session, file.as_deref(), &start)
        }
        PolicyCommand::Check { file } => check(session, file.as_deref()),
        PolicyCommand::Explain { image, policy, at } => explain(session, image, policy.as_deref(), at.as_deref()),
        PolicyCommand::Test { dir, policy } => policy_cases::run(session, dir, policy.as_deref()),
    }
}

/// The policy at `path`, else the one in force on this machine.
///
/// # Errors
/// [`Code::PolicyUnusable`] or [`Code::AnchorUnusable`] with the line; [`Code::UsageAnchor`] when there is no policy.
pub(super) fn load(session: &Session, path: Option<&Path>) -> Result<Policy, Failure> {
    let found = path.map(Path::to_owned).or_else(|| session.environment.default_policy());
    let Some(path) = found else {
        return Err(Failure::new(Reason::new(Code::UsageAnchor, "no policy was given, and there is none on this machine")));
    };
    load_with(session, &path, &read_limited)
}

/// As [`load`], of the policy at `path`, which and whose keys are read by `read`.
///
/// # Errors
/// As for [`load`].
pub(super) fn load_with(
    session: &Session,
    path: &Path,
    read: &dyn Fn(&Path) -> std::io::Result<Vec<u8>>,
) -> Result<Policy, Failure> {
    let text = read(path).map_err(|error| Failure::file(path, &error))?;
    let name = path.display().to_string();
    let text = String::from_utf8(text)
        .map_err(|_| Failure::new(Reason::new(Code::PolicyUnusable, format!("{name} is not UTF-8 text"))))?;
    let folder = path.parent().map(Path::to_owned).unwrap_or_default();
    let load = |named: &str| read(&folder.join(named)).map_err(|error| error.to_string());
    let policy = Policy::parse(&PolicyText { name: &name, text: &text, load: &load });
    let policy = policy.map_err(|error| Failure { file: Some(name.clone()), ..Failure::new(error.reason()) })?;
    sigstore::with_trusted_root(session, policy, None)
}

/// The bytes of a file of at most [`MAX_FILE`] bytes.
///
/// # Errors
/// The operating system's, or one that says the file is too large.
pub(super) fn read_limited(path: &Path) -> std::io::Result<Vec<u8>> {
    use std::io::Read as _;
    let mut bytes = Vec::new();
    std::fs::File::open(path)?.take(MAX_FILE + 1).read_to_end(&mut bytes)?;
    if u64::try_from(bytes.len()).unwrap_or(u64::MAX) > MAX_FILE {
        return Err(std::io::Error::other("the file is larger than 4 MiB"));
    }
    Ok(bytes)
}

fn check(session: &Session, file: Option<&Path>) -> Result<Exit, Failure> {
    let now = clock();
    let policy = sigstore::with_fetched(session, load(session, file)?, now)?;
    let ui = &session.ui;
    let ends = sigstore::written_ends(&policy).filter_map(|end| end.remark(now));
    let warnings: Vec<Reason> = warnings(&policy).into_iter().chain(sigstore::lacking(&policy).cloned()).chain(ends).collect();
    if ui.json() {
        let warnings: Vec<ReasonReport> = warnings.iter().map(ReasonReport::new).collect();
        let report = json!({
            "schema": "trustctl/policy-check/v1", "exit": 0, "file": policy.name,
            "signers": policy.signers.len(), "rules": policy.rules.len(), "warnings": warnings,
        });
        ui.say(report.to_string());
        return Ok(Exit::Done);
    }
    ui.say(format!(
        "{}: {} ({}, {}, {} denied, {} allowed)",
        ui.paint(Paint::Green, "usable"),
        policy.name,
        counted(policy.signers.len(), "signer"),
        counted(policy.rules.len(), "rule"),
        policy.deny.len(),
        policy.allow.len()
    ));
    warnings.iter().for_each(|warning| render::warning(ui, warning));
    Ok(Exit::Done)
}

/// What is surely not meant in a policy that can be used.
fn warnings(policy: &Policy) -> Vec<Reason> {
    let default_allows = policy.default == policy::DefaultAction::Allow;
    let allow = default_allows
        .then(|| Reason::new(Code::PolicyDefaultAllow, "default = \"allow\" lets images outside the rules through unchecked"));
    let but = if policy.allow.is_empty() { "every image" } else { "every image but those of the allow entries" };
    let nothing = (policy.rules.is_empty() && !default_allows)
        .then(|| Reason::new(Code::PolicyNoRule, format!("the policy has no rule, so that {but} is rejected")));
    let first_use = policy.signers.iter().filter(|(_, signer)| matches!(signer, policy::SignerRule::Dct { tofu: true, .. }));
    let first_use = first_use.map(|(name, _)| {
        let words = format!("signer \"{name}\" has tofu = true: whoever answers first for a collection is believed");
        Reason::new(Code::DctFirstUse, words)
    });
    allow.into_iter().chain(nothing).chain(first_use).collect()
}

fn counted(count: usize, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

fn explain(session: &Session, image: &str, file: Option<&Path>, at: Option<&str>) -> Result<Exit, Failure> {
    if Path::new(image).extension().is_some_and(|end| end == "toml") && Path::new(image).is_file() {
        let words = format!("{image} is a file, and an image is explained here: what the policy says of it");
        let step = Step::command(
            "name an image, and the file by --policy",
            ["trustctl", "policy", "explain", "IMAGE", "--policy", image],
        );
        return Err(Failure::usage(Code::BadReference, words).step(step));
    }
    let policy = load(session, file)?;
    let reference: Reference = super::parse_image(image)?;
    let now: Timestamp = session.now(at)?;
    let lines = policy::explain(&policy, &reference.repository, reference.digest.as_ref(), now)?;
    if session.ui.json() {
        let report = json!({ "schema": "trustctl/policy-explain/v1", "exit": 0, "image": reference.to_string(), "says": lines });
        session.ui.say(report.to_string());
    } else {
        session.ui.say(reference.repository.to_string());
        for line in lines {
            session.ui.say(format!("  {line}"));
        }
    }
    Ok(Exit::Done)
}

struct Start<'a> {
    key: Option<&'a str>,
    dct_root: Option<&'a str>,
    images: Option<&'a str>,
}

fn init(session: &Session, file: Option<&Path>, start: &Start<'_>) -> Result<Exit, Failure> {
    let ui = &session.ui;
    let text = template(session, start)?;
    let Some(path) = file.filter(|path| *path != Path::new("-")) else {
        let report = json!({ "schema": "trustctl/policy-init/v1", "exit": 0, "file": null, "text": text });
        ui.say(if ui.json() { report.to_string() } else { text.trim_end().to_owned() });
        return Ok(Exit::Done);
    };
    let written = std::fs::OpenOptions::new().write(true).create_new(true).open(path).and_then(|mut file| {
        file.write_all(text.as_bytes())?;
        file.sync_all()
    });
    written.map_err(|error| match error.kind() {
        std::io::ErrorKind::AlreadyExists => {
            let words = format!("{} exists; nothing was overwritten", path.display());
            Failure::new(Reason::new(Code::LocalFile, words)).step(Step::words("choose another name"))
        }
        _ => Failure::file(path, &error),
    })?;
    if ui.json() {
        ui.say(json!({ "schema": "trustctl/policy-init/v1", "exit": 0, "file": path.display().to_string() }).to_string());
    } else {
        ui.say(format!("wrote {}", path.display()));
        let check = ["trustctl", "policy", "check", &path.display().to_string()].map(str::to_owned);
        ui.note(format!("next: edit it, then run  {}", render::quoted(&check)));
    }
    Ok(Exit::Done)
}

/// A policy that is usable as it stands when a signer was named, and a commented one otherwise.
fn template(session: &Session, start: &Start<'_>) -> Result<String, Failure> {
    let mut signers: Vec<String> = Vec::new();
    let mut text = String::from(HEAD);
    if let Some(named) = start.key {
        let (key, name) = (session.public_key(named)?, signer_name(named));
        text.push_str(&format!("\n[signers.{name}]\nscheme = \"cosign\"\nkey = '''\n{}'''\n", key.to_pem()));
        signers.push(name);
    }
    if let Some(root) = start.dct_root {
        super::trust::check_root(root)?;
        text.push_str(&format!("\n[signers.notary]\nscheme = \"dct\"\nroots = [\"{root}\"]\n"));
        signers.push(NOTARY.to_owned());
    }
    if signers.is_empty() {
        text.push_str(EXAMPLE);
        return Ok(text);
    }
    let images = toml::Value::from(start.images.unwrap_or("**"));
    let names: Vec<String> = signers.iter().map(|name| format!("\"{name}\"")).collect();
    text.push_str(&format!("\n[[rules]]\nname = \"first\"\nimages = [{images}]\nrequire = {{ any = [{}] }}\n", names.join(", ")));
    let source = PolicyText { name: "the new policy", text: &text, load: &|_| Err("no file is named".to_owned()) };
    // Key and root have been looked at: what is left to be wrong is the pattern.
    Policy::parse(&source).map_err(|error| Failure::bad_value("--images", start.images.unwrap_or_default(), error.message))?;
    Ok(text)
}

/// The name of the signer of Docker Content Trust.
const NOTARY: &str = "notary";

/// The name of the signer that a key's name, file or variable gives, as TOML writes one without quotes.
fn signer_name(key: &str) -> String {
    let stem = match key.strip_prefix("env:") {
        Some(variable) => variable.to_ascii_lowercase(),
        None => Path::new(key).file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default(),
    };
    let safe = |c: char| if c.is_ascii_alphanumeric() || matches!(c, '-' | '_') { c } else { '-' };
    let name: String = stem.chars().take(MAX_NAME).map(safe).collect();
    match name.trim_matches('-') {
        "" => "key".to_owned(),
        NOTARY => format!("{NOTARY}-key"),
        name => name.to_owned(),
    }
}

/// Longest name of a signer that is made from a file's name, in characters.
const MAX_NAME: usize = 60;

const HEAD: &str = "# Which images may run. Read by trustctl; the reference is docs/reference/policy.md.\n\
version = 1\n\
default = \"deny\"        # what no rule covers is rejected\n";

const EXAMPLE: &str = r#"
# Who signs. A Cosign key (a PEM file beside this one, or the PEM text itself):
# [signers.release-key]
# scheme = "cosign"
# key = "cosign.pub"
#
# Docker Content Trust, with the pinned root key id that `docker trust inspect` shows:
# [signers.notary]
# scheme = "dct"
# roots = ["<64 hexadecimal digits>"]
#
# Which images they must sign. The most specific rule decides alone.
# [[rules]]
# name = "shop"
# images = ["registry.example/shop/**"]
# require = { any = ["release-key", "notary"] }
"#;

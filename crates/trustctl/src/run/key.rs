//! `trustctl key`.

mod listing;
mod roots;

use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use listing::view;
use roots::Roots;
use serde_json::{Value, json};
use trustctl_core::public_key::{KeyKind, PublicKey};
use trustctl_core::reason::{Code, Reason};
use trustctl_core::report::ReasonReport;
use trustctl_core::signer::Signer as _;
use trustctl_keys::error::KeyError;
use trustctl_keys::format::{Export, NotaryLabels, SealedKey, read_public_key};
use trustctl_keys::notary_id::canonical_id;
use trustctl_keys::passphrase::{KeyUse, Wanted};
use trustctl_keys::private_key::PrivateKey;
use trustctl_keys::secret::Passphrase;
use trustctl_keys::store::{Place, Places, Store, StoredKey};
use zeroize::Zeroizing;

use super::Session;
use crate::cli::{KeyCommand, KeyFormat, KeyKindArg};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::render;
use crate::ui::Paint;

/// Carries out a `key` command.
///
/// # Errors
/// A [`Failure`] with a 05xx reason, or [`Code::LocalFile`].
pub(super) fn run(session: &Session, command: &KeyCommand) -> Result<Exit, Failure> {
    match command {
        KeyCommand::Generate { name, kind, format, to, keyring, passphrase } => {
            let place = Destination { name, format: *format, folder: to.as_deref(), keyring: *keyring };
            generate(session, &place, *kind, passphrase.as_deref())
        }
        KeyCommand::List { trust_dir } => listing::run(session, trust_dir.as_deref()),
        KeyCommand::Show { key, passphrase } => show(session, key, passphrase.as_deref()),
        KeyCommand::Import { name, file, format, passphrase, new_passphrase } => {
            let place = Destination { name, format: *format, folder: None, keyring: false };
            import(session, &place, file, (passphrase.as_deref(), new_passphrase.as_deref()))
        }
        KeyCommand::Export { key, format, to, role, public, passphrase, new_passphrase } => {
            let job = ExportJob { key, format: *format, to: to.as_deref(), role: role.as_deref(), public: *public };
            export(session, &job, (passphrase.as_deref(), new_passphrase.as_deref()))
        }
        KeyCommand::Delete { key, yes } => delete(session, key, *yes),
    }
}

/// Where a new key goes.
struct Destination<'a> {
    name: &'a str,
    format: KeyFormat,
    folder: Option<&'a Path>,
    keyring: bool,
}

/// A key that was just written, and what is to be said about that.
struct Written {
    stored: StoredKey,
    warnings: Vec<Reason>,
}

struct ExportJob<'a> {
    key: &'a str,
    format: KeyFormat,
    /// The file; without one, or with `-`, standard output.
    to: Option<&'a Path>,
    role: Option<&'a str>,
    public: bool,
}

fn failed(error: KeyError) -> Failure {
    Failure::from(error)
}

fn generate(session: &Session, place: &Destination<'_>, kind: KeyKindArg, passphrase: Option<&str>) -> Result<Exit, Failure> {
    let kind = match kind {
        KeyKindArg::EcdsaP256 => KeyKind::EcdsaP256,
        KeyKindArg::EcdsaP384 => KeyKind::EcdsaP384,
        KeyKindArg::Ed25519 => KeyKind::Ed25519,
    };
    let key = PrivateKey::generate(kind).map_err(failed)?;
    let stored = store(session, place, &key, (NAMED, passphrase))?;
    written(session, "generated", &stored, key.public_key());
    Ok(Exit::Done)
}

fn store(
    session: &Session,
    place: &Destination<'_>,
    key: &PrivateKey,
    source: (&'static str, Option<&str>),
) -> Result<Written, Failure> {
    let keyring = session.keyring();
    let places = session.places(None, &keyring)?;
    if place.keyring {
        let stored = places.add_to_keyring(place.name, key, None).map_err(failed)?;
        return Ok(Written { stored, warnings: Vec::new() });
    }
    let format = format_of(place.format, place.name)?;
    let called = format!("the new key {}", place.name);
    let chosen = choose(session, (&called, use_of(place.format, None)), source)?;
    let store = place.folder.map_or(places.store, Store::at);
    let stored = store.create(place.name, key, &format, Some(&chosen)).map_err(failed)?;
    Ok(Written { stored, warnings: remarks(session, &chosen) })
}

/// What is to be said about a passphrase that a key was just written with. Cosign allows the empty one, so it stays allowed.
fn remarks(session: &Session, chosen: &Passphrase) -> Vec<Reason> {
    if !chosen.is_empty() {
        return Vec::new();
    }
    let words = "the key is stored under an empty passphrase: whoever reads the file can sign";
    let reason = Reason::new(Code::KeyEmptyPassphrase, words);
    render::warning(&session.ui, &reason);
    vec![reason]
}

/// The passphrase for a key that is about to be written, from the source that a flag names.
fn choose(
    session: &Session,
    (called, used): (&str, KeyUse),
    (flag, named): (&'static str, Option<&str>),
) -> Result<Passphrase, Failure> {
    let wanted = Wanted { called, used, ids: &[] };
    let chosen = session.with_passphrases(named, &session.keyring(), |sources| sources.choose(&wanted));
    chosen.map_err(|error| match error {
        KeyError::PassphraseFile { error, .. } => failed(KeyError::PassphraseFile { flag, error }),
        other => failed(other),
    })
}

/// The flag that names where an old passphrase is, and a new one where no other flag does.
const NAMED: &str = "--passphrase";

/// Where the new passphrase is, with the flag that says so.
fn source_of_new<'a>(old: Option<&'a str>, new: Option<&'a str>) -> (&'static str, Option<&'a str>) {
    if new.is_some() { ("--new-passphrase", new) } else { (NAMED, old) }
}

fn format_of(format: KeyFormat, role: &str) -> Result<Export, Failure> {
    Ok(match format {
        KeyFormat::Cosign => Export::Cosign,
        KeyFormat::Notary => Export::Notary(NotaryLabels::new(role, None).map_err(failed)?),
        KeyFormat::Pkcs8 => Export::Pkcs8,
    })
}

fn use_of(format: KeyFormat, role: Option<&str>) -> KeyUse {
    match (format, role) {
        (KeyFormat::Cosign, _) => KeyUse::Cosign,
        (KeyFormat::Notary, Some("root")) => KeyUse::NotaryRoot,
        (KeyFormat::Notary, Some("targets")) => KeyUse::NotaryTargets,
        (KeyFormat::Notary, _) => KeyUse::NotaryDelegation,
        (KeyFormat::Pkcs8, _) => KeyUse::Unknown,
    }
}

fn written(session: &Session, done: &str, Written { stored, warnings }: &Written, public: &PublicKey) {
    let ui = &session.ui;
    if ui.json() {
        let warnings: Vec<ReasonReport> = warnings.iter().map(ReasonReport::new).collect();
        let keys = [view(stored, Some(public), &[])];
        ui.say(json!({ "schema": "trustctl/key/v1", "exit": 0, "keys": keys, "warnings": warnings }).to_string());
        return;
    }
    ui.say(format!("{done} {}: {} {}", ui.paint(Paint::Green, &stored.name), public.kind().name(), public.fingerprint()));
    if let Some(path) = &stored.path {
        ui.note(format!("  file: {}", path.display()));
    }
    ui.note(format!("  notary id: {}", canonical_id(public)));
}

fn show(session: &Session, wanted: &str, passphrase: Option<&str>) -> Result<Exit, Failure> {
    let keyring = session.keyring();
    let places = session.places(None, &keyring)?;
    let stored = match find(&places, wanted) {
        Ok(stored) => stored,
        // A file with just the public half can be shown too.
        Err(error) => {
            let Ok(public) = read_public_key(Path::new(wanted)) else { return Err(failed(error)) };
            session.ui.say(if session.ui.json() { public_view(&public).to_string() } else { describe(&public) });
            return Ok(Exit::Done);
        }
    };
    let roots = Roots::cached(&places);
    let public = match stored.public_key.as_ref().or_else(|| roots.public_key(&stored)) {
        Some(public) => public.clone(),
        None => {
            let opened = session.with_passphrases(passphrase, &keyring, |sources| places.open(&stored, sources));
            opened.map_err(failed)?.public_key().clone()
        }
    };
    let uses = roots.of(&canonical_id(&public));
    if session.ui.json() {
        let keys = [view(&stored, Some(&public), uses)];
        session.ui.say(json!({ "schema": "trustctl/key/v1", "exit": 0, "keys": keys }).to_string());
    } else {
        session.ui.say(describe(&public));
        uses.iter().for_each(|use_as_root| session.ui.say(use_as_root.line()));
    }
    Ok(Exit::Done)
}

/// The key that a text names: as for every command, or by a role that just one key of the trust directories has.
fn find(places: &Places<'_>, wanted: &str) -> Result<StoredKey, KeyError> {
    match places.find(wanted) {
        Err(error @ (KeyError::Misspelt { .. } | KeyError::NotFound { .. })) => places.find_by_role(wanted)?.ok_or(error),
        other => other,
    }
}

fn public_view(public: &PublicKey) -> Value {
    let key = json!({
        "kind": public.kind().name(), "fingerprint": public.fingerprint(), "notaryId": canonical_id(public), "publicKey": public.to_pem(),
    });
    json!({ "schema": "trustctl/key/v1", "exit": 0, "keys": [key] })
}

fn describe(public: &PublicKey) -> String {
    let pem = public.to_pem();
    format!(
        "kind:        {}\nfingerprint: {}\nnotary id:   {}\n{}",
        public.kind().name(),
        public.fingerprint(),
        canonical_id(public),
        pem.trim_end()
    )
}

fn import(
    session: &Session,
    place: &Destination<'_>,
    file: &Path,
    (old, new): (Option<&str>, Option<&str>),
) -> Result<Exit, Failure> {
    let sealed = SealedKey::read(file).map_err(failed)?;
    let called = file.display().to_string();
    let wanted = Wanted { called: &called, used: KeyUse::of(&sealed), ids: &[] };
    let keyring = session.keyring();
    let key = session.with_passphrases(old, &keyring, |sources| sources.open(&sealed, &wanted)).map_err(failed)?;
    let stored = store(session, place, &key, source_of_new(old, new))?;
    written(session, "imported", &stored, key.public_key());
    Ok(Exit::Done)
}

fn export(session: &Session, job: &ExportJob<'_>, (old, new): (Option<&str>, Option<&str>)) -> Result<Exit, Failure> {
    let key = session.private_key(&found_by_all(session, job.key)?, old, None)?;
    let file = job.to.filter(|path| *path != Path::new("-"));
    let (text, mode, warnings) = if job.public {
        (Zeroizing::new(key.public_key().to_pem()), 0o644, Vec::new())
    } else {
        let called = file.map_or_else(|| "the exported key".to_owned(), |file| file.display().to_string());
        let chosen = choose(session, (&called, use_of(job.format, job.role)), source_of_new(old, new))?;
        let text = key.export(&format_of(job.format, job.role.unwrap_or("targets"))?, Some(&chosen)).map_err(failed)?;
        (text, 0o600, remarks(session, &chosen))
    };
    if let Some(file) = file {
        write_new(file, text.as_bytes(), mode)?;
    }
    if session.ui.json() {
        // With a file the key is there and nowhere else.
        let text = if file.is_some() { None } else { Some(text.as_str()) };
        let warnings: Vec<ReasonReport> = warnings.iter().map(ReasonReport::new).collect();
        let report = json!({ "schema": "trustctl/key-export/v1", "exit": 0, "file": file, "text": text, "warnings": warnings });
        session.ui.say(Zeroizing::new(report.to_string()).as_str());
        return Ok(Exit::Done);
    }
    match file {
        Some(file) => session.ui.say(format!("wrote {}", file.display())),
        None => session.ui.say(text.trim_end()),
    }
    Ok(Exit::Done)
}

/// A text by which every command finds the key: those that only the key commands know, as a role, become the path of its file.
fn found_by_all(session: &Session, wanted: &str) -> Result<String, Failure> {
    if wanted.starts_with("env:") {
        return Ok(wanted.to_owned());
    }
    let keyring = session.keyring();
    let stored = find(&session.places(None, &keyring)?, wanted).map_err(failed)?;
    Ok(match (stored.place, stored.path) {
        (Place::Docker | Place::Notary, Some(path)) => path.display().to_string(),
        _ => wanted.to_owned(),
    })
}

/// Writes a file that must not exist, whole or not at all.
fn write_new(path: &Path, bytes: &[u8], mode: u32) -> Result<(), Failure> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let partial = folder.join(format!(".{name}.{}.partial", std::process::id()));
    let result = std::fs::OpenOptions::new().write(true).create_new(true).mode(mode).open(&partial).and_then(|mut file| {
        file.write_all(bytes)?;
        file.sync_all()?;
        std::fs::hard_link(&partial, path)
    });
    drop(std::fs::remove_file(&partial));
    match result {
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
            Err(Failure::new(Reason::new(Code::KeyExists, format!("{} exists; nothing was overwritten", path.display()))))
        }
        other => other.map_err(|error| Failure::file(path, &error)),
    }
}

fn delete(session: &Session, wanted: &str, yes: bool) -> Result<Exit, Failure> {
    let keyring = session.keyring();
    let places = session.places(None, &keyring)?;
    let stored = find(&places, wanted).map_err(failed)?;
    if !yes && !session.ui.confirm(&format!("Delete {} for good?", stored.called()), "--yes")? {
        session.ui.note("nothing was deleted");
        if session.ui.json() {
            session.ui.say(json!({ "schema": "trustctl/key/v1", "exit": Exit::Interrupted.code(), "deleted": null }).to_string());
        }
        return Ok(Exit::Interrupted);
    }
    places.delete(&stored).map_err(failed)?;
    if session.ui.json() {
        session.ui.say(json!({ "schema": "trustctl/key/v1", "exit": 0, "deleted": stored.name }).to_string());
    } else {
        session.ui.say(format!("deleted {}", stored.called()));
    }
    Ok(Exit::Done)
}

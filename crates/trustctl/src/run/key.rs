//! `trustctl key`.

use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use serde_json::{Value, json};
use trustctl_core::public_key::{KeyKind, PublicKey};
use trustctl_core::reason::{Code, Reason};
use trustctl_core::signer::Signer as _;
use trustctl_keys::error::KeyError;
use trustctl_keys::format::{Export, NotaryLabels, SealedKey, read_public_key};
use trustctl_keys::notary_id::canonical_id;
use trustctl_keys::passphrase::{KeyUse, Wanted};
use trustctl_keys::private_key::PrivateKey;
use trustctl_keys::secret::Passphrase;
use trustctl_keys::store::{Store, StoredKey};

use super::Session;
use crate::cli::{KeyCommand, KeyFormat, KeyKindArg};
use crate::exit::Exit;
use crate::failure::Failure;
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
        KeyCommand::List { trust_dir } => list(session, trust_dir.as_deref()),
        KeyCommand::Show { key, passphrase } => show(session, key, passphrase.as_deref()),
        KeyCommand::Import { name, file, format, passphrase, new_passphrase } => {
            let place = Destination { name, format: *format, folder: None, keyring: false };
            import(session, &place, file, (passphrase.as_deref(), new_passphrase.as_deref()))
        }
        KeyCommand::Export { key, format, to, role, public, passphrase, new_passphrase } => {
            let job = ExportJob { key, format: *format, to, role: role.as_deref(), public: *public };
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

struct ExportJob<'a> {
    key: &'a str,
    format: KeyFormat,
    to: &'a Path,
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
) -> Result<StoredKey, Failure> {
    let keyring = session.keyring();
    let places = session.places(None, &keyring)?;
    if place.keyring {
        return places.add_to_keyring(place.name, key, None).map_err(failed);
    }
    let format = format_of(place.format, place.name)?;
    let called = format!("the new key {}", place.name);
    let chosen = choose(session, (&called, use_of(place.format, None)), source)?;
    match place.folder {
        Some(folder) => Store::at(folder).create(place.name, key, &format, Some(&chosen)),
        None => places.store.create(place.name, key, &format, Some(&chosen)),
    }
    .map_err(failed)
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

fn written(session: &Session, done: &str, stored: &StoredKey, public: &PublicKey) {
    let ui = &session.ui;
    if ui.json() {
        ui.say(json!({ "schema": "trustctl/key/v1", "exit": 0, "keys": [view(stored, Some(public))] }).to_string());
        return;
    }
    ui.say(format!("{done} {}: {} {}", ui.paint(Paint::Green, &stored.name), public.kind().name(), public.fingerprint()));
    if let Some(path) = &stored.path {
        ui.note(format!("  file: {}", path.display()));
    }
    ui.note(format!("  notary id: {}", canonical_id(public)));
}

fn view(stored: &StoredKey, public: Option<&PublicKey>) -> Value {
    let public = public.or(stored.public_key.as_ref());
    json!({
        "name": stored.name,
        "place": stored.place.name(),
        "path": stored.path,
        "format": stored.format.name(),
        "encrypted": stored.encrypted,
        "kind": public.map(|key| key.kind().name()),
        "fingerprint": public.map(PublicKey::fingerprint),
        "notaryId": public.map(canonical_id).or_else(|| stored.notary_id.clone()),
        "role": stored.labels.role(),
        "gun": stored.labels.gun(),
        "publicKey": public.map(PublicKey::to_pem),
        "example": public.is_some_and(|key| trustctl_keys::example::is_example(&key.fingerprint())),
    })
}

fn list(session: &Session, trust_dir: Option<&Path>) -> Result<Exit, Failure> {
    let keyring = session.keyring();
    let listing = session.places(trust_dir, &keyring)?.list().map_err(failed)?;
    let ui = &session.ui;
    if ui.json() {
        let keys: Vec<Value> = listing.keys.iter().map(|stored| view(stored, None)).collect();
        let problems: Vec<Value> = listing
            .problems
            .iter()
            .map(|(path, error)| json!({ "path": path, "code": error.code().id(), "message": error.reason().message }))
            .collect();
        ui.say(json!({ "schema": "trustctl/key/v1", "exit": 0, "keys": keys, "problems": problems }).to_string());
        return Ok(Exit::Done);
    }
    for stored in &listing.keys {
        let kind = stored.kind().map_or("encrypted", KeyKind::name);
        let role = stored.labels.role().unwrap_or("-");
        let gun = stored.labels.gun().map(|gun| format!("  {gun}")).unwrap_or_default();
        let id = stored.fingerprint().map(|id| format!("fingerprint {id}"));
        let id = id.or_else(|| stored.notary_id.as_ref().map(|id| format!("notary id {id}"))).unwrap_or_default();
        ui.say(format!("{:<20}  {:<8}  {kind:<10}  {role:<10}  {id}{gun}", stored.name, stored.place.name()));
    }
    for (path, error) in &listing.problems {
        ui.note(format!("{}: {}: {error}", ui.paint_err(Paint::Yellow, "warning"), path.display()));
    }
    if listing.keys.is_empty() {
        ui.note("no keys; make one with  trustctl key generate NAME");
    }
    Ok(Exit::Done)
}

fn show(session: &Session, wanted: &str, passphrase: Option<&str>) -> Result<Exit, Failure> {
    let keyring = session.keyring();
    let places = session.places(None, &keyring)?;
    let stored = match places.find(wanted) {
        Ok(stored) => stored,
        // A file with just the public half can be shown too.
        Err(error) => {
            let Ok(public) = read_public_key(Path::new(wanted)) else { return Err(failed(error)) };
            session.ui.say(if session.ui.json() { public_view(&public).to_string() } else { describe(&public) });
            return Ok(Exit::Done);
        }
    };
    let public = match &stored.public_key {
        Some(public) => public.clone(),
        None => {
            let opened = session.with_passphrases(passphrase, &keyring, |sources| places.open(&stored, sources));
            opened.map_err(failed)?.public_key().clone()
        }
    };
    if session.ui.json() {
        session.ui.say(json!({ "schema": "trustctl/key/v1", "exit": 0, "keys": [view(&stored, Some(&public))] }).to_string());
    } else {
        session.ui.say(describe(&public));
    }
    Ok(Exit::Done)
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
    let key = session.private_key(job.key, old, None)?;
    if job.public {
        write_new(job.to, key.public_key().to_pem().as_bytes(), 0o644)?;
    } else {
        let role = job.role.unwrap_or("targets");
        let called = job.to.display().to_string();
        let chosen = choose(session, (&called, use_of(job.format, job.role)), source_of_new(old, new))?;
        let text = key.export(&format_of(job.format, role)?, Some(&chosen)).map_err(failed)?;
        write_new(job.to, text.as_bytes(), 0o600)?;
    }
    if session.ui.json() {
        session.ui.say(json!({ "schema": "trustctl/key-export/v1", "exit": 0, "file": job.to }).to_string());
    } else {
        session.ui.say(format!("wrote {}", job.to.display()));
    }
    Ok(Exit::Done)
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
    let stored = places.find(wanted).map_err(failed)?;
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

//! `trustctl key list`.

use std::path::Path;

use serde_json::{Value, json};
use trustctl_core::public_key::{KeyKind, PublicKey};
use trustctl_keys::notary_id::canonical_id;
use trustctl_keys::store::{Place, StoredKey};

use super::roots::{RootOf, Roots};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::run::Session;
use crate::ui::Paint;

/// Lists the keys, and what the root keys among them are the roots of.
///
/// # Errors
/// A [`Failure`] when a directory cannot be listed.
pub(super) fn run(session: &Session, trust_dir: Option<&Path>) -> Result<Exit, Failure> {
    let keyring = session.keyring();
    let places = session.places(trust_dir, &keyring)?;
    let listing = places.list()?;
    let roots = Roots::cached(&places);
    let uses = |stored: &StoredKey| stored.notary_id.as_ref().map(|id| roots.of(id)).unwrap_or_default();
    let ui = &session.ui;
    if ui.json() {
        let keys: Vec<Value> = listing.keys.iter().map(|stored| view(stored, roots.public_key(stored), uses(stored))).collect();
        let problems: Vec<Value> = listing
            .problems
            .iter()
            .map(|(path, error)| json!({ "path": path, "code": error.code().id(), "message": error.reason().message }))
            .collect();
        ui.say(json!({ "schema": "trustctl/key/v1", "exit": 0, "keys": keys, "problems": problems }).to_string());
        return Ok(Exit::Done);
    }
    if !listing.keys.is_empty() {
        let rows: Vec<[String; COLUMNS]> = listing.keys.iter().map(|stored| row(stored, roots.public_key(stored))).collect();
        let widths = widths(&rows);
        ui.say(aligned(&HEADER.map(str::to_owned), &widths));
        for (stored, row) in listing.keys.iter().zip(&rows) {
            ui.say(aligned(row, &widths));
            uses(stored).iter().for_each(|use_as_root| ui.say(format!("  {}", use_as_root.line())));
        }
    }
    for (path, error) in &listing.problems {
        ui.note(format!("{}: {}: {error}", ui.paint_err(Paint::Yellow, "warning"), path.display()));
    }
    if listing.keys.is_empty() {
        ui.note("no keys; make one with  trustctl key generate NAME");
    }
    Ok(Exit::Done)
}

/// A key as an object of the report; `public` is its public half where the file does not show it.
pub(super) fn view(stored: &StoredKey, public: Option<&PublicKey>, uses: &[RootOf]) -> Value {
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
        "rootOf": uses.iter().map(RootOf::view).collect::<Vec<_>>(),
        "publicKey": public.map(PublicKey::to_pem),
        "example": public.is_some_and(|key| trustctl_keys::example::is_example(&key.fingerprint())),
    })
}

const COLUMNS: usize = 6;
const HEADER: [&str; COLUMNS] = ["NAME", "PLACE", "KIND", "ROLE", "COLLECTION", "ID"];

fn row(stored: &StoredKey, public: Option<&PublicKey>) -> [String; COLUMNS] {
    let public = public.or(stored.public_key.as_ref());
    let in_trust_directory = matches!(stored.place, Place::Docker | Place::Notary);
    // There the name is the id, of which docker and notary show seven digits.
    let name = if in_trust_directory { stored.name.get(..7) } else { None };
    let notary_id = stored.notary_id.as_ref().map(|id| format!("notary id {id}"));
    let fingerprint = public.map(|key| format!("fingerprint {}", key.fingerprint()));
    let id = if in_trust_directory { notary_id.or(fingerprint) } else { fingerprint.or(notary_id) };
    let text = |text: Option<&str>| text.unwrap_or("-").to_owned();
    [
        name.unwrap_or(&stored.name).to_owned(),
        stored.place.name().to_owned(),
        public.map_or("encrypted", |key| KeyKind::name(key.kind())).to_owned(),
        text(stored.labels.role()),
        text(stored.labels.gun()),
        text(id.as_deref()),
    ]
}

fn widths(rows: &[[String; COLUMNS]]) -> [usize; COLUMNS] {
    let mut widths = HEADER.map(str::len);
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    widths
}

fn aligned(row: &[String; COLUMNS], widths: &[usize; COLUMNS]) -> String {
    let cells: Vec<String> = row.iter().zip(widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
    cells.join("  ").trim_end().to_owned()
}

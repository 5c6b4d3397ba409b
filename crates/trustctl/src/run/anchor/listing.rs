//! `trustctl anchor list`.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use trustctl_core::digest::Digest;
use trustctl_core::policy::{Policy, SignerRule};
use trustctl_core::scheme::authority_id;
use trustctl_core::time::Timestamp;
use trustctl_remote::anchors::{Anchors, Pin};
use trustctl_sigstore::tuf::kept;

use super::{Origin, PUBLIC_GOOD};
use crate::cli::ListAnchorsArgs;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::run::sigstore::{self, Source};
use crate::run::{Session, clock};

/// One Sigstore instance, as it is shown.
struct Row {
    name: String,
    /// Who names it: this program, the policy, or a pin.
    named_by: &'static str,
    /// `carried`, `fetched` or `file`.
    source: &'static str,
    url: Option<String>,
    trusted_root: Option<Digest>,
    /// The version of the newest verified root metadata.
    root: Option<u64>,
    /// Of when the trusted root is.
    of: Option<Timestamp>,
    until: Option<Timestamp>,
    /// Why it cannot be used.
    unusable: Option<trustctl_core::reason::Reason>,
}

/// Lists everything that trust can begin with.
///
/// # Errors
/// A [`Failure`] when the policy or the state cannot be read.
pub(super) fn run(session: &Session, args: &ListAnchorsArgs) -> Result<Exit, Failure> {
    let (policy, anchors, now) = (session.policy_in_force(args.policy.as_deref())?, session.anchors()?, clock());
    let rows = rows(session, policy.as_ref(), &anchors, now)?;
    let collections = anchors.collections()?;
    let signers = policy.as_ref().map(signers).unwrap_or_default();
    let ui = &session.ui;
    if ui.json() {
        let report = json!({
            "schema": "trustctl/anchor-list/v1", "exit": 0,
            "sigstores": rows.iter().map(|row| view(row, now)).collect::<Vec<_>>(),
            "collections": collections.iter().map(|(name, roots)| json!({ "repository": name, "roots": roots })).collect::<Vec<_>>(),
            "policy": policy.as_ref().map(|policy| policy.name.clone()),
            "signers": signers.iter().map(|(name, what)| json!({ "name": name, "anchors": what })).collect::<Vec<_>>(),
        });
        ui.say(report.to_string());
        return Ok(Exit::Done);
    }
    rows.iter().for_each(|row| ui.say(line(row, now)));
    for (name, roots) in &collections {
        ui.say(format!("{name}  Notary collection, pinned: root {}", roots.join(", ")));
    }
    if let Some(policy) = &policy {
        ui.say(format!("signers of {}:", policy.name));
        signers.iter().for_each(|(name, what)| ui.say(format!("  {name}  {}", what.join(", "))));
    }
    Ok(Exit::Done)
}

fn rows(session: &Session, policy: Option<&Policy>, anchors: &Anchors, now: Timestamp) -> Result<Vec<Row>, Failure> {
    let public = sigstore::public_good(session)?;
    let mut rows = vec![Row {
        name: PUBLIC_GOOD.to_owned(),
        named_by: "program",
        source: if public.source == Source::Carried { "carried" } else { "fetched" },
        url: Some(Origin::public_good().url),
        trusted_root: Some(Digest::sha256_of(&public.trusted_root)),
        root: public.root,
        of: Some(public.of),
        until: public.until,
        unusable: None,
    }];
    for anchor in policy.iter().flat_map(|policy| &policy.repositories) {
        rows.push(fetched(&anchor.name, ("policy", &Origin::pinned(&anchor.url, &anchor.root)), anchors, now)?);
    }
    for anchor in policy.iter().flat_map(|policy| &policy.sigstores) {
        if let Some(name) = anchor.name.as_ref() {
            rows.push(fixed(name, "policy", &anchor.trusted_root));
        }
    }
    for (name, pin) in anchors.pins()? {
        rows.push(match pin {
            Pin::Repository { url, root } => fetched(&name, ("pin", &Origin::pinned(&url, &root)), anchors, now)?,
            Pin::TrustedRoot(bytes) => fixed(&name, "pin", &bytes),
        });
    }
    Ok(rows)
}

fn fixed(name: &str, named_by: &'static str, trusted_root: &[u8]) -> Row {
    Row {
        name: name.to_owned(),
        named_by,
        source: "file",
        url: None,
        trusted_root: Some(Digest::sha256_of(trusted_root)),
        root: None,
        of: None,
        until: None,
        unusable: None,
    }
}

fn fetched(name: &str, (named_by, origin): (&'static str, &Origin), anchors: &Anchors, now: Timestamp) -> Result<Row, Failure> {
    let remembered = anchors.repository(&origin.url)?;
    let kept = kept(&remembered);
    Ok(Row {
        name: name.to_owned(),
        named_by,
        source: "fetched",
        url: Some(origin.url.clone()),
        trusted_root: kept.map(|kept| Digest::sha256_of(kept.trusted_root)),
        root: kept.map(|kept| kept.root_version),
        of: kept.map(|kept| kept.fetched),
        until: kept.map(|kept| kept.until),
        unusable: origin.usable(name, &remembered, now).err(),
    })
}

fn view(row: &Row, now: Timestamp) -> Value {
    json!({
        "name": row.name, "namedBy": row.named_by, "source": row.source, "url": row.url,
        "trustedRoot": row.trusted_root, "root": row.root, "of": row.of, "ageDays": row.of.map(|of| sigstore::days(of, now)),
        "until": row.until, "usable": row.unusable.is_none(),
        "problem": row.unusable.as_ref().map(trustctl_core::report::ReasonReport::new),
    })
}

fn line(row: &Row, now: Timestamp) -> String {
    let mut parts = vec![match (row.named_by, row.source) {
        (_, "carried") => "carried by this program".to_owned(),
        (by, "file") => format!("trusted root of the {by}"),
        (by, _) if row.of.is_some() && by == "program" => "fetched".to_owned(),
        (by, _) if row.of.is_some() => format!("fetched, named by the {by}"),
        (by, _) => format!("never fetched, named by the {by}"),
    }];
    if let Some(of) = row.of {
        parts.push(format!("of {} ({} days old)", of.date(), sigstore::days(of, now)));
    }
    if let Some(until) = row.until {
        let word = if until < now { "counted until" } else { "to be used until" };
        parts.push(format!("{word} {until}"));
    }
    if let Some(root) = row.root {
        parts.push(format!("root version {root}"));
    }
    parts.extend(row.unusable.as_ref().map(|reason| format!("cannot be used: {} ({})", reason.code.summary(), reason.code)));
    format!("{}  {}", row.name, parts.join(", "))
}

/// What each signer of a policy is recognised by.
fn signers(policy: &Policy) -> BTreeMap<String, Vec<String>> {
    let anchors = |signer: &SignerRule| match signer {
        SignerRule::CosignIdentity { demands, .. } => {
            vec![format!("certificates of {}", demands.sigstore.as_deref().unwrap_or(PUBLIC_GOOD))]
        }
        SignerRule::CosignKey { key, .. } => vec![format!("key {}", key.fingerprint())],
        SignerRule::Dct { roots, authorities, tofu, .. } => {
            let mut all: Vec<String> = roots.iter().map(|root| format!("root {root}")).collect();
            all.extend(authorities.iter().map(|der| authority_id(der)));
            all.extend(tofu.then(|| "the first root seen".to_owned()));
            all
        }
        _ => Vec::new(),
    };
    policy.signers.iter().map(|(name, signer)| (name.clone(), anchors(signer))).collect()
}

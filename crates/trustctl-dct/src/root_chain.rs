//! From what is trusted to begin with to the current root (TUF specification 1.0, section 5.3; Notary, `trustpinning/`).
//!
//! A root is believed when
//! - enough of its own root keys signed it, each with an acceptable certificate, and
//! - it continues the root remembered here, if one is: signed by that root's keys, directly or through every root between, and
//! - an anchor leads to it: pinned keys or keys certified by a pinned authority signed it to its threshold, or signed an older
//!   root from which signed rotations lead here, or an earlier run proved that for the remembered root; or trust on first use is
//!   allowed.
//!
//! Intermediate roots and their certificates may have expired; the current root may not. Stricter than Notary: a remembered root
//! never stands in for a pin. What anchored it is remembered with its hash, and other pins need a chain of their own.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use trustctl_core::digest::Digest;
use trustctl_core::memory::Slot;
use trustctl_core::reason::{Code, Reason};
use trustctl_core::scheme::{Anchors, DctAnchor, Missing, authority_id};
use trustctl_core::time::Timestamp;

use crate::certificate::{Bundle, CertificateFault};
use crate::error::{DctError, Malformed};
use crate::files::{Files, Trouble};
use crate::key::KeyId;
use crate::metadata::envelope::{Envelope, Signers};
use crate::metadata::root::Root;
use crate::metadata::{Document as _, RoleKeys};

/// Most rotations that are followed: a root a week for two years.
const MAX_ROTATIONS: u64 = 104;

/// Most signatures of intermediate roots that are looked at in one reading: five on each of them. The work is done again for every
/// question what is still to be fetched, so that it must be small.
const MAX_CHAIN_SIGNATURES: usize = 520;

/// A root with its envelope. That its own keys signed it is checked by [`RootFile::check`].
#[derive(Clone, Debug)]
pub(crate) struct RootFile<'a> {
    pub(crate) bytes: &'a [u8],
    pub(crate) root: Root,
    envelope: Envelope,
    /// The certificates of the root role's keys, read once: they are asked for by every step of the chain.
    bundles: Vec<(KeyId, Result<Bundle, CertificateFault>)>,
}

impl<'a> RootFile<'a> {
    pub(crate) fn parse(bytes: &'a [u8]) -> Result<Self, DctError> {
        let envelope = Envelope::parse(bytes)?;
        let root = Root::from_signed(envelope.signed())?;
        let listed: BTreeSet<&KeyId> = root.root.key_ids.iter().collect();
        let bundle = |id: &KeyId| Some((id.clone(), root.keys.get(id)?.bundle()));
        let bundles = listed.into_iter().filter_map(bundle).collect();
        Ok(Self { bytes, root, envelope, bundles })
    }

    /// The hash that names this root, for the memory.
    pub(crate) fn id(&self) -> String {
        Digest::sha256_of(self.bytes).hex()
    }

    /// Checks that enough root keys with an acceptable certificate signed it; with `now`, certificates must be valid then.
    pub(crate) fn check(&self, gun: &str, now: Option<Timestamp>) -> Result<Signers, DctError> {
        let (certified, fault) = self.certified(gun, now);
        if let (true, Some(fault)) = (certified.is_empty(), fault) {
            return Err(fault.into());
        }
        let role = RoleKeys { key_ids: certified, threshold: self.root.root.threshold };
        self.envelope.verify(&role, &self.root.keys)
    }

    /// Whether this root's keys, with acceptable certificates of any age, signed `next` to this root's threshold.
    fn signed(&self, gun: &str, next: &Self) -> bool {
        let (certified, _) = self.certified(gun, None);
        enough(&next.envelope.signers(&certified, &self.root.keys), &self.root.root)
    }

    /// The root keys whose certificates are acceptable, and what is wrong with the first that is not.
    fn certified(&self, gun: &str, now: Option<Timestamp>) -> (Vec<KeyId>, Option<CertificateFault>) {
        let (mut certified, mut first) = (Vec::new(), None);
        for (id, bundle) in &self.bundles {
            let checked = bundle.as_ref().map_err(Clone::clone).and_then(|bundle| {
                bundle.check_form(gun)?;
                now.map_or(Ok(()), |now| bundle.check_time(now))
            });
            match checked {
                Ok(()) => certified.push(id.clone()),
                Err(fault) => first = first.or(Some(fault)),
            }
        }
        (certified, first)
    }

    /// The anchors that signed it to its own threshold: pinned ids, and authorities by [`authority_id`]. That a pinned key is
    /// merely listed proves nothing; anybody can list it.
    fn anchored_by(&self, anchor: &DctAnchor, place: &Place<'_>, current: bool) -> BTreeSet<String> {
        let (certified, _) = self.certified(place.gun, current.then_some(place.now));
        let mut found = BTreeSet::new();
        let pinned: Vec<KeyId> =
            certified.iter().filter(|id| anchor.roots.iter().any(|pin| pin == id.as_str())).cloned().collect();
        let signers = self.envelope.signers(&pinned, &self.root.keys);
        if enough(&signers, &self.root.root) {
            found.extend(signers.ids().map(KeyId::to_string));
        }
        for authority in &anchor.authorities {
            let chains = |bundle: &Bundle| bundle.chains_to(authority, place.now);
            let chained = self.bundles.iter().filter(|(id, bundle)| certified.contains(id) && bundle.as_ref().is_ok_and(chains));
            let chained: Vec<KeyId> = chained.map(|(id, _)| id.clone()).collect();
            if enough(&self.envelope.signers(&chained, &self.root.keys), &self.root.root) {
                found.insert(authority_id(authority));
            }
        }
        found
    }
}

fn enough(signers: &Signers, role_of: &RoleKeys) -> bool {
    signers.count() >= role_of.threshold.get()
}

/// For which collection and when a root is judged.
pub(crate) struct Place<'a> {
    pub(crate) gun: &'a str,
    pub(crate) now: Timestamp,
    pub(crate) anchors: &'a Anchors,
    pub(crate) slot: Option<&'a Slot>,
}

/// What leads to a root.
#[derive(Clone, Debug, Default)]
pub(crate) struct Anchored {
    /// Pinned key ids and authorities that lead to it.
    pub(crate) by: BTreeSet<String>,
    /// Whether trust on first use is allowed, and nothing is remembered.
    pub(crate) first_use: bool,
}

/// What leads to `current`, which passed [`RootFile::check`].
///
/// Files that could not be read are recorded in `files`, with the anchors left out that needed them.
pub(crate) fn anchor<'a>(
    current: &RootFile<'a>,
    remembered: Option<&RootFile<'a>>,
    place: &Place<'_>,
    files: &mut Files<'a>,
) -> Result<Anchored, (String, Trouble)> {
    let mut walk = Walk { place, files, seen: BTreeMap::new(), signatures: 0 };
    let mut by = BTreeSet::new();
    if let Some(remembered) = remembered {
        walk.continues(remembered, current)?;
        by.extend(remembered_anchors(place.slot, remembered).map(str::to_owned));
    }
    let wanted = |id: &String| {
        place.anchors.dct.iter().any(|a| a.roots.contains(id) || a.authorities.iter().any(|der| authority_id(der) == *id))
    };
    by.retain(wanted);
    for anchor in &place.anchors.dct {
        by.extend(current.anchored_by(anchor, place, true));
    }
    let unread = walk.descend(current, &mut by);
    let tofu = place.anchors.dct.iter().any(|anchor| anchor.tofu && anchor.roots.is_empty() && anchor.authorities.is_empty());
    if by.is_empty() && !tofu {
        let found = current.root.root.key_ids.iter().map(KeyId::as_str).collect::<Vec<_>>().join(" ");
        let trouble = if unread { Trouble::Unread } else { Trouble::Wrong(DctError::RootNotPinned { found }) };
        return Err(("root.json".to_owned(), trouble));
    }
    Ok(Anchored { first_use: by.is_empty() && remembered.is_none(), by })
}

/// The name of the fact that `anchor` leads to the root with the hash `root`.
pub(crate) fn fact(root: &str, anchor: &str) -> String {
    format!("root {root} anchored by {anchor}")
}

/// What was proven, in an earlier run, to lead to the remembered root: to this very document, by its hash.
fn remembered_anchors<'s>(slot: Option<&'s Slot>, remembered: &RootFile<'_>) -> impl Iterator<Item = &'s str> {
    let prefix = fact(&remembered.id(), "");
    slot.into_iter().flat_map(|slot| slot.facts.keys()).filter_map(move |name| name.strip_prefix(&prefix))
}

/// Reads intermediate roots, each once.
struct Walk<'w, 'a> {
    place: &'w Place<'w>,
    files: &'w mut Files<'a>,
    seen: BTreeMap<u64, Rc<RootFile<'a>>>,
    /// The signatures of all of them.
    signatures: usize,
}

impl<'a> Walk<'_, 'a> {
    /// Checks that `current` continues `remembered`: is the same, or is signed by its keys, at once or root by root.
    fn continues(&mut self, remembered: &RootFile<'a>, current: &RootFile<'a>) -> Result<(), (String, Trouble)> {
        if remembered.bytes == current.bytes {
            return Ok(());
        }
        let (seen, offered) = (remembered.root.version, current.root.version);
        if offered < seen {
            return Err(("root.json".to_owned(), Trouble::Wrong(DctError::Rollback { seen, offered })));
        }
        if remembered.signed(self.place.gun, current) {
            return Ok(());
        }
        self.fetch(seen.saturating_add(1), offered)?;
        let mut previous = Rc::new(remembered.clone());
        for version in seen.saturating_add(1)..offered {
            let next = self.intermediate(version).map_err(|trouble| (format!("{version}.root.json"), trouble))?;
            self.link(&previous, &next)?;
            previous = next;
        }
        self.link(&previous, current)
    }

    fn link(&self, previous: &RootFile<'a>, next: &RootFile<'a>) -> Result<(), (String, Trouble)> {
        if previous.signed(self.place.gun, next) {
            return Ok(());
        }
        let (trusted, offered) = (previous.root.version, next.root.version);
        Err((format!("{offered}.root.json"), Trouble::Wrong(DctError::BadRotation { trusted, offered })))
    }

    /// Goes back from `current` for the anchors that do not lead to it directly, and adds those found to `by`; true when a root
    /// that could have led to one of them could not be read.
    fn descend(&mut self, current: &RootFile<'a>, by: &mut BTreeSet<String>) -> bool {
        let satisfied = |anchor: &&DctAnchor, by: &BTreeSet<String>| {
            let none = anchor.roots.is_empty() && anchor.authorities.is_empty();
            none || anchor.roots.iter().any(|id| by.contains(id))
                || anchor.authorities.iter().any(|der| by.contains(&authority_id(der)))
        };
        let open: Vec<&DctAnchor> = self.place.anchors.dct.iter().filter(|anchor| !satisfied(anchor, by)).collect();
        if open.is_empty() || current.root.version <= 1 {
            return false;
        }
        if self.fetch(1, current.root.version).is_err() {
            return true;
        }
        let mut next = Rc::new(current.clone());
        for version in (1..current.root.version).rev() {
            let older = match self.intermediate(version) {
                Ok(older) => older,
                Err(trouble) => return matches!(trouble, Trouble::Unread),
            };
            if !older.signed(self.place.gun, &next) {
                return false;
            }
            for anchor in &open {
                by.extend(older.anchored_by(anchor, self.place, false));
            }
            if open.iter().all(|anchor| satisfied(anchor, by)) {
                return false;
            }
            next = older;
        }
        false
    }

    /// Asks for all of `from..to` at once, so that following them costs one round.
    fn fetch(&mut self, from: u64, to: u64) -> Result<(), (String, Trouble)> {
        if to.saturating_sub(from) > MAX_ROTATIONS {
            let words = format!("root version {to} is more than {MAX_ROTATIONS} rotations away from what is trusted");
            self.files.missing.push(Missing { reason: Reason::new(Code::OutOfBudget, words), may_hide_revocation: false });
            return Err(("root.json".to_owned(), Trouble::Unread));
        }
        let mut unread = None;
        for version in from..to {
            if let Err(Trouble::Unread) = self.files.root(Some(version)) {
                unread = unread.or(Some(version));
            }
        }
        unread.map_or(Ok(()), |version| Err((format!("{version}.root.json"), Trouble::Unread)))
    }

    /// The root of `version`, signed by its own keys; expiry does not matter here.
    fn intermediate(&mut self, version: u64) -> Result<Rc<RootFile<'a>>, Trouble> {
        if let Some(seen) = self.seen.get(&version) {
            return Ok(Rc::clone(seen));
        }
        let file = self.files.root(Some(version))?;
        let root = RootFile::parse(file.bytes).map_err(Trouble::Wrong)?;
        self.signatures = self.signatures.saturating_add(root.envelope.signatures().len());
        if self.signatures > MAX_CHAIN_SIGNATURES {
            let words = format!("the roots that lead to the current one have more than {MAX_CHAIN_SIGNATURES} signatures");
            self.files.missing.push(Missing { reason: Reason::new(Code::OutOfBudget, words), may_hide_revocation: false });
            return Err(Trouble::Unread);
        }
        root.check(self.place.gun, None).map_err(Trouble::Wrong)?;
        if root.root.version != version {
            let wrong = Malformed::Value { of: "root", field: "version", expected: "the version in its name" };
            return Err(Trouble::Wrong(wrong.into()));
        }
        let root = Rc::new(root);
        self.seen.insert(version, Rc::clone(&root));
        Ok(root)
    }
}

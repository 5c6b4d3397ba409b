//! A whole Notary collection with its keys, and named ways to corrupt it.
//!
//! ```text
//! let mut world = World::new();            // root, targets with tag 1.0, targets/releases with tag 2.0, targets/alice
//! let shelf = world.publish();             // valid, served by name, by hash and by root version
//! let shelf = world.publish_with(&Swizzle::Expire("snapshot"));
//! ```

pub(crate) mod keys;
pub(crate) mod shelf;

use std::collections::BTreeMap;
use std::num::NonZeroU32;

use trustctl_core::claim::{Principal, SchemeName};
use trustctl_core::digest::Digest;
use trustctl_core::memory::Memory;
use trustctl_core::reason::Code;
use trustctl_core::scheme::{Anchors, Context, DctAnchor, Findings, Scheme as _};
use trustctl_core::subject::Subject;
use trustctl_core::time::Timestamp as Time;
use trustctl_dct::canonical_json::Value;
use trustctl_dct::key::Key;
use trustctl_dct::metadata::envelope::{Envelope, KeyHolder, Signature};
use trustctl_dct::metadata::root::Root;
use trustctl_dct::metadata::snapshot::Snapshot;
use trustctl_dct::metadata::targets::{Delegation, Target, Targets};
use trustctl_dct::metadata::timestamp::Timestamp;
use trustctl_dct::metadata::{Document, Expiry, FileMeta, RoleKeys};
use trustctl_dct::role::RoleName;
use trustctl_dct::scheme::Dct;

use keys::Holder;
use shelf::{Gathered, Shelf, image};

pub(crate) const GUN: &str = "registry.example/shop/cart";
pub(crate) const NOW: &str = "2026-11-23T00:00:00Z";
/// Size of every manifest in this world.
pub(crate) const SIZE: u64 = 523;

/// A named corruption. `role` is a role's name.
#[derive(Clone, Debug)]
pub(crate) enum Swizzle {
    /// Nothing: the control.
    Nothing,
    /// The end date lies a day before now; all else is consistent.
    Expire(&'static str),
    /// The version is lower by one.
    LowerVersion(&'static str),
    /// A byte of the signed part changes after signing; parents name the new hash.
    EditAfterSigning(&'static str),
    /// There is no signature.
    DropSignatures(&'static str),
    /// Another key signs, under the id of the right one.
    SignWithOtherKey(&'static str),
    /// The threshold is 2, and the one key signs twice.
    RepeatSignature(&'static str),
    /// The ECDSA signature is DER instead of `r || s`.
    DerSignature(&'static str),
    /// The method is written in upper case.
    UpperCaseMethod(&'static str),
    /// The file is served with one more space at its end than its parent declares.
    Lengthen(&'static str),
    /// The file's parent declares one byte more than there is, with the right hash.
    DeclareMore(&'static str),
    /// Another validly signed file of the role is served in place of the one the parent names, of the same length.
    Exchange(&'static str),
    /// The server does not have the file.
    Remove(&'static str),
    /// A text in the signed part is replaced before signing.
    Replace(&'static str, &'static str, &'static str),
    /// The parent names SHA-512 only.
    Sha512Only,
    /// A key of the root is listed under an id that is not its own.
    WrongKeyId,
}

/// A collection and its keys.
#[derive(Clone)]
pub(crate) struct World {
    pub(crate) root: Root,
    pub(crate) root_keys: Vec<Holder>,
    pub(crate) targets_key: Holder,
    pub(crate) snapshot_key: Holder,
    pub(crate) timestamp_key: Holder,
    pub(crate) targets: Targets,
    /// Files of delegations, with who signs them.
    pub(crate) delegations: BTreeMap<RoleName, (Targets, Holder)>,
    pub(crate) snapshot: (u64, Expiry),
    pub(crate) timestamp: (u64, Expiry),
    /// Roots published before the current one, by version.
    pub(crate) old_roots: BTreeMap<u64, Vec<u8>>,
    /// Keys that sign the current root beside its own: those of its predecessor.
    pub(crate) cross_signers: Vec<Holder>,
}

pub(crate) fn role(name: &str) -> RoleName {
    name.parse().unwrap()
}

pub(crate) fn until(date: &str) -> Expiry {
    Expiry::at(date.parse().unwrap())
}

/// The digest of the manifest called `name` in this world.
pub(crate) fn digest(name: &str) -> Digest {
    Digest::sha256_of(name.as_bytes())
}

/// The image `GUN:tag` whose manifest is called `name`.
pub(crate) fn subject(tag: &str, name: &str) -> Subject {
    image(GUN, Some(tag), digest(name), SIZE)
}

/// The image `GUN@digest` whose manifest is called `name`.
pub(crate) fn subject_by_digest(name: &str) -> Subject {
    image(GUN, None, digest(name), SIZE)
}

impl World {
    /// Tag 1.0 in targets; 2.0 in targets/releases and targets/alice.
    pub(crate) fn new() -> Self {
        let (targets_key, snapshot_key, timestamp_key) = (Holder::ecdsa(), Holder::ecdsa(), Holder::ed25519());
        let root_key = Holder::root(GUN);
        let ids = |holder: &Holder| RoleKeys::any_of(vec![holder.key.id().clone()]);
        let root = Root {
            version: 1,
            expires: until("2036-11-01"),
            consistent_snapshot: false,
            keys: key_map([&root_key, &targets_key, &snapshot_key, &timestamp_key]),
            root: ids(&root_key),
            targets: ids(&targets_key),
            snapshot: ids(&snapshot_key),
            timestamp: ids(&timestamp_key),
        };
        let mut world = Self {
            root,
            root_keys: vec![root_key],
            targets_key,
            snapshot_key,
            timestamp_key,
            targets: Targets::new(3, until("2029-11-01")),
            delegations: BTreeMap::new(),
            snapshot: (5, until("2029-11-01")),
            timestamp: (7, until("2026-12-06")),
            old_roots: BTreeMap::new(),
            cross_signers: Vec::new(),
        };
        world.sign("targets", "1.0", "one");
        for name in ["targets/releases", "targets/alice"] {
            world.delegate(name, &[""]);
            world.sign(name, "2.0", "two");
        }
        world
    }

    /// Adds a delegation with a fresh key below its parent, and an empty file for it.
    pub(crate) fn delegate(&mut self, name: &str, paths: &[&str]) {
        let (name, holder) = (role(name), Holder::ecdsa());
        let parent = self.document(name.parent().unwrap().as_str());
        parent.delegations.keys.insert(holder.key.id().clone(), holder.key.clone());
        parent.delegations.roles.push(Delegation {
            name: name.clone(),
            keys: RoleKeys::any_of(vec![holder.key.id().clone()]),
            paths: paths.iter().map(|path| (*path).to_owned()).collect(),
        });
        self.delegations.insert(name, (Targets::new(2, until("2029-11-01")), holder));
    }

    /// The document of a role that signs tags.
    pub(crate) fn document(&mut self, name: &str) -> &mut Targets {
        if name == "targets" { &mut self.targets } else { &mut self.delegations.get_mut(&role(name)).unwrap().0 }
    }

    /// Signs `tag` as the manifest called `name`, in a role.
    pub(crate) fn sign(&mut self, name: &str, tag: &str, manifest: &str) {
        self.document(name).targets.insert(tag.to_owned(), Target::image(digest(manifest), SIZE));
    }

    /// The id of the first root key: what users pin.
    pub(crate) fn pin(&self) -> String {
        self.root_keys[0].key.id().to_string()
    }

    /// Replaces the root keys; the predecessor's sign too.
    pub(crate) fn rotate_root(&mut self, keys: Vec<Holder>) {
        self.old_roots.insert(self.root.version, self.root_bytes());
        self.root.version += 1;
        self.cross_signers = std::mem::replace(&mut self.root_keys, keys);
        self.root.keys.extend(self.root_keys.iter().map(|holder| (holder.key.id().clone(), holder.key.clone())));
        self.root.root = RoleKeys {
            key_ids: self.root_keys.iter().map(|holder| holder.key.id().clone()).collect(),
            threshold: self.root.root.threshold,
        };
        self.bump();
    }

    /// A later state of the same collection: every version is one higher.
    pub(crate) fn bump(&mut self) {
        self.targets.version += 1;
        for (document, _) in self.delegations.values_mut() {
            document.version += 1;
        }
        self.snapshot.0 += 1;
        self.timestamp.0 += 1;
    }

    pub(crate) fn root_bytes(&self) -> Vec<u8> {
        let holders: Vec<&Holder> = self.root_keys.iter().chain(&self.cross_signers).collect();
        sealed(&self.root.to_signed(), &holders, "root", &Swizzle::Nothing)
    }

    /// What the server has on its shelf.
    pub(crate) fn publish(&self) -> Shelf {
        self.publish_with(&Swizzle::Nothing)
    }

    /// The shelf after one corruption.
    pub(crate) fn publish_with(&self, swizzle: &Swizzle) -> Shelf {
        let mut shelf = Shelf::default();
        let mut root = self.root.clone();
        if let Swizzle::RepeatSignature(name) = swizzle {
            let two = NonZeroU32::new(2).unwrap();
            match *name {
                "root" => root.root.threshold = two,
                "targets" => root.targets.threshold = two,
                "snapshot" => root.snapshot.threshold = two,
                "timestamp" => root.timestamp.threshold = two,
                _ => {}
            }
        }
        let root_holders: Vec<&Holder> = self.root_keys.iter().chain(&self.cross_signers).collect();
        let root = self.file("root", root, &root_holders, swizzle, &mut shelf);
        let targets = self.file("targets", self.targets.clone(), &[&self.targets_key], swizzle, &mut shelf);
        let mut delegations = BTreeMap::new();
        for (name, (document, holder)) in &self.delegations {
            delegations.insert(name.clone(), self.file(name.as_str(), document.clone(), &[holder], swizzle, &mut shelf));
        }
        let (version, expires) = self.snapshot.clone();
        let snapshot = Snapshot { version, expires, root, targets, delegations };
        let snapshot = self.file("snapshot", snapshot, &[&self.snapshot_key], swizzle, &mut shelf);
        let (version, expires) = self.timestamp.clone();
        self.file("timestamp", Timestamp { version, expires, snapshot }, &[&self.timestamp_key], swizzle, &mut shelf);
        for (version, bytes) in &self.old_roots {
            shelf.put_as(&format!("{version}.root.json"), bytes);
        }
        shelf
    }

    /// The shelf, with the files of these roles byte for byte as they were verified before.
    pub(crate) fn publish_keeping(&self, old: &BTreeMap<String, trustctl_core::memory::Document>, kept: &[&str]) -> Shelf {
        let mut shelf = self.publish();
        let meta = |name: &str, shelf: &mut Shelf| {
            if kept.contains(&name) {
                shelf.put(name, &old[name].bytes);
            }
            FileMeta::of(shelf.current(name).unwrap())
        };
        let (version, expires) = self.snapshot.clone();
        let (root, targets) = (meta("root", &mut shelf), meta("targets", &mut shelf));
        let delegations = self.delegations.keys().map(|name| (name.clone(), meta(name.as_str(), &mut shelf))).collect();
        let snapshot = Snapshot { version, expires, root, targets, delegations };
        let snapshot = self.file("snapshot", snapshot, &[&self.snapshot_key], &Swizzle::Nothing, &mut shelf);
        let (version, expires) = self.timestamp.clone();
        let timestamp = Timestamp { version, expires, snapshot };
        self.file("timestamp", timestamp, &[&self.timestamp_key], &Swizzle::Nothing, &mut shelf);
        shelf
    }

    /// Puts one file on the shelf, and says what its parent is to declare about it.
    fn file<T: Document>(&self, name: &str, document: T, holders: &[&Holder], swizzle: &Swizzle, shelf: &mut Shelf) -> FileMeta {
        let bytes = sealed(&document.to_signed(), holders, name, swizzle);
        let mut meta = FileMeta::of(&bytes);
        shelf.put(name, &bytes);
        match swizzle {
            Swizzle::Lengthen(role) if *role == name => shelf.force(name, &[bytes.as_slice(), b" "].concat()),
            Swizzle::DeclareMore(role) if *role == name => meta.length += 1,
            Swizzle::Exchange(role) if *role == name => {
                // ECDSA signatures are random: the same content signed again is another file of the same length.
                let other = sealed(&document.to_signed(), holders, name, &Swizzle::Nothing);
                assert_eq!(other.len(), bytes.len());
                shelf.force(name, &other);
            }
            Swizzle::Remove(role) if *role == name => shelf.remove(name),
            _ => {}
        }
        meta
    }
}

/// The wire bytes of a signed part by these holders, corrupted where `swizzle` says so.
fn sealed(signed: &Value, holders: &[&Holder], name: &str, swizzle: &Swizzle) -> Vec<u8> {
    let signed = before_signing(signed, name, swizzle);
    let stranger = Holder::ecdsa();
    let by_stranger = matches!(swizzle, Swizzle::SignWithOtherKey(role) if *role == name);
    let signers: Vec<KeyHolder<'_>> = holders
        .iter()
        .map(|holder| KeyHolder { key: &holder.key, signer: if by_stranger { &stranger } else { *holder } })
        .collect();
    let bytes = Envelope::sign(&signed, &signers).unwrap();
    let signatures = Envelope::parse(&bytes).unwrap().signatures().to_vec();
    match swizzle {
        Swizzle::EditAfterSigning(role) if *role == name => {
            let text = String::from_utf8(bytes).unwrap();
            text.replace("\"version\":", "\"version\":1").into_bytes()
        }
        Swizzle::DropSignatures(role) if *role == name => Envelope::seal(&signed, &[]),
        Swizzle::RepeatSignature(role) if *role == name => Envelope::seal(
            &signed,
            &[signatures.clone(), Envelope::parse(&Envelope::sign(&signed, &signers).unwrap()).unwrap().signatures().to_vec()]
                .concat(),
        ),
        Swizzle::DerSignature(role) if *role == name => {
            let der = |signature: Signature| Signature { bytes: to_der(&signature.bytes), ..signature };
            Envelope::seal(&signed, &signatures.into_iter().map(der).collect::<Vec<_>>())
        }
        Swizzle::UpperCaseMethod(role) if *role == name => {
            String::from_utf8(bytes).unwrap().replace("\"method\":\"ecdsa\"", "\"method\": \"ECDSA\"").into_bytes()
        }
        _ => bytes,
    }
}

fn before_signing(signed: &Value, name: &str, swizzle: &Swizzle) -> Value {
    let mut members = signed.as_object().unwrap().clone();
    match swizzle {
        Swizzle::Expire(role) if *role == name => {
            members.insert("expires".to_owned(), "2026-11-22T00:00:00.123456789Z".into());
        }
        Swizzle::LowerVersion(role) if *role == name => {
            let version = members["version"].as_number().unwrap();
            members.insert("version".to_owned(), Value::Number(version - 1));
        }
        Swizzle::Replace(role, from, to) if *role == name => {
            let text = String::from_utf8(signed.canonical()).unwrap();
            assert!(text.contains(from), "{from} is not in {text}");
            return Value::parse(text.replacen(from, to, 1).as_bytes()).unwrap();
        }
        Swizzle::Sha512Only if name == "timestamp" => {
            let text = String::from_utf8(signed.canonical()).unwrap();
            let begin = text.find("\"sha256\"").unwrap();
            let end = text.find("\"sha512\"").unwrap();
            return Value::parse([&text[..begin], &text[end..]].concat().as_bytes()).unwrap();
        }
        Swizzle::WrongKeyId if name == "root" => {
            let text = String::from_utf8(signed.canonical()).unwrap();
            let targets_id =
                members["roles"].as_object().unwrap()["targets"].as_object().unwrap()["keyids"].as_list().unwrap()[0].clone();
            return Value::parse(text.replace(targets_id.as_text().unwrap(), &"f".repeat(64)).as_bytes()).unwrap();
        }
        _ => {}
    }
    Value::Object(members)
}

/// `r || s` as ASN.1 DER, which Notary refuses.
fn to_der(fixed: &[u8]) -> Vec<u8> {
    let integer = |bytes: &[u8]| {
        let skip = bytes.iter().take_while(|byte| **byte == 0).count();
        let mut content = bytes[skip..].to_vec();
        if content.first().is_none_or(|byte| *byte >= 0x80) {
            content.insert(0, 0);
        }
        [vec![2, u8::try_from(content.len()).unwrap()], content].concat()
    };
    let (r, s) = fixed.split_at(fixed.len() / 2);
    let content = [integer(r), integer(s)].concat();
    [vec![0x30, u8::try_from(content.len()).unwrap()], content].concat()
}

fn key_map<const N: usize>(holders: [&Holder; N]) -> BTreeMap<trustctl_dct::key::KeyId, Key> {
    holders.into_iter().map(|holder| (holder.key.id().clone(), holder.key.clone())).collect()
}

/// Somebody who judges: with anchors, a memory and a clock.
#[derive(Clone, Debug)]
pub(crate) struct Judge {
    pub(crate) anchors: Anchors,
    pub(crate) memory: Memory,
    pub(crate) now: Time,
}

impl Judge {
    /// Pins one root key id.
    pub(crate) fn pinning(pin: &str) -> Self {
        Self::with(vec![anchor(&[pin])])
    }

    /// Trusts on first use.
    pub(crate) fn trusting() -> Self {
        Self::with(vec![DctAnchor { tofu: true, ..anchor(&[]) }])
    }

    pub(crate) fn with(dct: Vec<DctAnchor>) -> Self {
        Self { anchors: Anchors { dct, ..Anchors::default() }, memory: Memory::new(), now: NOW.parse().unwrap() }
    }

    pub(crate) fn context(&self) -> Context<'_> {
        Context { anchors: &self.anchors, memory: &self.memory, now: self.now }
    }

    pub(crate) fn gather(&self, subject: &Subject, shelf: &Shelf) -> Gathered {
        shelf.gather(subject, &self.context())
    }

    pub(crate) fn examine(&self, subject: &Subject, shelf: &Shelf) -> Findings {
        Dct.examine(subject, &self.gather(subject, shelf).evidence, &self.context())
    }

    /// Examines, and remembers what was learnt.
    pub(crate) fn examine_and_learn(&mut self, subject: &Subject, shelf: &Shelf) -> Findings {
        let findings = self.examine(subject, shelf);
        for (name, slot) in &findings.learnt {
            self.memory.learn(SchemeName::Dct, name, slot.clone());
        }
        findings
    }
}

/// A signer that pins these root key ids.
pub(crate) fn anchor(roots: &[&str]) -> DctAnchor {
    let roots = roots.iter().map(|root| (*root).to_owned()).collect();
    DctAnchor { signer: "test".to_owned(), roots, authorities: Vec::new(), tofu: false }
}

/// The roles that claim the image, with whether each decides and what anchors it.
pub(crate) fn claims(findings: &Findings) -> Vec<(String, bool, Vec<String>)> {
    let of = |principal: &Principal| match principal {
        Principal::Role { role, effective, anchored_by, .. } => (role.clone(), *effective, anchored_by.clone()),
        other => unreachable!("{other}"),
    };
    findings.claims.iter().map(|claim| of(&claim.principal)).collect()
}

pub(crate) fn problem_codes(findings: &Findings) -> Vec<Code> {
    findings.problems.iter().map(|problem| problem.reason.code).collect()
}

pub(crate) fn missing_codes(findings: &Findings) -> Vec<Code> {
    findings.missing.iter().map(|missing| missing.reason.code).collect()
}

pub(crate) fn warning_codes(findings: &Findings) -> Vec<Code> {
    findings.warnings.iter().map(|warning| warning.code).collect()
}

/// The role that decides claims the image, and nothing is wrong or missing.
#[track_caller]
pub(crate) fn assert_trusted(findings: &Findings) {
    assert!(findings.missing.is_empty() && findings.problems.is_empty(), "{:#?} {:#?}", findings.problems, findings.missing);
    assert!(claims(findings).iter().any(|(_, effective, _)| *effective), "{:#?}", findings.claims);
}

/// Nobody claims the image, for exactly these reasons.
#[track_caller]
pub(crate) fn assert_refused(findings: &Findings, codes: &[Code]) {
    assert_eq!(problem_codes(findings), codes, "{:#?} {:#?}", findings.problems, findings.missing);
    assert!(findings.claims.is_empty() && findings.missing.is_empty(), "{:#?} {:#?}", findings.claims, findings.missing);
}

/// Nobody claims the image, because something could not be read.
#[track_caller]
pub(crate) fn assert_undecided(findings: &Findings, code: Code) {
    assert!(findings.claims.is_empty() && findings.problems.is_empty(), "{:#?} {:#?}", findings.claims, findings.problems);
    assert!(missing_codes(findings).contains(&code), "{:#?}", findings.missing);
}

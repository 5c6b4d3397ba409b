//! The lab's Notary server judges uploads as the real notary-server does: the same uploads to both, the same answers.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::collections::BTreeMap;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair, PublicKeyData as _};
use serde_json::json;
use trustctl_core::public_key::{PublicKey, SignatureScheme};
use trustctl_core::signer::{SignError, Signer};
use trustctl_dct::canonical_json::Value;
use trustctl_dct::key::{Key, KeyId};
use trustctl_dct::metadata::envelope::{Envelope, KeyHolder};
use trustctl_dct::metadata::root::Root;
use trustctl_dct::metadata::snapshot::Snapshot;
use trustctl_dct::metadata::targets::{Delegation, Targets};
use trustctl_dct::metadata::timestamp::Timestamp;
use trustctl_dct::metadata::{Document, FileMeta, RoleKeys};
use trustctl_lab::notary::{LabNotary, NotaryOptions};
use trustctl_tests::http::{Request, Response};
use trustctl_tests::peers::Peer;
use trustctl_tests::process::{Ready, Server};

const GUN: &str = "localhost:5000/rules/app";
const END: &str = "2090-01-01T00:00:00Z";
const PAST: &str = "2020-01-01T00:00:00Z";

#[test]
fn the_lab_answers_uploads_like_notary_server() {
    let Some(program) = Peer::NotaryServer.or_skip() else { return };
    let folder = tempfile::tempdir().unwrap();
    let real = Server::start("notary-server", folder.path(), &Ready::Http("/v2/".to_owned()), |port| {
        let config = json!({
            "server": {"http_addr": format!("127.0.0.1:{port}")}, "trust_service": {"type": "local"},
            "logging": {"level": "error"}, "storage": {"backend": "memory"},
        });
        let file = folder.path().join("server.json");
        std::fs::write(&file, config.to_string()).unwrap();
        let mut command = program.command(folder.path());
        command.arg("-config").arg(file);
        Ok(command)
    })
    .unwrap();
    let lab = LabNotary::start(NotaryOptions::default()).unwrap();
    let mut answers = Vec::new();
    for (name, case) in CASES {
        let (theirs, ours) = (case(&mut Owner::new(&real.address(), name)), case(&mut Owner::new(&lab.host(), name)));
        assert_eq!(ours, theirs, "{name}: the lab (left) and notary-server (right)");
        answers.extend(theirs);
    }
    // The real server did refuse, for every kind of reason, and did accept.
    for kind in
        ["200", "ErrBadRoot", "ErrBadTargets", "ErrBadSnapshot", "ErrBadHierarchy", "ErrValidation", "VERSION", "MALFORMED_JSON"]
    {
        assert!(answers.iter().any(|answer| answer.contains(kind)), "{kind} is among the answers");
    }
}

type Case = fn(&mut Owner) -> Vec<String>;

const CASES: [(&str, Case); 16] = [
    ("first root of version 1", |owner| owner.first(1)),
    ("first root of version 2", |owner| owner.first(2)),
    ("first root of version 3", |owner| owner.first(3)),
    ("nothing before a root", |owner| {
        let before = [owner.post(&[("targets", owner.targets())]), owner.post(&[]), owner.post(&[("root", owner.root())])];
        let after = [owner.publish(), owner.post(&[]), owner.get("timestamp.json")];
        before.into_iter().chain(after).collect()
    }),
    ("root versions", |owner| {
        let first = owner.publish();
        let later = [3, 1, 2, 2].map(|version| {
            owner.root.version = version;
            owner.post(&[("root", owner.root())])
        });
        [first].into_iter().chain(later).collect()
    }),
    ("root rotation", |owner| {
        let first = owner.publish();
        let new_key = OwnKey::certified(&owner.gun, 2090);
        owner.root.root = list(&mut owner.root.keys, &new_key.key);
        owner.root.version = 2;
        let signed = |keys: &[&OwnKey]| owner.post(&[("root", sign(&owner.root.to_signed(), keys))]);
        vec![first, signed(&[&new_key]), signed(&[&owner.root_key]), signed(&[&owner.root_key, &new_key])]
    }),
    ("root certificates", |owner| {
        let prefix = owner.gun.get(..20).unwrap().to_owned();
        let keys = [
            OwnKey::bare(),
            OwnKey::certified("localhost:5000/another", 2090),
            OwnKey::certified(&owner.gun.clone(), 2020),
            OwnKey::certified(&format!("{prefix}*"), 2090),
        ];
        keys.into_iter().map(|key| owner.with_root_key(key)).collect()
    }),
    ("expired root", |owner| {
        owner.root.expires = PAST.parse().unwrap();
        vec![owner.publish()]
    }),
    ("foreign timestamp key", |owner| {
        let foreign = OwnKey::bare();
        owner.root.timestamp = list(&mut owner.root.keys, &foreign.key);
        vec![owner.publish()]
    }),
    ("targets", |owner| {
        let first = owner.publish();
        let again = owner.post(&[("targets", owner.targets())]);
        owner.targets.version = 2;
        let foreign = owner.post(&[("targets", sign(&owner.targets.to_signed(), &[&owner.root_key]))]);
        let unsigned = owner.post(&[("targets", sign(&owner.targets.to_signed(), &[]))]);
        owner.targets.expires = PAST.parse().unwrap();
        let ended = owner.post(&[("targets", owner.targets())]);
        owner.targets.expires = END.parse().unwrap();
        vec![first, again, foreign, unsigned, ended, owner.post(&[("targets.json", owner.targets())])]
    }),
    ("delegations", |owner| {
        let first = owner.publish();
        let (alice, mallory) = (OwnKey::bare(), OwnKey::bare());
        let releases = |version, key| sign(&Targets::new(version, END.parse().unwrap()).to_signed(), &[key]);
        let orphan = owner.post(&[("targets/releases", releases(1, &alice))]);
        let keys = list(&mut owner.targets.delegations.keys, &alice.key);
        let name = "targets/releases".parse().unwrap();
        owner.targets.delegations.roles.push(Delegation { name, keys, paths: vec![String::new()] });
        owner.targets.version = 2;
        let parent = ("targets", owner.targets());
        let foreign = owner.post(&[parent.clone(), ("targets/releases", releases(1, &mallory))]);
        let both = owner.post(&[("targets/releases", releases(1, &alice)), parent]);
        let alone = owner.post(&[("targets/releases", releases(2, &alice))]);
        let deep = owner.post(&[("targets/releases/deep", releases(1, &alice))]);
        vec![first, orphan, foreign, both, alone, deep, owner.get("targets/releases.json")]
    }),
    ("snapshots of the owner", |owner| {
        let key = OwnKey::bare();
        owner.root.snapshot = list(&mut owner.root.keys, &key.key);
        let (root, old) = (owner.root(), owner.targets());
        let missing = owner.post(&[("root", root.clone()), ("targets", old.clone())]);
        let one = sign(&snapshot(1, &root, &old), &[&key]);
        let first = owner.post(&[("root", root.clone()), ("targets", old.clone()), ("snapshot", one)]);
        owner.targets.version = 2;
        let new = owner.targets();
        let with = |snapshot| owner.post(&[("targets", new.clone()), ("snapshot", snapshot)]);
        let wrong_targets = with(sign(&snapshot(2, &root, &old), &[&key]));
        let wrong_root = with(sign(&snapshot(2, &new, &new), &[&key]));
        let foreign = with(sign(&snapshot(2, &root, &new), &[&owner.targets_key]));
        let repeated = with(sign(&snapshot(1, &root, &new), &[&key]));
        let good = with(sign(&snapshot(2, &root, &new), &[&key]));
        vec![missing, first, wrong_targets, wrong_root, foreign, repeated, good]
    }),
    ("a timestamp from outside", |owner| {
        let forged = Timestamp { version: 77, expires: END.parse().unwrap(), snapshot: FileMeta::of(b"evil") };
        let forged = sign(&forged.to_signed(), &[&owner.targets_key]);
        let posted = owner.post(&[("root", owner.root()), ("targets", owner.targets()), ("timestamp", forged)]);
        vec![posted, owner.get("77.timestamp.json"), owner.get("1.timestamp.json")]
    }),
    ("malformed uploads", |owner| {
        let first = owner.publish();
        let contents = ["", "{", "[]", r#"{"signed":{"version":"1"}}"#, r#"{"signed":{},"signatures":[]}"#];
        let files = contents.map(|content| owner.post(&[("targets", content.into())]));
        let names = ["", "Targets", "targets/A", "other"].map(|name| owner.post(&[(name, b"{}".to_vec())]));
        let not_multipart = Request::new("POST", &owner.path("")).body("application/json", b"{}");
        [first].into_iter().chain(files).chain(names).chain([owner.send(not_multipart)]).collect()
    }),
    ("bytes that Notary would not write", |owner| {
        let first = owner.publish();
        owner.targets.version = 2;
        let mut spaced = b" ".to_vec();
        spaced.extend(owner.targets());
        let posted = owner.post(&[("targets", spaced)]);
        let fits = owner.snapshot_fits("targets");
        owner.root.version = 2;
        let Value::Object(mut members) = owner.root.to_signed() else { return vec![] };
        members.insert("spec_version".to_owned(), "1.0".into());
        let extended = owner.post(&[("root", sign(&Value::Object(members), &[&owner.root_key]))]);
        vec![
            first,
            posted,
            format!("snapshot fits targets: {fits}"),
            extended,
            format!("and root: {}", owner.snapshot_fits("root")),
        ]
    }),
    ("reading and deleting", |owner| {
        let nothing = "ab".repeat(32);
        let long = "ab".repeat(64);
        let files =
            ["root.json", "1.root.json", "2.root.json", "targets/x.json", "other.json", "targets.key", "snapshot.json", ""];
        let hashed = [format!("root.{nothing}.json"), format!("root.{long}.json"), "root.abcd.json".to_owned()];
        let mut answers = vec![owner.get("root.json"), owner.get("timestamp.json"), owner.publish()];
        answers.extend(files.iter().map(|file| owner.get(file)));
        answers.extend(hashed.iter().map(|file| owner.get(file)));
        for method in ["HEAD", "PUT", "DELETE", "DELETE"] {
            answers.push(owner.send(Request::new(method, &owner.path(if method == "DELETE" { "" } else { "root.json" }))));
        }
        answers.push(owner.get("root.json"));
        for query in ["change_id=0", "change_id=x&records=1", "change_id=900000&records=1"] {
            answers.push(owner.send(Request::new("GET", &format!("/v2/{}/_trust/changefeed?{query}", owner.gun))));
        }
        answers
    }),
];

/// The owner of a new collection on a server that holds its snapshot and timestamp keys.
struct Owner {
    address: String,
    gun: String,
    root_key: OwnKey,
    targets_key: OwnKey,
    root: Root,
    targets: Targets,
}

impl Owner {
    fn new(address: &str, case: &str) -> Self {
        let gun = format!("{GUN}-{}", case.replace(' ', "-"));
        let (root_key, targets_key) = (OwnKey::certified(&gun, 2090), OwnKey::bare());
        let server_key = |role: &str| {
            let answer = Request::new("GET", &format!("/v2/{gun}/_trust/tuf/{role}.key")).send(address).unwrap();
            Key::from_json(&answer.body).unwrap()
        };
        let nobody = || RoleKeys::any_of(vec![]);
        let expires = END.parse().unwrap();
        let (root, targets, snapshot, timestamp) = (nobody(), nobody(), nobody(), nobody());
        let keys = BTreeMap::new();
        let mut root = Root { version: 1, expires, consistent_snapshot: false, keys, root, targets, snapshot, timestamp };
        root.root = list(&mut root.keys, &root_key.key);
        root.targets = list(&mut root.keys, &targets_key.key);
        root.snapshot = list(&mut root.keys, &server_key("snapshot"));
        root.timestamp = list(&mut root.keys, &server_key("timestamp"));
        Self { address: address.to_owned(), gun, root_key, targets_key, root, targets: Targets::new(1, END.parse().unwrap()) }
    }

    fn first(&mut self, version: u64) -> Vec<String> {
        self.root.version = version;
        vec![self.publish()]
    }

    fn with_root_key(&mut self, key: OwnKey) -> String {
        self.root.root = list(&mut self.root.keys, &key.key);
        self.root_key = key;
        self.publish()
    }

    fn root(&self) -> Vec<u8> {
        sign(&self.root.to_signed(), &[&self.root_key])
    }

    fn targets(&self) -> Vec<u8> {
        sign(&self.targets.to_signed(), &[&self.targets_key])
    }

    fn publish(&self) -> String {
        self.post(&[("root", self.root()), ("targets", self.targets())])
    }

    fn post(&self, files: &[(&str, Vec<u8>)]) -> String {
        let mut body = Vec::new();
        for (role, content) in files {
            let head = format!("Content-Disposition: form-data; name=\"files\"; filename=\"{role}\"");
            body.extend(format!("--line\r\n{head}\r\nContent-Type: application/octet-stream\r\n\r\n").into_bytes());
            body.extend_from_slice(content);
            body.extend_from_slice(b"\r\n");
        }
        body.extend_from_slice(b"--line--\r\n");
        self.send(Request::new("POST", &self.path("")).body("multipart/form-data; boundary=line", &body))
    }

    fn get(&self, file: &str) -> String {
        self.send(Request::new("GET", &self.path(file)))
    }

    fn path(&self, file: &str) -> String {
        format!("/v2/{}/_trust/tuf/{file}", self.gun)
    }

    fn send(&self, request: Request) -> String {
        outcome(&request.send(&self.address).unwrap())
    }

    /// Whether the server's snapshot names the bytes that the server serves for a role.
    fn snapshot_fits(&self, role: &str) -> bool {
        let body = |file: &str| Request::new("GET", &self.path(file)).send(&self.address).unwrap().body;
        let snapshot = Snapshot::from_signed(Envelope::parse(&body("snapshot.json")).unwrap().signed()).unwrap();
        let meta = if role == "root" { snapshot.root } else { snapshot.targets };
        meta.check(&body(&format!("{role}.json"))).is_ok()
    }
}

/// What a client acts on: the status, the error's code and detail without its words, and for files how long they may be kept.
fn outcome(answer: &Response) -> String {
    let body: serde_json::Value = serde_json::from_slice(&answer.body).unwrap_or_default();
    let error = |path: &str| body.pointer(path).and_then(|value| value.as_str()).unwrap_or_default().to_owned();
    let caching = answer.headers.first("Cache-Control").filter(|_| answer.status == 200).unwrap_or_default();
    let (code, name) = (error("/errors/0/code"), error("/errors/0/detail/Name"));
    let missing = error("/errors/0/detail/Error/Missing");
    format!("{} {code} {name} {missing} {caching}", answer.status)
}

struct OwnKey {
    key: Key,
    public: PublicKey,
    pair: EcdsaKeyPair,
}

impl OwnKey {
    fn bare() -> Self {
        Self::of(&KeyPair::generate().unwrap(), None)
    }

    fn certified(common_name: &str, until: i32) -> Self {
        let pair = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(Vec::<String>::new()).unwrap();
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, common_name);
        params.not_before = rcgen::date_time_ymd(2000, 1, 1);
        params.not_after = rcgen::date_time_ymd(until, 1, 1);
        let certificate = params.self_signed(&pair).unwrap().pem();
        Self::of(&pair, Some(certificate))
    }

    fn of(pair: &KeyPair, certificate: Option<String>) -> Self {
        let public = PublicKey::from_spki_der(&pair.subject_public_key_info()).unwrap();
        let key = match certificate {
            Some(pem) => Key::from_certificates(pem.as_bytes()).unwrap(),
            None => Key::from_public_key(&public),
        };
        let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &pair.serialize_der()).unwrap();
        Self { key, public, pair }
    }
}

impl Signer for OwnKey {
    fn public_key(&self) -> &PublicKey {
        &self.public
    }

    fn sign(&self, _scheme: SignatureScheme, message: &[u8]) -> Result<Vec<u8>, SignError> {
        Ok(self.pair.sign(&SystemRandom::new(), message).unwrap().as_ref().to_vec())
    }
}

fn list(keys: &mut BTreeMap<KeyId, Key>, key: &Key) -> RoleKeys {
    keys.insert(key.id().clone(), key.clone());
    RoleKeys::any_of(vec![key.id().clone()])
}

fn sign(signed: &Value, keys: &[&OwnKey]) -> Vec<u8> {
    let holders: Vec<KeyHolder<'_>> = keys.iter().map(|own| KeyHolder { key: &own.key, signer: *own }).collect();
    Envelope::sign(signed, &holders).unwrap()
}

fn snapshot(version: u64, root: &[u8], targets: &[u8]) -> Value {
    let (root, targets) = (FileMeta::of(root), FileMeta::of(targets));
    Snapshot { version, expires: END.parse().unwrap(), root, targets, delegations: BTreeMap::new() }.to_signed()
}

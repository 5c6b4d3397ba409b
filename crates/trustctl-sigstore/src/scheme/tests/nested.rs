//! What a manifest that an index names may be: an image, by its bytes, known by the SHA-256 of them.

use serde_json::{Value, json};
use trustctl_core::assess::{Assessment, Assessor};
use trustctl_core::digest::DigestAlgorithm;
use trustctl_core::policy::Policy;
use trustctl_core::scheme::Scheme;
use trustctl_core::subject::ManifestBytes;
use trustctl_core::verdict::VerdictKind;

use super::children::policy;
use super::*;
use crate::layout::OCI_INDEX;

/// A repository with two images, `a` and `c`, and an index of both; the key signs what a test says.
struct World {
    registry: Registry,
    key: TestKey,
    a: Subject,
    c: Subject,
    /// An index of `a` and `c`.
    inner: Subject,
    memory: Memory,
}

impl World {
    fn new() -> Self {
        let mut registry = Registry::new();
        let a = push(&mut registry, &image_manifest("a"));
        let c = push(&mut registry, &image_manifest("c"));
        let inner = push(&mut registry, &index_of(&[(&a, OCI_MANIFEST), (&c, OCI_MANIFEST)]));
        Self { registry, key: TestKey::new(), a, c, inner, memory: Memory::new() }
    }

    /// An index that somebody pushed, with these children labelled so.
    fn outer(&mut self, children: &[(&Subject, &str)]) -> Subject {
        push(&mut self.registry, &index_of(children))
    }

    fn sign(&mut self, subject: &Subject) {
        let edit = AddSignature::make(&signing(subject), &self.key).unwrap();
        self.registry.publish(&edit);
    }

    fn revoke(&mut self, subject: &Subject) {
        let edit = AddRevocation::make(&revoking(subject), &self.key).unwrap();
        self.registry.publish(&edit);
    }

    fn policy(&self, more: &str) -> Policy {
        let key = self.key.public_key().to_pem();
        let rule = "[[rules]]\nname = \"r\"\nimages = [\"**\"]\nrequire = { any = [\"key\"] }";
        policy(&format!("[signers.key]\nscheme = \"cosign\"\nkey = '''{key}'''\n{rule}\n{more}"))
    }

    fn judge(&self, policy: &Policy, subject: &Subject) -> (VerdictKind, Vec<String>, Effort) {
        let schemes: [&dyn Scheme; 1] = [&Cosign::default()];
        let assessor = Assessor { policy, schemes: &schemes, memory: &self.memory, now: at("2026-11-24T00:00:00Z") };
        let (evidence, effort) = self.registry.gather(|evidence| assessor.wants(subject, evidence));
        let judged: Assessment = assessor.assess(subject, &evidence);
        let codes = judged.judgement.verdict.reasons().iter().map(|reason| reason.code.id()).collect();
        (judged.judgement.verdict.kind(), codes, effort)
    }

    #[track_caller]
    fn rejects(&self, more: &str, subject: &Subject, code: &str) {
        let (kind, codes, _) = self.judge(&self.policy(more), subject);
        assert_eq!((kind, codes.first().map(String::as_str)), (VerdictKind::Rejected, Some(code)), "{more}: {codes:?}");
    }

    #[track_caller]
    fn trusts(&self, more: &str, subject: &Subject) -> Effort {
        let (kind, codes, effort) = self.judge(&self.policy(more), subject);
        assert_eq!(kind, VerdictKind::Trusted, "{more}: {codes:?}");
        effort
    }
}

fn image_manifest(name: &str) -> Value {
    json!({"schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": {}, "layers": [], "annotations": {"name": name}})
}

fn index_of(children: &[(&Subject, &str)]) -> Value {
    let entry = |(child, label): &(&Subject, &str)| json!({"mediaType": label, "digest": child.digest, "size": child.size});
    json!({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": children.iter().map(entry).collect::<Vec<_>>()})
}

fn push(registry: &mut Registry, manifest: &Value) -> Subject {
    let (bytes, repository) = (manifest.to_string().into_bytes(), image("x").repository);
    registry.put(Put::Blob { repository: repository.clone(), bytes: bytes.clone() });
    Subject::from_manifest(repository, None, ManifestBytes { bytes: &bytes, announced: None }).unwrap()
}

const RULES: [&str; 3] =
    ["platforms = \"either\"", "platforms = \"children\"", "platforms = \"children\"\nsigned-repository = \"required\""];

/// Whoever can push wraps a signed index, of which one image is revoked, in an index of their own.
#[test]
fn an_index_in_an_index_brings_no_revoked_image_back() {
    for label in [OCI_INDEX, OCI_MANIFEST, "application/vnd.example+json"] {
        let mut world = World::new();
        let (inner, c, a) = (world.inner.clone(), world.c.clone(), world.a.clone());
        for subject in [&inner, &a, &c] {
            world.sign(subject);
        }
        world.trusts("", &inner);
        let outer = world.outer(&[(&inner, label)]);
        let beside = world.outer(&[(&a, OCI_MANIFEST), (&inner, label)]);
        for revoked in [false, true] {
            if revoked {
                world.revoke(&c);
                world.rejects("", &inner, "TC0309");
            }
            for rule in RULES {
                world.rejects(rule, &outer, "TC0720");
                world.rejects(rule, &beside, "TC0720");
            }
        }
        let warn = "mode = \"warn\"\nuntil = 2027-01-31";
        world.rejects(warn, &outer, "TC0720");
        world.rejects(&format!("platforms = \"index\"\n{warn}"), &outer, "TC0720");
        // The same index with the images in it in its place.
        let flat = world.outer(&[(&a, OCI_MANIFEST)]);
        world.trusts("", &flat);
    }
}

#[test]
fn a_signed_index_in_which_is_an_index_is_refused_and_one_of_images_costs_no_manifest() {
    let mut world = World::new();
    let (inner, a) = (world.inner.clone(), world.a.clone());
    for label in [OCI_INDEX, "application/vnd.example+json"] {
        let outer = world.outer(&[(&inner, label)]);
        world.sign(&outer);
        world.rejects("", &outer, "TC0720");
    }
    let odd = world.outer(&[(&a, "application/vnd.example+json")]);
    world.sign(&odd);
    let plain = world.outer(&[(&a, OCI_MANIFEST)]);
    world.sign(&plain);
    let (odd, plain) = (world.trusts("", &odd), world.trusts("", &plain));
    assert_eq!(odd, Effort { requests: plain.requests + 1, rounds: plain.rounds }, "a label that says nothing is looked behind");
    assert_eq!(plain, Effort { requests: 3, rounds: 1 }, "the index's own two, and what could withdraw its image");
}

/// The bytes of a child are asked for with the rest about it, and where they cannot be had nothing is trusted through it.
#[test]
fn children_that_stand_for_their_index_are_looked_at() {
    let mut world = World::new();
    let a = world.a.clone();
    world.sign(&a);
    let outer = world.outer(&[(&a, OCI_MANIFEST)]);
    let manifest = Locator::Manifest { repository: a.repository.clone(), digest: a.digest };
    let whole = world.trusts("", &outer);
    for (entry, code) in [(Entry::Absent, "TC0102"), (refused(RefusalKind::Unavailable), "TC0401")] {
        world.registry.faults.insert(manifest.clone(), entry);
        let (kind, codes, effort) = world.judge(&world.policy(""), &outer);
        assert_eq!((kind, codes.as_slice()), (VerdictKind::Undecided, [code.to_owned()].as_slice()));
        assert_eq!(effort, whole);
    }
    let two_ways = br#"{"schemaVersion":2,"config":{},"layers":[],"Manifests":[]}"#;
    world.registry.faults.insert(manifest, Entry::Present { bytes: two_ways.to_vec(), origin: Origin::Registry });
    world.rejects("", &outer, "TC0103");
}

/// One image under two digests is one image: what is denied or revoked by one of them is not let in by the other.
#[test]
fn a_digest_by_another_algorithm_hides_nothing() {
    let mut world = World::new();
    let (a, c) = (world.a.clone(), world.c.clone());
    let by_sha512 = |subject: &Subject, name: &str| {
        let digest = Digest::of(DigestAlgorithm::Sha512, image_manifest(name).to_string().as_bytes());
        Subject { digest, ..subject.clone() }
    };
    let long = by_sha512(&c, "c");
    let outer = world.outer(&[(&a, OCI_MANIFEST), (&long, OCI_MANIFEST)]);
    world.sign(&outer);
    let deny = format!("[[deny]]\ndigest = \"{}\"\nreason = \"CVE\"", c.digest);
    let open = |more: &str| policy(&format!("default = \"allow\"\n{more}"));
    // The registry does not know it by that digest: nobody can say which image it is.
    assert_eq!(world.judge(&world.policy(""), &outer).0, VerdictKind::Undecided);
    assert_eq!(world.judge(&open(&deny), &outer).0, VerdictKind::Undecided);
    assert_eq!(world.judge(&open(""), &outer).0, VerdictKind::Trusted, "nothing is denied, so nothing is looked for");

    let bytes = image_manifest("c").to_string().into_bytes();
    let known = Locator::Manifest { repository: c.repository.clone(), digest: long.digest };
    world.registry.faults.insert(known, Entry::Present { bytes, origin: Origin::Registry });
    world.trusts("", &outer);
    world.rejects(&deny, &outer, "TC0703");
    assert_eq!(world.judge(&open(&deny), &outer).1, ["TC0703"]);
    let other = format!("[[deny]]\ndigest = \"{}\"\nreason = \"CVE\"", Digest::sha256_of(b"other"));
    assert_eq!(world.judge(&open(&other), &outer).0, VerdictKind::Trusted);
    world.revoke(&c);
    world.rejects("", &outer, "TC0309");
}

#[test]
fn what_is_denied_is_not_let_in_by_wrapping_it_where_no_rule_decides() {
    let mut world = World::new();
    let (inner, a, c) = (world.inner.clone(), world.a.clone(), world.c.clone());
    let deny = format!("default = \"allow\"\n[[deny]]\ndigest = \"{}\"\nreason = \"CVE\"", c.digest);
    for label in [OCI_INDEX, OCI_MANIFEST] {
        let outer = world.outer(&[(&inner, label)]);
        assert_eq!(world.judge(&policy(&deny), &outer).1, ["TC0720"], "{label}");
        assert_eq!(world.judge(&policy("default = \"allow\""), &outer).0, VerdictKind::Trusted);
        let pinned = format!(
            "{deny}\n[[allow]]\nimages = [\"**\"]\ndigest = \"{}\"\nreason = \"known\"\nuntil = 2026-12-24",
            outer.digest
        );
        assert_eq!(world.judge(&policy(&pinned), &outer).1, ["TC0720"], "a pin lets in no denied image either");
    }
    let flat = world.outer(&[(&a, OCI_MANIFEST)]);
    assert_eq!(world.judge(&policy(&deny), &flat).0, VerdictKind::Trusted);
}

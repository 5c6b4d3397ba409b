//! What withdraws a platform image counts for the index that names it, on a host that has never seen it before.

use trustctl_core::assess::{Assessment, Assessor};
use trustctl_core::claim::SchemeName;
use trustctl_core::policy::{Policy, PolicyText};
use trustctl_core::scheme::Scheme;
use trustctl_core::subject::Child;
use trustctl_core::verdict::VerdictKind;

use super::*;
use crate::layout::OCI_INDEX;

/// An index of two platform images, its policy, and who may sign and revoke.
struct World {
    registry: Registry,
    index: Subject,
    key: TestKey,
    policy: Policy,
    memory: Memory,
}

impl World {
    /// The index is signed, its platform images are not.
    fn new(platforms: &str) -> Self {
        let key = TestKey::new();
        let child = |name: &str| Child {
            digest: Digest::sha256_of(name.as_bytes()),
            size: 418,
            media_type: OCI_MANIFEST.to_owned(),
            platform: Some(format!("linux/{name}")),
        };
        let children = vec![child("amd64"), child("arm64")];
        let index = Subject { children, media_type: OCI_INDEX.to_owned(), ..image("index") };
        let rule =
            format!("[[rules]]\nname = \"r\"\nimages = [\"**\"]\nrequire = {{ any = [\"key\"] }}\nplatforms = \"{platforms}\"");
        let policy = policy(&format!("[signers.key]\nscheme = \"cosign\"\nkey = '''{}'''\n{rule}", key.public_key().to_pem()));
        let mut world = Self { registry: Registry::new(), index, key, policy, memory: Memory::new() };
        let signing = AddSignature::make(&signing(&world.index), &world.key).unwrap();
        world.registry.publish(&signing);
        world
    }

    fn child(&self) -> Subject {
        self.index.child(&self.index.children[1])
    }

    fn revoke_child(&mut self, key: &TestKey) {
        let edit = AddRevocation::make(&revoking(&self.child()), key).unwrap();
        self.registry.publish(&edit);
    }

    fn judge(&self) -> (Assessment, Effort) {
        let schemes: [&dyn Scheme; 1] = [&Cosign::default()];
        let now = at("2026-11-24T00:00:00Z");
        let assessor = Assessor { policy: &self.policy, schemes: &schemes, memory: &self.memory, now };
        let (evidence, effort) = self.registry.gather(|evidence| assessor.wants(&self.index, evidence));
        (assessor.assess(&self.index, &evidence), effort)
    }
}

pub(super) fn policy(text: &str) -> Policy {
    let text = format!("version = 1\n{text}");
    Policy::parse(&PolicyText { name: "p.toml", text: &text, load: &|_| Err("no files".to_owned()) }).unwrap()
}

fn kind(assessment: &Assessment) -> VerdictKind {
    assessment.judgement.verdict.kind()
}

fn codes(assessment: &Assessment) -> Vec<Code> {
    assessment.judgement.verdict.reasons().iter().map(|reason| reason.code).collect()
}

#[test]
fn a_signed_index_without_a_revoked_platform_image_is_trusted_in_as_many_rounds_as_an_image() {
    for platforms in ["index", "either"] {
        let mut world = World::new(platforms);
        let of_image = gather(&world.registry, &world.index).1;
        assert_eq!(of_image, Effort { requests: 2, rounds: 1 });
        // Signatures of the platform images are not asked for.
        let bundle = AddBundle::make(&signing(&world.child()), &world.key).unwrap();
        world.registry.publish(&bundle);
        let (judged, effort) = world.judge();
        assert_eq!(kind(&judged), VerdictKind::Trusted, "{judged:?}");
        assert_eq!(effort, Effort { requests: of_image.requests + 2, rounds: of_image.rounds });
    }
}

#[test]
fn a_revoked_platform_image_rejects_the_signed_index_and_is_remembered() {
    for (has_api, mislabels) in [(true, false), (false, false), (false, true)] {
        for platforms in ["index", "either"] {
            let mut world = World::new(platforms);
            (world.registry.has_api, world.registry.mislabels) = (has_api, mislabels);
            let before = world.judge().0;
            assert_eq!(kind(&before), VerdictKind::Trusted);
            let key = std::mem::replace(&mut world.key, TestKey::new());
            world.revoke_child(&key);
            let (judged, _) = world.judge();
            assert_eq!(kind(&judged), VerdictKind::Rejected);
            assert_eq!(codes(&judged), [Code::CosignRevoked]);

            let mut memory = Memory::new();
            for (scheme, name, slot) in judged.learnt() {
                memory.learn(scheme, name, slot.clone());
            }
            assert!(memory.slot(SchemeName::Cosign, &world.child().digest.to_string()).is_some());
            let listing = Locator::Referrers { repository: world.index.repository.clone(), digest: world.child().digest };
            world.registry.faults.insert(listing, Entry::Absent);
            world.memory = memory;
            assert_eq!(codes(&world.judge().0), [Code::CosignRevoked], "what is withheld is remembered");
        }
    }
}

#[test]
fn a_stranger_cannot_revoke_a_platform_image() {
    let mut world = World::new("either");
    world.revoke_child(&TestKey::new());
    assert_eq!(kind(&world.judge().0), VerdictKind::Trusted);
}

#[test]
fn a_platform_images_referrers_that_cannot_be_read_leave_the_index_undecided() {
    for (refusal, code) in [(RefusalKind::Denied, Code::AccessDenied), (RefusalKind::Unavailable, Code::Unavailable)] {
        let mut world = World::new("index");
        let listing = Locator::Referrers { repository: world.index.repository.clone(), digest: world.child().digest };
        world.registry.faults.insert(listing, refused(refusal));
        let (judged, _) = world.judge();
        assert_eq!(kind(&judged), VerdictKind::Undecided);
        assert_eq!(codes(&judged), [code]);
    }
    // Evidence in which it was never asked for decides nothing either.
    let world = World::new("index");
    let schemes: [&dyn Scheme; 1] = [&Cosign::default()];
    let assessor = Assessor { policy: &world.policy, schemes: &schemes, memory: &world.memory, now: at("2026-11-24T00:00:00Z") };
    let judged = assessor.assess(&world.index, &gather(&world.registry, &world.index).0);
    assert_eq!((kind(&judged), codes(&judged)), (VerdictKind::Undecided, vec![Code::NotGathered, Code::NotGathered]));
}

#[test]
fn nothing_is_asked_about_platform_images_without_a_rule_that_names_cosign() {
    let mut world = World::new("index");
    let root = "0".repeat(64);
    let rule = "[[rules]]\nname = \"r\"\nimages = [\"**\"]\nrequire = { any = [\"dct\"] }";
    let only_dct = policy(&format!("[signers.dct]\nscheme = \"dct\"\nroots = [\"{root}\"]\n{rule}"));
    // The rule would cover the platform images, but nothing is asked of an index that needs no signature.
    let key = format!("[signers.key]\nscheme = \"cosign\"\nkey = '''{}'''", world.key.public_key().to_pem());
    let entry = format!("digest = \"{}\"\nreason = \"known\"\nuntil = 2026-12-24", world.index.digest);
    let allowed = policy(&format!("{key}\n{}\n[[allow]]\nimages = [\"**\"]\n{entry}", rule.replace("dct", "key")));
    for policy in [only_dct, allowed] {
        world.policy = policy;
        let (judged, effort) = world.judge();
        assert_eq!(effort, Effort { requests: 0, rounds: 0 });
        assert!(judged.judgement.hidden.is_empty());
    }
}

/// Every question what is still to be fetched looks at all listings; each of them is read from its bytes once.
#[test]
fn listings_of_many_platform_images_are_read_once_and_a_flood_of_entries_ends_them() {
    let mut world = World::new("either");
    let child = |seed: usize| Child {
        digest: Digest::sha256_of(&seed.to_le_bytes()),
        size: 418,
        media_type: OCI_MANIFEST.to_owned(),
        platform: None,
    };
    world.index.children = (0..40).map(child).collect();
    for (seed, child) in world.index.children.iter().map(|child| world.index.child(child)).enumerate() {
        let other = Digest::sha256_of(child.digest.to_string().as_bytes());
        let foreign = format!(r#"{{"mediaType":"m","size":{seed},"digest":"{other}","artifactType":"x/y"}}"#);
        let bytes = format!(r#"{{"manifests":[{foreign}]}}"#).into_bytes();
        world.registry.faults.insert(referrers_locator(&child), Entry::Present { bytes, origin: Origin::ReferrersApi });
    }
    let cosign = Cosign::default();
    let schemes: [&dyn Scheme; 1] = [&cosign];
    let judge = |world: &World| {
        let now = at("2026-11-24T00:00:00Z");
        let assessor = Assessor { policy: &world.policy, schemes: &schemes, memory: &world.memory, now };
        let asked = std::cell::Cell::new(0);
        let (evidence, _) = world.registry.gather(|evidence| {
            asked.set(asked.get() + 1);
            assessor.wants(&world.index, evidence)
        });
        (assessor.assess(&world.index, &evidence), asked.get())
    };
    let (assessment, asked) = judge(&world);
    assert_eq!((kind(&assessment), asked > 1), (VerdictKind::Trusted, true));
    assert_eq!(cosign.listings.readings(), 41, "{asked} times 41 without the memory of what was read");

    let flood = format!(r#"{{"manifests":[{}]}}"#, vec!["{}"; 83_000].join(",")).into_bytes();
    let flooded = world.index.child(&world.index.children[7]);
    world.registry.faults.insert(referrers_locator(&flooded), Entry::Present { bytes: flood, origin: Origin::ReferrersApi });
    let (assessment, _) = judge(&world);
    assert_eq!((kind(&assessment), codes(&assessment)), (VerdictKind::Undecided, vec![Code::CosignTooMany]));
    assert_eq!(cosign.listings.readings(), 42);
}

//! From what is trusted to begin with to the current root.

use std::num::NonZeroU32;

use rcgen::ExtendedKeyUsagePurpose;
use trustctl_core::claim::SchemeName;
use trustctl_core::reason::Code;
use trustctl_core::scheme::{DctAnchor, authority_id};

use crate::world::keys::{Certificate, Holder, der};
use crate::world::{
    GUN, Judge, Swizzle, World, anchor, assert_refused, assert_trusted, assert_undecided, claims, missing_codes, problem_codes,
    role, subject, warning_codes,
};

fn image() -> trustctl_core::subject::Subject {
    subject("1.0", "one")
}

/// A world whose root role has these keys.
fn rooted_in(keys: Vec<Holder>) -> World {
    let mut world = World::new();
    world.root.keys.extend(keys.iter().map(|holder| (holder.key.id().clone(), holder.key.clone())));
    world.root.root.key_ids = keys.iter().map(|holder| holder.key.id().clone()).collect();
    world.root_keys = keys;
    world
}

#[test]
fn a_stranger_is_believed_only_on_request_and_it_is_told() {
    let world = World::new();
    let mut judge = Judge::trusting();
    let findings = judge.examine_and_learn(&image(), &world.publish());
    assert_trusted(&findings);
    assert_eq!(warning_codes(&findings), [Code::DctFirstUse]);
    assert!(claims(&findings).iter().all(|(_, _, anchored_by)| anchored_by.is_empty()));
    assert!(warning_codes(&judge.examine(&image(), &world.publish())).is_empty());

    let judge = Judge::with(vec![anchor(&[])]);
    assert_refused(&judge.examine(&image(), &world.publish()), &[Code::DctRootNotPinned]);
    let judge = Judge::with(Vec::new());
    assert_refused(&judge.examine(&image(), &world.publish()), &[Code::DctRootNotPinned]);
}

#[test]
fn a_pin_wins_over_first_use() {
    let (world, other) = (World::new(), World::new());
    let judge = Judge::with(vec![DctAnchor { tofu: true, ..anchor(&[&other.pin()]) }]);
    assert_refused(&judge.examine(&image(), &world.publish()), &[Code::DctRootNotPinned]);
}

#[test]
fn another_collection_of_the_same_name_is_refused() {
    let (world, hijacker) = (World::new(), World::new());
    let judge = Judge::pinning(&world.pin());
    assert_trusted(&judge.examine(&image(), &world.publish()));
    assert_refused(&judge.examine(&image(), &hijacker.publish()), &[Code::DctRootNotPinned]);
    let mut judge = Judge::trusting();
    assert_trusted(&judge.examine_and_learn(&image(), &world.publish()));
    assert_refused(&judge.examine(&image(), &hijacker.publish()), &[Code::DctBadRotation]);
}

#[test]
fn listing_a_pinned_key_is_not_signing_with_it() {
    let honest = World::new();
    let attacker = rooted_in(vec![Holder::root(GUN), honest.root_keys[0].clone()]);
    let judge = Judge::pinning(&honest.pin());
    assert_trusted(&judge.examine(&image(), &attacker.publish()));
    let mut attacker = attacker;
    // The pinned certificate is public; its key is not the attacker's.
    attacker.root_keys.pop();
    assert_refused(&judge.examine(&image(), &attacker.publish()), &[Code::DctRootNotPinned]);
}

#[test]
fn pinned_keys_must_meet_the_threshold() {
    let keys = vec![Holder::root(GUN), Holder::root(GUN)];
    let mut world = rooted_in(keys);
    world.root.root.threshold = NonZeroU32::new(2).unwrap();
    let ids: Vec<String> = world.root_keys.iter().map(|holder| holder.key.id().to_string()).collect();
    assert_trusted(&Judge::with(vec![anchor(&[&ids[0], &ids[1]])]).examine(&image(), &world.publish()));
    assert_refused(&Judge::pinning(&ids[0]).examine(&image(), &world.publish()), &[Code::DctRootNotPinned]);
}

#[test]
fn each_claim_tells_which_pins_lead_to_it() {
    let mut world = World::new();
    let first = world.pin();
    world.rotate_root(vec![Holder::root(GUN)]);
    let (second, stranger) = (world.pin(), World::new().pin());
    let judge = Judge::with(vec![anchor(&[&first]), anchor(&[&second]), anchor(&[&stranger])]);
    let findings = judge.examine(&image(), &world.publish());
    assert_trusted(&findings);
    let mut both = vec![first, second];
    both.sort();
    assert_eq!(claims(&findings)[0].2, both);
}

#[test]
fn a_pin_on_an_old_root_leads_through_signed_rotations_in_no_extra_round() {
    let mut world = World::new();
    let first = world.pin();
    for _ in 0..3 {
        world.rotate_root(vec![Holder::root(GUN)]);
    }
    let judge = Judge::pinning(&first);
    let gathered = judge.gather(&image(), &world.publish());
    assert_eq!(gathered.rounds.len(), 3, "{:#?}", gathered.rounds);
    assert_eq!(gathered.rounds[1].len(), 4, "{:#?}", gathered.rounds);
    let findings = judge.examine(&image(), &world.publish());
    assert_trusted(&findings);
    assert_eq!(claims(&findings)[0].2, [first]);

    let mut shelf = world.publish();
    shelf.remove_name("2.root.json");
    assert_refused(&judge.examine(&image(), &shelf), &[Code::DctRootNotPinned]);
}

#[test]
fn a_rotation_without_the_old_signature_is_refused() {
    let mut world = World::new();
    let mut judge = Judge::pinning(&world.pin());
    assert_trusted(&judge.examine_and_learn(&image(), &world.publish()));
    world.rotate_root(vec![Holder::root(GUN)]);
    assert_trusted(&judge.examine(&image(), &world.publish()));
    world.cross_signers.clear();
    assert_refused(&judge.examine(&image(), &world.publish()), &[Code::DctBadRotation]);
}

#[test]
fn a_rotation_without_the_new_signature_is_refused() {
    let mut world = World::new();
    let mut judge = Judge::pinning(&world.pin());
    assert_trusted(&judge.examine_and_learn(&image(), &world.publish()));
    world.rotate_root(vec![Holder::root(GUN)]);
    world.root_keys.clear();
    assert_refused(&judge.examine(&image(), &world.publish()), &[Code::DctBadSignature]);
}

#[test]
fn a_jump_needs_every_root_between_and_those_may_have_expired() {
    let mut world = World::new();
    let mut judge = Judge::pinning(&world.pin());
    assert_trusted(&judge.examine_and_learn(&image(), &world.publish()));
    world.root.expires = crate::world::until("2026-11-20");
    world.rotate_root(vec![Holder::ecdsa().certified(&Certificate { years: (2020, 2026), ..Certificate::of(GUN) })]);
    world.rotate_root(vec![Holder::root(GUN)]);
    // Version 2 has expired, and so has its certificate: as an intermediate it will do.
    world.root.expires = crate::world::until("2036-11-01");
    assert_trusted(&judge.examine(&image(), &world.publish()));
    assert_refused(&judge.examine(&image(), &world.publish_with(&Swizzle::Expire("root"))), &[Code::DctExpired]);
    let mut shelf = world.publish();
    shelf.remove_name("2.root.json");
    assert_refused(&judge.examine(&image(), &shelf), &[Code::DctMissingFile]);
}

#[test]
fn a_new_root_costs_no_round_when_the_other_keys_stay() {
    let mut world = World::new();
    let mut judge = Judge::pinning(&world.pin());
    assert_trusted(&judge.examine_and_learn(&image(), &world.publish()));
    world.rotate_root(vec![Holder::root(GUN)]);
    let rounds = judge.gather(&image(), &world.publish()).rounds;
    assert_eq!(rounds.iter().map(Vec::len).collect::<Vec<_>>(), [1, 1, 4], "{rounds:#?}");
    // A new timestamp key shows one round earlier that the root is new.
    world.timestamp_key = Holder::ed25519();
    world.root.keys.insert(world.timestamp_key.key.id().clone(), world.timestamp_key.key.clone());
    world.root.timestamp.key_ids = vec![world.timestamp_key.key.id().clone()];
    let rounds = judge.gather(&image(), &world.publish()).rounds;
    assert_eq!(rounds.iter().map(Vec::len).collect::<Vec<_>>(), [1, 2, 3], "{rounds:#?}");
}

#[test]
fn a_forged_intermediate_root_is_refused() {
    let mut world = World::new();
    let mut judge = Judge::trusting();
    assert_trusted(&judge.examine_and_learn(&image(), &world.publish()));
    world.rotate_root(vec![Holder::root(GUN)]);
    world.rotate_root(vec![Holder::root(GUN)]);
    let mut forged = rooted_in(vec![Holder::root(GUN)]);
    forged.root.version = 2;
    let mut shelf = world.publish();
    shelf.put_as("2.root.json", &forged.root_bytes());
    assert_refused(&judge.examine(&image(), &shelf), &[Code::DctBadRotation]);
    // A root under another version's name is not that version.
    shelf.put_as("2.root.json", &world.old_roots[&1]);
    assert_refused(&judge.examine(&image(), &shelf), &[Code::DctMalformed]);
}

#[test]
fn an_older_root_is_refused_by_whoever_saw_the_newer_one() {
    let old = World::new();
    let mut new = old.clone();
    new.rotate_root(vec![Holder::root(GUN)]);
    let mut judge = Judge::pinning(&old.pin());
    assert_trusted(&judge.examine_and_learn(&image(), &new.publish()));
    let codes = problem_codes(&judge.examine(&image(), &old.publish()));
    assert!(codes.iter().all(|code| *code == Code::DctRollback) && !codes.is_empty(), "{codes:?}");
}

#[test]
fn a_pinned_key_that_was_rotated_away_cannot_come_back() {
    let mut world = World::new();
    let mut judge = Judge::pinning(&world.pin());
    let stolen = world.root_keys[0].clone();
    world.rotate_root(vec![Holder::root(GUN)]);
    assert_trusted(&judge.examine_and_learn(&image(), &world.publish()));
    let mut forged = rooted_in(vec![stolen]);
    forged.root.version = 100;
    forged.bump();
    forged.bump();
    assert_eq!(problem_codes(&judge.examine(&image(), &forged.publish())).first(), Some(&Code::DctMissingFile));
    forged.root.version = 3;
    assert_eq!(problem_codes(&judge.examine(&image(), &forged.publish())).first(), Some(&Code::DctBadRotation));
}

#[test]
fn a_remembered_root_does_not_stand_in_for_a_pin() {
    let mut world = World::new();
    let first = world.pin();
    let mut memory_of_first_use = Judge::trusting();
    assert_trusted(&memory_of_first_use.examine_and_learn(&image(), &world.publish()));
    let mut judge = Judge::pinning(&World::new().pin());
    judge.memory = memory_of_first_use.memory.clone();
    assert_refused(&judge.examine(&image(), &world.publish()), &[Code::DctRootNotPinned]);

    // What led to the remembered root is remembered with it, so that nothing has to be fetched again.
    world.rotate_root(vec![Holder::root(GUN)]);
    let mut judge = Judge::pinning(&first);
    let shelf = world.publish();
    assert_trusted(&judge.examine_and_learn(&image(), &shelf));
    assert_eq!(judge.gather(&image(), &shelf).rounds, [["timestamp.json"]]);
    let findings = judge.examine(&image(), &shelf);
    assert_eq!(claims(&findings)[0].2, [first]);

    // Another pin, on the current key, leads there by itself; one that leads nowhere does not.
    judge.anchors.dct = vec![anchor(&[&world.pin()])];
    assert_eq!(claims(&judge.examine(&image(), &shelf))[0].2, [world.pin()]);
    judge.anchors.dct = vec![anchor(&[&World::new().pin()])];
    assert_refused(&judge.examine(&image(), &shelf), &[Code::DctRootNotPinned]);
}

#[test]
fn what_anchored_one_root_says_nothing_about_another() {
    let (honest, attacker) = (World::new(), World::new());
    let mut judge = Judge::pinning(&honest.pin());
    assert_trusted(&judge.examine_and_learn(&image(), &honest.publish()));
    let mut fooled = Judge::trusting();
    let mut attacker = attacker;
    attacker.root.version = 9;
    assert_trusted(&fooled.examine_and_learn(&image(), &attacker.publish()));
    // Two memories merge: the attacker's root is the newer one, the pin is a fact about the other.
    judge.memory.merge(fooled.memory);
    let findings = judge.examine(&image(), &attacker.publish());
    assert!(findings.claims.is_empty(), "{:#?}", findings.claims);
    assert!(problem_codes(&findings).contains(&Code::DctRootNotPinned), "{:#?}", findings.problems);
}

#[test]
fn an_intermediate_root_that_cannot_be_read_leaves_it_undecided() {
    let mut world = World::new();
    let first = world.pin();
    world.rotate_root(vec![Holder::root(GUN)]);
    let judge = Judge::pinning(&first);
    let mut evidence = judge.gather(&image(), &world.publish()).evidence;
    let at = evidence.iter().map(|(at, _)| at.clone()).find(|at| at.to_string().starts_with("1.root.json")).unwrap();
    evidence.remove(&at);
    let examine =
        |evidence: &_| trustctl_core::scheme::Scheme::examine(&trustctl_dct::scheme::Dct, &image(), evidence, &judge.context());
    assert_undecided(&examine(&evidence), Code::NotGathered);
    // A second signer, whose pin is on the current root, is served all the same.
    let both = Judge::with(vec![anchor(&[&first]), anchor(&[&world.pin()])]);
    let findings = trustctl_core::scheme::Scheme::examine(&trustctl_dct::scheme::Dct, &image(), &evidence, &both.context());
    assert_eq!(claims(&findings)[0].2, [world.pin()]);
    assert_eq!(missing_codes(&findings), [Code::NotGathered]);
}

#[test]
fn absurd_numbers_of_rotations_are_not_followed() {
    let world = World::new();
    let mut forged = rooted_in(vec![Holder::root(GUN)]);
    forged.root.version = 1_000_000;
    let judge = Judge::pinning(&world.pin());
    let gathered = judge.gather(&image(), &forged.publish());
    assert!(gathered.rounds.iter().all(|round| round.len() < 10), "{:#?}", gathered.rounds);
    assert_undecided(&judge.examine(&image(), &forged.publish()), Code::OutOfBudget);
}

#[test]
fn certificates_must_be_for_this_collection_and_this_time() {
    let certificate = Certificate::of(GUN);
    for (certificate, code) in [
        (Certificate::of("registry.example/*"), None),
        (Certificate::of("*"), None),
        (Certificate { years: (2026, 2027), ..certificate.clone() }, None),
        (Certificate::of("registry.example/shop/other"), Some(Code::DctRootCertificate)),
        (Certificate::of("registry.example/shop/car"), Some(Code::DctRootCertificate)),
        (Certificate::of("registry.example/other/*"), Some(Code::DctRootCertificate)),
        (Certificate { years: (2020, 2026), ..certificate.clone() }, Some(Code::DctRootCertificate)),
        (Certificate { years: (2027, 2036), ..certificate.clone() }, Some(Code::DctRootCertificate)),
        (Certificate { is_authority: true, ..certificate.clone() }, Some(Code::DctRootCertificate)),
    ] {
        let world = rooted_in(vec![Holder::ecdsa().certified(&certificate)]);
        let findings = Judge::pinning(&world.pin()).examine(&image(), &world.publish());
        match code {
            None => assert_trusted(&findings),
            Some(code) => assert_refused(&findings, &[code]),
        }
    }
    let bare = rooted_in(vec![Holder::ecdsa()]);
    assert_refused(&Judge::pinning(&bare.pin()).examine(&image(), &bare.publish()), &[Code::DctRootCertificate]);
}

#[test]
fn a_certificate_may_begin_a_day_from_now() {
    let world = rooted_in(vec![Holder::ecdsa().certified(&Certificate { years: (2027, 2036), ..Certificate::of(GUN) })]);
    let mut judge = Judge::pinning(&world.pin());
    let mut shelf = world;
    shelf.timestamp.1 = crate::world::until("2027-01-10");
    judge.now = "2026-12-31T00:00:00Z".parse().unwrap();
    assert_trusted(&judge.examine(&image(), &shelf.publish()));
    judge.now = "2026-12-30T23:59:59Z".parse().unwrap();
    assert_refused(&judge.examine(&image(), &shelf.publish()), &[Code::DctRootCertificate]);
}

#[test]
fn a_broken_hash_in_the_certificate_is_refused() {
    let key = Holder::rsa();
    let good = key.certificate_pem(&Certificate::of(GUN));
    let world = rooted_in(vec![key.listed_as(&good)]);
    assert_trusted(&Judge::pinning(&world.pin()).examine(&image(), &world.publish()));
    // sha256WithRSAEncryption becomes sha1WithRSAEncryption; nobody checks the self-signature, so only the rule refuses it.
    let sha256 = [0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x0b];
    let mut bytes = der(&good);
    for at in 0..bytes.len() - sha256.len() {
        if bytes[at..at + sha256.len()] == sha256 {
            bytes[at + sha256.len() - 1] = 0x05;
        }
    }
    let weak = rooted_in(vec![key.listed_as(&pem::encode(&pem::Pem::new("CERTIFICATE", bytes)))]);
    assert_refused(&Judge::pinning(&weak.pin()).examine(&image(), &weak.publish()), &[Code::DctRootCertificate]);
}

/// An authority, a root key certified by it directly, and one certified through an intermediate.
fn authority() -> (Holder, Certificate<'static>, String) {
    let (authority, itself) =
        (Holder::ecdsa(), Certificate { is_authority: true, purposes: vec![], ..Certificate::of("Example CA") });
    let pem = authority.certificate_pem(&itself);
    (authority, itself, pem)
}

fn pinning_authority(pem: &str) -> Judge {
    Judge::with(vec![DctAnchor { authorities: vec![der(pem)], ..anchor(&[]) }])
}

#[test]
fn a_pinned_authority_leads_to_the_root_keys_it_certified() {
    let (authority, itself, pem) = authority();
    let key = Holder::ecdsa();
    let direct = rooted_in(vec![key.listed_as(&authority.issue(&itself, &key, &Certificate::of(GUN)))]);
    let findings = pinning_authority(&pem).examine(&image(), &direct.publish());
    assert_trusted(&findings);
    assert_eq!(claims(&findings)[0].2, [authority_id(&der(&pem))]);

    let (between, description) =
        (Holder::ecdsa(), Certificate { is_authority: true, purposes: vec![], ..Certificate::of("Between") });
    let issued = authority.issue(&itself, &between, &description);
    let bundle = [between.issue(&description, &key, &Certificate::of(GUN)), issued].concat();
    let chained = rooted_in(vec![key.listed_as(&bundle)]);
    assert_trusted(&pinning_authority(&pem).examine(&image(), &chained.publish()));

    let (_, _, other) = self::authority();
    for world in [&direct, &chained, &World::new()] {
        assert_refused(&pinning_authority(&other).examine(&image(), &world.publish()), &[Code::DctRootNotPinned]);
    }
    assert_refused(&pinning_authority(&pem).examine(&image(), &World::new().publish()), &[Code::DctRootNotPinned]);
}

#[test]
fn a_chain_to_an_authority_is_checked_link_by_link() {
    let (authority, itself, pem) = authority();
    let key = Holder::ecdsa();
    let issue = |itself: &Certificate<'_>, certificate: &Certificate<'_>| {
        rooted_in(vec![key.listed_as(&authority.issue(itself, &key, certificate))])
    };
    let purpose = |purpose| Certificate { purposes: vec![purpose], ..Certificate::of(GUN) };
    for good in [Certificate { purposes: vec![], ..Certificate::of(GUN) }, purpose(ExtendedKeyUsagePurpose::ServerAuth)] {
        assert_trusted(&pinning_authority(&pem).examine(&image(), &issue(&itself, &good).publish()));
    }
    let wrong_purpose = issue(&itself, &purpose(ExtendedKeyUsagePurpose::EmailProtection));
    assert_refused(&pinning_authority(&pem).examine(&image(), &wrong_purpose.publish()), &[Code::DctRootNotPinned]);
    // An issuer of another name, one that is no authority, and one that has ended.
    let renamed = issue(&Certificate { common_name: "Other CA", ..itself.clone() }, &Certificate::of(GUN));
    assert_refused(&pinning_authority(&pem).examine(&image(), &renamed.publish()), &[Code::DctRootNotPinned]);
    let world = issue(&itself, &Certificate::of(GUN));
    for bad in [Certificate { is_authority: false, ..itself.clone() }, Certificate { years: (2020, 2026), ..itself.clone() }] {
        let judge = pinning_authority(&authority.certificate_pem(&bad));
        assert_refused(&judge.examine(&image(), &world.publish()), &[Code::DctRootNotPinned]);
    }
    // The right name with another key: the signature does not verify.
    let impostor = Holder::ecdsa();
    let judge = pinning_authority(&impostor.certificate_pem(&itself));
    assert_refused(&judge.examine(&image(), &world.publish()), &[Code::DctRootNotPinned]);
}

#[test]
fn a_bundle_has_one_certificate_of_its_own_first() {
    let (authority, itself, pem) = authority();
    let (key, certificate) = (Holder::ecdsa(), Certificate::of(GUN));
    let leaf = authority.issue(&itself, &key, &certificate);
    let good = rooted_in(vec![key.listed_as(&[leaf.as_str(), &pem].concat())]);
    assert_trusted(&Judge::pinning(&good.pin()).examine(&image(), &good.publish()));
    let two = rooted_in(vec![key.listed_as(&[leaf.as_str(), &Holder::ecdsa().certificate_pem(&certificate)].concat())]);
    assert_refused(&Judge::pinning(&two.pin()).examine(&image(), &two.publish()), &[Code::DctRootCertificate]);
    // The authority first: what it certifies is another key, so its own is the one that would count.
    let swapped = rooted_in(vec![authority.listed_as(&[pem.as_str(), &leaf].concat())]);
    assert_refused(&Judge::pinning(&swapped.pin()).examine(&image(), &swapped.publish()), &[Code::DctRootCertificate]);
}

#[test]
fn only_what_counts_is_remembered() {
    let world = World::new();
    let judge = Judge::pinning(&World::new().pin());
    assert!(judge.examine(&image(), &world.publish()).learnt.is_empty());
    let mut judge = Judge::pinning(&world.pin());
    judge.examine_and_learn(&image(), &world.publish_with(&Swizzle::DropSignatures("targets/alice")));
    let slot = judge.memory.slot(SchemeName::Dct, GUN).unwrap();
    let floors: Vec<(&str, u64)> = slot.floors.iter().map(|(name, floor)| (name.as_str(), *floor)).collect();
    assert_eq!(floors, [("root", 1), ("snapshot", 5), ("targets", 3), ("targets/releases", 2), ("timestamp", 7)]);
    assert!(!slot.documents.contains_key(role("targets/alice").as_str()));
    assert_eq!(slot.facts.len(), 1);
}

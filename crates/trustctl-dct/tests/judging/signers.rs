//! Who counts as a signer of a file: public keys, not the ids they are listed under.

use std::num::NonZeroU32;

use trustctl_core::claim::Principal;
use trustctl_core::reason::Code;
use trustctl_core::signer::Signer as _;
use trustctl_dct::error::DctError;
use trustctl_dct::metadata::envelope::{Envelope, KeyHolder};
use trustctl_dct::metadata::{Document as _, RoleKeys};

use crate::world::keys::{Certificate, Holder};
use crate::world::{GUN, Judge, World, assert_refused, assert_trusted, role, subject};

const TWO: NonZeroU32 = NonZeroU32::new(2).unwrap();

/// What a threshold of two finds in a file that these holders signed.
fn signed_by(holders: &[&Holder]) -> Result<usize, DctError> {
    let signers: Vec<KeyHolder<'_>> = holders.iter().map(|holder| KeyHolder { key: &holder.key, signer: *holder }).collect();
    let bytes = Envelope::sign(&World::new().targets.to_signed(), &signers).unwrap();
    let keys = holders.iter().map(|holder| (holder.key.id().clone(), holder.key.clone())).collect();
    let role = RoleKeys { key_ids: holders.iter().map(|holder| holder.key.id().clone()).collect(), threshold: TWO };
    Envelope::parse(&bytes).unwrap().verify(&role, &keys).map(|signers| signers.ids().count())
}

#[test]
fn one_public_key_under_two_ids_does_not_meet_a_threshold_of_two() {
    for bare in [Holder::ecdsa(), Holder::rsa()] {
        let (first, second) = (bare.certified(&Certificate::of("a")), bare.certified(&Certificate::of("b")));
        assert_ne!(bare.key.id(), first.key.id());
        let once = Err(DctError::BadSignature { valid: 1, threshold: 2 });
        assert_eq!(signed_by(&[&bare, &first]), once);
        assert_eq!(signed_by(&[&first, &second]), once);
        assert_eq!(signed_by(&[&bare, &Holder::ecdsa().certified(&Certificate::of("a"))]), Ok(2));
        assert_eq!(signed_by(&[&bare, &first, &Holder::ecdsa()]), Ok(3), "two keys, one of them under two ids");
    }
}

#[test]
fn one_root_key_in_two_certificates_is_one_root_key() {
    let (key, other) = (Holder::root(GUN), Holder::root(GUN));
    let again = key.certified(&Certificate::of(GUN));
    assert_ne!(key.key.id(), again.key.id());
    for (second, met) in [(other, true), (again, false)] {
        let mut world = World::new();
        let keys = vec![key.clone(), second];
        world.root.keys.extend(keys.iter().map(|holder| (holder.key.id().clone(), holder.key.clone())));
        world.root.root = RoleKeys { key_ids: keys.iter().map(|holder| holder.key.id().clone()).collect(), threshold: TWO };
        world.root_keys = keys;
        let findings = Judge::pinning(&world.pin()).examine(&subject("1.0", "one"), &world.publish());
        if met {
            assert_refused(&findings, &[Code::DctRootNotPinned])
        } else {
            assert_refused(&findings, &[Code::DctBadSignature])
        }
        let findings = Judge::trusting().examine(&subject("1.0", "one"), &world.publish());
        if met { assert_trusted(&findings) } else { assert_refused(&findings, &[Code::DctBadSignature]) }
    }
}

#[test]
fn a_claim_names_the_keys_that_signed_it() {
    let mut world = World::new();
    let fingerprint = |world: &World, name: &str| world.delegations[&role(name)].1.public_key().fingerprint();
    let keys_of = |world: &World| -> Vec<(String, Vec<String>)> {
        let findings = Judge::pinning(&world.pin()).examine(&subject("2.0", "two"), &world.publish());
        assert_trusted(&findings);
        let keys = |principal: &Principal| match principal {
            Principal::Role { role, keys, .. } => (role.clone(), keys.clone()),
            other => unreachable!("{other}"),
        };
        findings.claims.iter().map(|claim| keys(&claim.principal)).collect()
    };
    let (releases, alice) = (fingerprint(&world, "targets/releases"), fingerprint(&world, "targets/alice"));
    assert_ne!(releases, alice);
    let named = |releases: &str, alice: &str| {
        vec![("targets/releases".to_owned(), vec![releases.to_owned()]), ("targets/alice".to_owned(), vec![alice.to_owned()])]
    };
    assert_eq!(keys_of(&world), named(&releases, &alice));
    // As docker trust signer add does: alice's key in both, here once in a certificate.
    let certified = world.delegations[&role("targets/alice")].1.certified(&Certificate::of("alice"));
    world.targets.delegations.keys.insert(certified.key.id().clone(), certified.key.clone());
    let listed = world.targets.delegations.roles.iter_mut().find(|delegation| delegation.name == role("targets/releases"));
    listed.unwrap().keys = RoleKeys::any_of(vec![certified.key.id().clone()]);
    world.delegations.get_mut(&role("targets/releases")).unwrap().1 = certified;
    assert_eq!(keys_of(&world), named(&alice, &alice));
}

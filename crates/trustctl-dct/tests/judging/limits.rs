//! What an attacker may make us do: numbers in files have limits, and what is beyond them is never believed.

use trustctl_core::reason::Code;
use trustctl_dct::metadata::envelope::{Envelope, KeyHolder, MAX_SIGNATURES};
use trustctl_dct::metadata::{Document as _, MAX_ROLE_KEYS, MAX_ROOT_KEYS};

use crate::world::keys::Holder;
use crate::world::{GUN, Judge, World, assert_refused, assert_trusted, assert_undecided, subject};

/// A world whose root lists `listed` keys in all, `keys` of them in the root role.
fn with_keys(keys: usize, listed: usize) -> World {
    let mut world = World::new();
    let (have, in_role) = (world.root.keys.len(), world.root.root.key_ids.len());
    for count in 0..listed - have {
        let holder = if count < keys - in_role { Holder::root(GUN) } else { Holder::ed25519() };
        if count < keys - in_role {
            world.root.root.key_ids.push(holder.key.id().clone());
        }
        world.root.keys.insert(holder.key.id().clone(), holder.key);
    }
    world
}

#[test]
fn a_root_has_a_limited_number_of_keys() {
    for (keys, listed, good) in [
        (MAX_ROLE_KEYS, MAX_ROOT_KEYS, true),
        (MAX_ROLE_KEYS + 1, MAX_ROOT_KEYS, false),
        (MAX_ROLE_KEYS, MAX_ROOT_KEYS + 1, false),
    ] {
        let world = with_keys(keys, listed);
        let findings = Judge::pinning(&world.pin()).examine(&subject("1.0", "one"), &world.publish());
        if good { assert_trusted(&findings) } else { assert_refused(&findings, &[Code::DctMalformed]) }
    }
}

#[test]
fn a_file_has_a_limited_number_of_signatures() {
    let world = World::new();
    let holder = KeyHolder { key: &world.timestamp_key.key, signer: &world.timestamp_key };
    let mut shelf = world.publish();
    let signed = Envelope::parse(shelf.current("timestamp").unwrap()).unwrap().signed().clone();
    for (count, good) in [(MAX_SIGNATURES, true), (MAX_SIGNATURES + 1, false)] {
        shelf.put("timestamp", &Envelope::sign(&signed, &vec![holder; count]).unwrap());
        let findings = Judge::pinning(&world.pin()).examine(&subject("1.0", "one"), &shelf);
        if good { assert_trusted(&findings) } else { assert_refused(&findings, &[Code::DctMalformed]) }
    }
    assert!(Envelope::parse(&Envelope::sign(&world.root.to_signed(), &vec![holder; MAX_SIGNATURES + 1]).unwrap()).is_err());
}

/// Following the roots is done again for every question what is still to be fetched.
#[test]
fn a_chain_of_roots_has_a_limited_number_of_signatures() {
    let sets: [Vec<Holder>; 2] = std::array::from_fn(|_| (0..MAX_SIGNATURES / 2).map(|_| Holder::root(GUN)).collect());
    for (rotations, good) in [(8, true), (10, false)] {
        let mut world = World::new();
        let first = world.pin();
        sets.iter().cycle().take(rotations).for_each(|keys| world.rotate_root(keys.clone()));
        let findings = Judge::pinning(&first).examine(&subject("1.0", "one"), &world.publish());
        if good { assert_trusted(&findings) } else { assert_undecided(&findings, Code::OutOfBudget) }
    }
}

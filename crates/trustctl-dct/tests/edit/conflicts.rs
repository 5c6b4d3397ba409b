//! Two publishers at once, and runs that are repeated.

use trustctl_dct::edit::{Change, MissingKey, apply};

use crate::world::{World, held, now, role, sign, version};

#[test]
fn two_publishers_lose_nothing_of_each_other() {
    let mut world = World::with_signers();
    let (alice, bob) = (world.alice.clone(), world.bob.clone());
    let (of_alice, of_bob) = ([sign("a", "image a")], [sign("b", "image b")]);
    let seen = world.current();
    let first = apply(&of_alice, &seen, &held(&[&alice]), now()).unwrap();
    let second = apply(&of_bob, &seen, &held(&[&bob]), now()).unwrap();
    world.accept(&first).unwrap();
    assert_eq!(world.accept(&second), Err("VERSION"));
    let second = world.publish(&of_bob, &[&bob]);
    assert_eq!(version(second.file(&role("targets/releases")).unwrap()), 2);
    assert_eq!(world.signed_by("a", "image a"), ["targets/releases", "targets/alice"]);
    assert_eq!(world.signed_by("b", "image b"), ["targets/releases", "targets/bob"]);
}

#[test]
fn an_upload_that_was_accepted_before_the_answer_got_lost_is_found_done() {
    let mut world = World::with_signers();
    let alice = world.alice.clone();
    let changes = [sign("1.0", "image")];
    let upload = world.plan(&changes, &[&alice]).unwrap();
    world.accept(&upload).unwrap();
    assert!(world.plan(&changes, &[&alice]).unwrap().is_empty());
}

#[test]
fn a_revocation_meets_a_signature_made_meanwhile() {
    let mut world = World::with_signers();
    let (alice, bob) = (world.alice.clone(), world.bob.clone());
    world.publish(&[sign("1.0", "image")], &[&alice]);
    let revoke = [Change::RevokeTag { name: "1.0".to_owned(), digest: None, missing: MissingKey::Fail }];
    let seen = world.current();
    let planned = apply(&revoke, &seen, &held(&[&alice]), now()).unwrap();
    world.publish(&[sign("1.0", "image")], &[&bob]);
    // Bob touched only his own role, so the server takes the upload; reading again shows that the tag is still there.
    world.accept(&planned).unwrap();
    assert_eq!(world.read("1.0", "image").claims.len(), 1);
    let reason = world.plan(&revoke, &[&alice]).unwrap_err();
    assert!(reason.message.contains("targets/bob"), "{}", reason.message);
    world.publish(&revoke, &[&alice, &bob]);
    assert!(world.signed_by("1.0", "image").is_empty());
}

#[test]
fn the_state_after_an_upload_is_what_the_server_then_has() {
    let mut world = World::with_signers();
    let alice = world.alice.clone();
    let seen = world.current();
    let upload = apply(&[sign("1.0", "image")], &seen, &held(&[&alice]), now()).unwrap();
    let expected = seen.after(&upload).unwrap();
    world.accept(&upload).unwrap();
    let roles = |current: &trustctl_dct::edit::Current| -> Vec<_> {
        current.roles().map(|(role, content)| (role.clone(), content.clone())).collect()
    };
    assert_eq!(roles(&expected), roles(&world.current()));
}

//! What a publisher may build on: nothing that is older than what was seen, and what publishing mends.

use trustctl_core::claim::SchemeName;
use trustctl_core::memory::Memory;
use trustctl_core::reason::{Code, Reason};
use trustctl_dct::collection::RoleFile;
use trustctl_dct::edit::{Change, Current, Effect, Files, apply, editable};
use trustctl_dct::metadata::Expiry;
use trustctl_dct::metadata::targets::Targets;

use crate::keys::TestKey;
use crate::world::{GUN, World, held, now, role, sealed, sign, version};

const RELEASES: &str = "targets/releases";

/// The state that a publisher edits: the collection as read, with the files of its broken delegations.
fn current(world: &World) -> Result<Current, Reason> {
    let reading = world.reading();
    let collection = editable(&reading)?;
    let mut files = Files::from(collection);
    for broken in collection.roles.iter().filter(|role| matches!(role.file, RoleFile::Broken(_))) {
        let found = world.file(&collection.file_of(&broken.name));
        files.add((collection, broken.name.clone()), found, world.memory.slot(SchemeName::Dct, GUN))?;
    }
    Current::open(GUN, files)
}

fn refused(world: &World) -> Code {
    current(world).unwrap_err().code
}

/// Alice signed 1.0 and 2.0 and took 1.0 back, and all of it was seen; with the file that still has 1.0.
fn seen() -> (World, Vec<u8>) {
    let mut world = World::with_signers();
    let alice = world.alice.clone();
    world.publish(&[sign("1.0", "bad"), sign("2.0", "good")], &[&alice]);
    let old = world.newest(RELEASES).to_vec();
    let revoke = Change::RevokeTag { name: "1.0".to_owned(), digest: None, missing: trustctl_dct::edit::MissingKey::Fail };
    world.publish(&[revoke], &[&alice]);
    assert_eq!(world.signed_by("2.0", "good"), [RELEASES, "targets/alice"]);
    (world, old)
}

#[test]
fn a_replayed_delegation_is_not_signed_anew() {
    let (mut world, old) = seen();
    assert!(current(&world).unwrap().role(&role(RELEASES)).unwrap().targets.keys().eq(["2.0"]));
    world.serve_instead(RELEASES, old);
    assert_eq!(refused(&world), Code::DctRollback);
    // Who never saw the newer file cannot know: the tag would come back.
    world.memory = Memory::new();
    assert!(current(&world).unwrap().role(&role(RELEASES)).unwrap().targets.contains_key("1.0"));
}

#[test]
fn an_expired_delegation_is_renewed_with_what_it_holds() {
    let (mut world, _) = seen();
    let alice = world.alice.clone();
    let mut ended = world.current().role(&role(RELEASES)).unwrap().clone();
    ended.version += 1;
    ended.expires = Expiry::at("2026-11-22T00:00:00Z".parse().unwrap());
    world.serve_instead(RELEASES, sealed(&ended, &alice));
    assert_eq!(world.problems("2.0", "good"), [Code::DctExpired]);
    let upload = apply(&[Change::Witness { role: role(RELEASES) }], &current(&world).unwrap(), &held(&[&alice]), now()).unwrap();
    assert_eq!(upload.effects(), [Effect::Renewed { role: role(RELEASES) }]);
    assert_eq!(version(upload.file(&role(RELEASES)).unwrap()), ended.version + 1);
    world.accept(&upload).unwrap();
    assert_eq!(world.signed_by("2.0", "good"), [RELEASES, "targets/alice"]);
}

#[test]
fn a_replayed_delegation_that_has_expired_is_no_better() {
    let (mut world, _) = seen();
    let mut ended = world.current().role(&role(RELEASES)).unwrap().clone();
    ended.version -= 1;
    ended.expires = Expiry::at("2026-11-22T00:00:00Z".parse().unwrap());
    let bytes = sealed(&ended, &world.alice);
    world.serve_instead(RELEASES, bytes);
    assert_eq!(refused(&world), Code::DctRollback);
}

#[test]
fn a_delegation_that_another_key_signed_is_begun_anew_on_top_of_the_newest() {
    let (mut world, _) = seen();
    let end = Expiry::at("2029-11-01T00:00:00Z".parse().unwrap());
    let by_stranger = |version| sealed(&Targets::new(version, end.clone()), &TestKey::ecdsa());
    world.serve_instead(RELEASES, by_stranger(9));
    assert_eq!(world.problems("2.0", "good"), [Code::DctBadSignature]);
    assert!(current(&world).unwrap().role(&role(RELEASES)).is_none());
    // One that is lower than what was seen would have the next version be one that was there already.
    world.serve_instead(RELEASES, by_stranger(1));
    assert_eq!(refused(&world), Code::DctRollback);
}

#[test]
fn a_delegation_with_any_other_fault_is_refused() {
    let (mut world, _) = seen();
    assert!(current(&world).is_ok());
    let mut lost = World { files: world.files.clone(), memory: world.memory.clone(), ..World::virgin() };
    lost.server_snapshot = world.server_snapshot.clone();
    lost.server_timestamp = world.server_timestamp.clone();
    lost.serve_instead(RELEASES, b"{}".to_vec());
    assert_eq!(refused(&lost), Code::DctMalformed);
    world.files.get_mut(RELEASES).unwrap().clear();
    world.memory = Memory::new();
    assert_eq!(refused(&world), Code::DctMissingFile);
}

#[test]
fn a_file_read_for_an_edit_is_the_one_the_snapshot_names_and_not_older_than_seen() {
    let (world, old) = seen();
    let reading = world.reading();
    let collection = editable(&reading).unwrap();
    let remembered = world.memory.slot(SchemeName::Dct, GUN);
    let newest = world.newest(RELEASES).to_vec();
    assert_eq!(world.file(&collection.file_of(&role(RELEASES))).unwrap(), newest);
    let add = |bytes: Option<&Vec<u8>>, slot| {
        let mut files = Files::from(collection);
        files.add((collection, role(RELEASES)), bytes.cloned(), slot).map_err(|reason| reason.code)
    };
    assert_eq!(add(Some(&newest), remembered), Ok(()));
    assert_eq!(add(Some(&old), remembered), Err(Code::DctHashMismatch));
    assert_eq!(add(None, remembered), Err(Code::DctRollback));
    assert_eq!(add(None, None), Ok(()));
    // A role that the collection does not have any more is found by its name only.
    let mut gone = collection.clone();
    gone.snapshot.document.delegations.clear();
    assert_eq!(gone.file_of(&role(RELEASES)), "targets/releases.json");
    let mut files = Files::from(&gone);
    let mut add =
        |bytes: &[u8]| files.add((&gone, role(RELEASES)), Some(bytes.to_vec()), remembered).map_err(|reason| reason.code);
    assert_eq!(add(&old), Err(Code::DctRollback));
    assert_eq!(add(b"{}"), Err(Code::DctMalformed));
    assert_eq!(add(&newest), Ok(()));
}

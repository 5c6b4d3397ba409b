//! Refreshes that end in the middle: nothing that was verified is lost, and nothing half is used.

use trustctl_core::reason::Code;
use trustctl_lab::tuf::{KeyKind, Role};

use crate::client::{Client, new_key, repository, rotate, trusted_root};

#[test]
fn whatever_file_a_refresh_ends_before_the_newest_root_stays_and_the_next_run_arrives() {
    let mut repository = repository();
    let mut seen = Client::of(&repository);
    seen.refresh(&repository.files()).unwrap();
    let old = repository.files();
    for _ in 0..2 {
        rotate(&mut repository, Role::Root, new_key(KeyKind::Ecdsa));
    }
    repository.set_target("trusted_root.json", trusted_root(2));
    repository.set_target("signing_config.v0.2.json", "{\"signing\":3}");
    repository.release().unwrap();
    let files = repository.files();
    let all = seen.clone().refresh(&files).unwrap();
    assert_eq!(all.len(), 8, "{all:?}");
    for end in 0..=all.len() {
        let mut client = seen.clone();
        let (_, done) = client.refresh_until(&files, end).unwrap();
        assert_eq!(done, end == all.len());
        assert_eq!(client.root_version(), u64::try_from(1 + end.min(2)).unwrap(), "ended before file {end}");
        let expected = if done { trusted_root(2) } else { trusted_root(1) };
        assert_eq!(client.uses(), Some(expected), "ended before file {end}: all of one release, or all of the other");
        if end > 3 {
            assert_eq!(client.code(&old), Some(Code::AnchorRolledBack), "the timestamp was seen by file {end}");
        }
        let again = client.refresh(&files).unwrap();
        assert!(!again.contains(&"2.root.json".to_owned()) || end == 0, "ended before file {end}: {again:?}");
        assert_eq!((client.uses(), client.root_version()), (Some(trusted_root(2)), 3));
    }
}

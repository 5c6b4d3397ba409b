//! What holds for every input.

use std::sync::OnceLock;

use proptest::prelude::*;
use proptest::sample::Index;
use trustctl_core::evidence::{Entry, Evidence, Origin};
use trustctl_core::scheme::{Findings, Scheme as _};
use trustctl_core::subject::Subject;
use trustctl_dct::metadata::Document as _;
use trustctl_dct::metadata::envelope::Envelope;
use trustctl_dct::metadata::root::Root;
use trustctl_dct::metadata::snapshot::Snapshot;
use trustctl_dct::metadata::targets::Targets;
use trustctl_dct::metadata::timestamp::Timestamp;
use trustctl_dct::scheme::Dct;

use crate::world::keys::Holder;
use crate::world::{GUN, Judge, Swizzle, World, claims, subject, subject_by_digest};

/// A rotated collection with a conflict between roles, the first root pinned.
struct Prepared {
    judge: Judge,
    cases: Vec<(Subject, Evidence, Vec<String>)>,
}

fn deciding(findings: &Findings) -> Vec<String> {
    claims(findings).into_iter().filter(|(_, effective, _)| *effective).map(|(role, _, _)| role).collect()
}

fn prepared() -> &'static Prepared {
    static PREPARED: OnceLock<Prepared> = OnceLock::new();
    PREPARED.get_or_init(|| {
        let mut world = World::new();
        let judge = Judge::pinning(&world.pin());
        world.rotate_root(vec![Holder::root(GUN)]);
        world.sign("targets", "2.0", "old");
        let mut cases = Vec::new();
        let subjects = [
            subject("1.0", "one"),
            subject("2.0", "two"),
            subject("2.0", "old"),
            subject("3.0", "one"),
            subject_by_digest("old"),
        ];
        for swizzle in [Swizzle::Nothing, Swizzle::Expire("targets/releases"), Swizzle::DropSignatures("targets")] {
            let shelf = world.publish_with(&swizzle);
            for subject in &subjects {
                let evidence = judge.gather(subject, &shelf).evidence;
                let before = deciding(&Dct.examine(subject, &evidence, &judge.context()));
                cases.push((subject.clone(), evidence, before));
            }
        }
        Prepared { judge, cases }
    })
}

fn parse_as_everything(bytes: &[u8]) {
    if let Ok(envelope) = Envelope::parse(bytes) {
        let _ = Root::from_signed(envelope.signed());
        let _ = Targets::from_signed(envelope.signed());
        let _ = Snapshot::from_signed(envelope.signed());
        let _ = Timestamp::from_signed(envelope.signed());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn dropping_evidence_never_yields_trust(case in 0..15_usize, dropped in any::<u16>()) {
        let prepared = prepared();
        let (subject, evidence, before) = &prepared.cases[case];
        let mut fewer = evidence.clone();
        for (index, (locator, _)) in evidence.iter().enumerate() {
            if dropped >> (index % 16) & 1 == 1 {
                fewer.remove(locator);
            }
        }
        let findings = Dct.examine(subject, &fewer, &prepared.judge.context());
        for role in deciding(&findings) {
            prop_assert!(before.contains(&role), "{role} decides only without some evidence");
        }
        // Whatever was dropped is asked for again, unless it is not needed to say no.
        if fewer != *evidence && findings.problems.is_empty() && findings.claims.is_empty() {
            prop_assert!(!findings.missing.is_empty());
        }
    }

    #[test]
    fn judging_twice_gives_the_same(case in 0..15_usize) {
        let prepared = prepared();
        let (subject, evidence, _) = &prepared.cases[case];
        let once = Dct.examine(subject, evidence, &prepared.judge.context());
        let twice = Dct.examine(subject, evidence, &prepared.judge.context());
        prop_assert_eq!(format!("{once:?}"), format!("{twice:?}"));
        prop_assert!(Dct.wants(subject, evidence, &prepared.judge.context()).is_empty());
    }

    #[test]
    fn no_bytes_make_the_parsers_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        parse_as_everything(&bytes);
    }

    #[test]
    fn a_changed_byte_never_yields_trust(case in 0..15_usize, entry in any::<Index>(), at in any::<Index>(), byte in any::<u8>()) {
        let prepared = prepared();
        let (subject, evidence, before) = &prepared.cases[case];
        let present: Vec<_> = evidence.iter().filter(|(locator, _)| evidence.bytes(locator).is_some()).collect();
        let (locator, _) = present[entry.index(present.len())];
        let mut bytes = evidence.bytes(locator).unwrap().to_vec();
        let at = at.index(bytes.len());
        bytes[at] = byte;
        parse_as_everything(&bytes);
        let mut changed = evidence.clone();
        changed.insert(locator.clone(), Entry::Present { bytes, origin: Origin::Notary });
        for role in deciding(&Dct.examine(subject, &changed, &prepared.judge.context())) {
            prop_assert!(before.contains(&role), "{role} decides only after a change to {locator}");
        }
    }
}

#[test]
fn every_single_entry_is_needed_or_harmless() {
    let prepared = prepared();
    for (subject, evidence, before) in &prepared.cases {
        for (locator, _) in evidence.iter() {
            let mut fewer = evidence.clone();
            fewer.remove(locator);
            let findings = Dct.examine(subject, &fewer, &prepared.judge.context());
            assert!(deciding(&findings).iter().all(|role| before.contains(role)), "{locator}");
        }
    }
}

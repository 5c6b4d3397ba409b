#![no_main]
//! Conditions over predicates: whatever a policy demands of whatever document, there is an answer, and twice the same.

use libfuzzer_sys::fuzz_target;
use trustctl_core::policy::condition::{Condition, Path};
use trustctl_core::policy::{Policy, PolicyText};
use trustctl_core::predicate::Predicate;
use trustctl_core::time::Timestamp;

const HEAD: &str = "version = 1\n[signers.s]\nscheme = \"dct\"\ntofu = true\n[[rules]]\nname = \"r\"\nimages = [\"r.example/**\"]\n\
                    require = { any = [\"s\"] }\n[[rules.attestations]]\ntype = \"vuln\"\nsigners = [\"s\"]\nwhere = [";

fuzz_target!(|input: &str| {
    let Some((conditions, document)) = input.split_once("\n---\n") else { return };
    drop(Path::parse(conditions));
    let text = format!("{HEAD}{conditions}]\n");
    let source = PolicyText { name: "fuzz", text: &text, load: &|_| Err("no files".to_owned()) };
    let (Ok(policy), Ok(value)) = (Policy::parse(&source), Predicate::new(document).value()) else { return };
    for demand in policy.rules.iter().flat_map(|rule| &rule.attestations) {
        let check = || Condition::check_all(&demand.conditions, &value, Timestamp::UNIX_EPOCH);
        assert_eq!(check(), check());
    }
});

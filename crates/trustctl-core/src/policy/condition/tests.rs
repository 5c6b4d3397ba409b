#![expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]
use proptest::prelude::*;
use serde_json::{Value, json};

use super::super::{Policy, PolicyError, PolicyText};
use super::truth::{Run, Spent};
use super::*;
use crate::reason::Code;

const KEY: &str = "-----BEGIN PUBLIC KEY-----\nMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEaxfR8uEsQkf4vOblY6RA8ncDfYEt\n6zOg9KE5RdiYwpZP40Li/hp/m47n60p8D54WK84zV2sxXs7LtkBoN79R9Q==\n-----END PUBLIC KEY-----\n";

fn now() -> Timestamp {
    "2026-11-28T12:00:00Z".parse().unwrap()
}

/// The line on which the conditions of [`read`] begin.
const LINE: usize = 18;

fn read(conditions: &str) -> Result<Vec<Condition>, PolicyError> {
    let text = format!(
        "version = 1\n[signers.scanner]\nscheme = \"cosign\"\nkey = '''\n{KEY}'''\n[[rules]]\nname = \"r\"\nimages = [\"r.example/**\"]\n\
         require = {{ any = [\"scanner\"] }}\n[[rules.attestations]]\ntype = \"vuln\"\nsigners = [\"scanner\"]\nwhere = [\n{conditions}\n]\n"
    );
    let load = |_: &str| Err("no files".to_owned());
    let mut policy = Policy::parse(&PolicyText { name: "p.toml", text: &text, load: &load })?;
    Ok(policy.rules.remove(0).attestations.remove(0).conditions)
}

/// What checking one condition of a document brings: `None` when it is satisfied.
fn code(condition: &str, document: &Value) -> Option<Code> {
    Condition::check_all(&read(condition).unwrap(), document, now()).err().map(|unmet| unmet.code)
}

#[track_caller]
fn yes(condition: &str, document: &Value) {
    assert_eq!(code(condition, document), None, "{condition} of {document}");
}

#[track_caller]
fn no(condition: &str, document: &Value) {
    assert_eq!(code(condition, document), Some(Code::PredicateCondition), "{condition} of {document}");
}

#[track_caller]
fn missing(condition: &str, document: &Value) {
    assert_eq!(code(condition, document), Some(Code::PredicateFieldMissing), "{condition} of {document}");
}

#[track_caller]
fn wrong_type(condition: &str, document: &Value) {
    assert_eq!(code(condition, document), Some(Code::PredicateWrongType), "{condition} of {document}");
}

#[track_caller]
fn refused(condition: &str, words: &str) {
    let error = read(condition).unwrap_err();
    assert!(error.message.contains(words), "{condition}: {error}");
    assert!(error.line >= LINE, "{condition}: {error}");
}

#[test]
fn equals_compares_values_of_one_kind() {
    let document = json!({"a": {"b": "x"}, "n": 3, "f": 3.0, "yes": true, "t": "2026-01-01T00:00:00+01:00", "big": u64::MAX});
    yes(r#"{ path = "a.b", equals = "x" }"#, &document);
    no(r#"{ path = "a.b", equals = "X" }"#, &document);
    yes(r#"{ path = "n", equals = 3 }"#, &document);
    yes(r#"{ path = "f", equals = 3 }"#, &document);
    yes(r#"{ path = "n", equals = 3.0 }"#, &document);
    no(r#"{ path = "n", equals = 4 }"#, &document);
    no(r#"{ path = "big", equals = -1 }"#, &document);
    yes(r#"{ path = "yes", equals = true }"#, &document);
    no(r#"{ path = "yes", equals = false }"#, &document);
    yes(r#"{ path = "t", equals = 2025-12-31T23:00:00Z }"#, &document);
    no(r#"{ path = "t", equals = 2026-01-01T00:00:00Z }"#, &document);
}

#[test]
fn not_equals_needs_the_field() {
    let document = json!({"a": "x", "gone": null});
    yes(r#"{ path = "a", not-equals = "y" }"#, &document);
    no(r#"{ path = "a", not-equals = "x" }"#, &document);
    missing(r#"{ path = "b", not-equals = "y" }"#, &document);
    missing(r#"{ path = "gone", not-equals = "y" }"#, &document);
    wrong_type(r#"{ path = "a", not-equals = 1 }"#, &document);
}

#[test]
fn lists_of_values_accept_and_refuse() {
    let document = json!({"licence": "MIT", "n": 2});
    yes(r#"{ path = "licence", in = ["Apache-2.0", "MIT"] }"#, &document);
    no(r#"{ path = "licence", in = ["Apache-2.0"] }"#, &document);
    yes(r#"{ path = "licence", not-in = ["GPL-3.0-only"] }"#, &document);
    no(r#"{ path = "licence", not-in = ["MIT"] }"#, &document);
    wrong_type(r#"{ path = "n", in = ["2"] }"#, &document);
    missing(r#"{ path = "license", not-in = ["MIT"] }"#, &document);
    refused(r#"{ path = "a", in = [] }"#, "one to 512");
    refused(r#"{ path = "a", in = ["1", 2] }"#, "different kinds");
    refused(r#"{ path = "a", in = "MIT" }"#, "a list");
}

#[test]
fn numbers_and_times_have_bounds() {
    let document =
        json!({"score": 9.8, "count": 7, "at": "2026-11-21T12:00:00Z", "day": "2026-11-21", "local": "2026-11-21T12:00:00"});
    yes(r#"{ path = "score", at-most = 9.8 }"#, &document);
    no(r#"{ path = "score", at-most = 9 }"#, &document);
    yes(r#"{ path = "count", at-least = 7 }"#, &document);
    no(r#"{ path = "count", at-least = 7.5 }"#, &document);
    yes(r#"{ path = "count", at-least = 1, at-most = 7 }"#, &document);
    no(r#"{ path = "count", at-least = 8, at-most = 9 }"#, &document);
    yes(r#"{ path = "at", at-least = 2026-11-21 }"#, &document);
    no(r#"{ path = "at", at-most = 2026-11-21T11:59:59Z }"#, &document);
    wrong_type(r#"{ path = "day", at-least = 2026-11-20 }"#, &document);
    wrong_type(r#"{ path = "local", at-least = 2026-11-20 }"#, &document);
    wrong_type(r#"{ path = "at", at-least = 1 }"#, &document);
    refused(r#"{ path = "a", at-least = "1" }"#, "a number or a time");
    refused(r#"{ path = "a", at-least = 2, at-most = 1 }"#, "not the greater");
    refused(r#"{ path = "a", at-least = 1, at-most = 2026-01-01 }"#, "not the greater");
    refused(r#"{ path = "a", equals = nan }"#, "finite");
    refused(r#"{ path = "a", equals = 2026-01-01T00:00:00 }"#, "a zone");
}

#[test]
fn ages_end_and_do_not_begin_in_the_future() {
    let at = |time: &str| json!({"scanned": time});
    let week = r#"{ path = "scanned", max-age = "7d" }"#;
    yes(week, &at("2026-11-21T12:00:00Z"));
    no(week, &at("2026-11-21T11:59:59Z"));
    yes(week, &at("2026-11-28T12:05:00.5+00:00").clone().pointer("/scanned").map(|_| at("2026-11-28T12:04:59Z")).unwrap());
    no(week, &at("2026-11-28T12:06:00Z"));
    wrong_type(week, &at("yesterday"));
    refused(r#"{ path = "a", max-age = "a week" }"#, "not an age");
}

#[test]
fn patterns_are_anchored() {
    let document = json!({"id": "https://github.com/acme/shop/x@refs/tags/v1"});
    yes(r#"{ path = "id", like = "https://github.com/acme/shop/*@refs/tags/*" }"#, &document);
    no(r#"{ path = "id", like = "github.com/acme/*" }"#, &document);
    no(r#"{ path = "id", like = "https://github.com/acme/shop" }"#, &document);
    yes(r#"{ path = "id", like = ["x", "https://github.com/acme/*"] }"#, &document);
    yes(r#"{ path = "id", not-like = ["*evil*", "ftp:*"] }"#, &document);
    no(r#"{ path = "id", not-like = ["*refs/tags*"] }"#, &document);
    missing(r#"{ path = "uri", not-like = "*evil*" }"#, &document);
    refused(r#"{ path = "a", like = "*" }"#, "says nothing");
    refused(r#"{ path = "a", like = [] }"#, "like takes");
    refused(r#"{ path = "a", like = [1] }"#, "like takes");
}

#[test]
fn a_field_can_be_demanded_or_forbidden() {
    let document = json!({"a": {"b": 1, "null": null}, "text": "x"});
    yes(r#"{ path = "a.b", exists = true }"#, &document);
    no(r#"{ path = "a.c", exists = true }"#, &document);
    no(r#"{ path = "a.null", exists = true }"#, &document);
    yes(r#"{ path = "a.c", exists = false }"#, &document);
    yes(r#"{ path = "x.y.z", exists = false }"#, &document);
    no(r#"{ path = "a.b", exists = false }"#, &document);
    wrong_type(r#"{ path = "text.x", exists = false }"#, &document);
    refused(r#"{ all = "a[*]", exists = true }"#, "exists goes with path");
}

fn scan(severities: &[&str]) -> Value {
    let findings: Vec<Value> = severities.iter().map(|severity| json!({"id": "CVE-1", "severity": severity})).collect();
    json!({"matches": findings, "clean": []})
}

#[test]
fn none_of_a_list_may_be_so() {
    let critical = r#"{ none = "matches[*].severity", equals = "Critical" }"#;
    yes(critical, &scan(&["Low", "High"]));
    yes(critical, &scan(&[]));
    no(critical, &scan(&["Low", "Critical"]));
    missing(critical, &json!({}));
    missing(critical, &json!({"matches": [{"severity": "Low"}, {"id": "CVE-2"}]}));
    wrong_type(critical, &json!({"matches": "none"}));
    wrong_type(critical, &json!({"matches": [{"severity": 9}]}));
    // What is so decides before what is missing.
    no(critical, &json!({"matches": [{}, {"severity": "Critical"}]}));
}

#[test]
fn a_field_that_may_be_missing_is_marked() {
    let critical = r#"{ none = "Results[*].Vulnerabilities?[*].Severity", equals = "CRITICAL" }"#;
    yes(critical, &json!({"Results": [{"Target": "os"}, {"Vulnerabilities": null}, {"Vulnerabilities": [{"Severity": "LOW"}]}]}));
    no(critical, &json!({"Results": [{}, {"Vulnerabilities": [{"Severity": "CRITICAL"}]}]}));
    missing(critical, &json!({"Target": "os"}));
    missing(r#"{ none = "Results[*].Vulnerabilities[*].Severity", equals = "CRITICAL" }"#, &json!({"Results": [{}]}));
    wrong_type(critical, &json!({"Results": [{"Vulnerabilities": "none"}]}));
}

#[test]
fn all_and_any_of_a_list() {
    let all = r#"{ all = "matches[*].severity", in = ["Low", "Medium"] }"#;
    yes(all, &scan(&["Low", "Medium"]));
    no(all, &scan(&["Low", "Unknown"]));
    missing(all, &json!({"matches": [{"severity": "Low"}, {}]}));
    missing(all, &json!({}));
    yes(all, &scan(&[]));

    let any = r#"{ any = "matches[*].severity", equals = "Low" }"#;
    yes(any, &scan(&["High", "Low"]));
    no(any, &scan(&["High"]));
    no(any, &scan(&[]));
    // One that is so suffices, whatever is missing elsewhere; without one, what is missing could have been it.
    yes(any, &json!({"matches": [{}, {"severity": "Low"}]}));
    missing(any, &json!({"matches": [{}, {"severity": "High"}]}));
}

#[test]
fn elements_are_counted() {
    let few = r#"{ count = "matches[*]", at-most = 2 }"#;
    yes(few, &scan(&["a", "b"]));
    no(few, &scan(&["a", "b", "c"]));
    missing(few, &json!({}));
    yes(r#"{ count = "matches[*]", at-least = 1 }"#, &scan(&["a"]));
    no(r#"{ count = "matches[*]", at-least = 1 }"#, &scan(&[]));
    let high = r#"{ count = "matches[*]", where = [{ path = "severity", equals = "High" }], at-most = 1 }"#;
    yes(high, &scan(&["High", "Low", "Low"]));
    no(high, &scan(&["High", "High"]));
    missing(high, &json!({"matches": [{"severity": "High"}, {}]}));
    yes(
        r#"{ count = "matches[*]", where = [{ path = "severity", equals = "High" }], at-most = 2 }"#,
        &json!({"matches": [{"severity": "High"}, {}]}),
    );
    refused(r#"{ count = "a[*]", equals = 1 }"#, "count goes with");
    refused(r#"{ count = "a[*]", at-most = -1 }"#, "whole number from 0");
    refused(r#"{ count = "a[*]", at-most = 1.5 }"#, "whole number from 0");
    refused(r#"{ count = "a[*]", at-least = 2, at-most = 1 }"#, "more than");
}

#[test]
fn several_conditions_hold_of_one_element() {
    let fixable = r#"{ none = "matches[*]", where = [{ path = "severity", equals = "Critical" }, { path = "fix.state", equals = "fixed" }] }"#;
    let with = |severity: &str, state: &str| json!({"matches": [{"severity": severity, "fix": {"state": state}}]});
    yes(fixable, &with("Critical", "wont-fix"));
    yes(fixable, &with("Low", "fixed"));
    no(fixable, &with("Critical", "fixed"));
    // Two elements of which each fits half are not one that fits.
    yes(
        fixable,
        &json!({"matches": [{"severity": "Critical", "fix": {"state": "no"}}, {"severity": "Low", "fix": {"state": "fixed"}}]}),
    );
    missing(fixable, &json!({"matches": [{"severity": "Critical"}]}));
    // What the missing field says would change nothing.
    yes(fixable, &json!({"matches": [{"severity": "Low"}]}));

    let nested = r#"{ none = "runs[*]", where = [{ any = "results[*].level", equals = "error" }, { path = "tool", not-equals = "lint" }] }"#;
    no(nested, &json!({"runs": [{"tool": "scan", "results": [{"level": "note"}, {"level": "error"}]}]}));
    yes(nested, &json!({"runs": [{"tool": "lint", "results": [{"level": "error"}]}]}));
    refused(r#"{ path = "a", where = [{ path = "b", equals = 1 }] }"#, "where goes with");
    refused(r#"{ none = "a[*]", where = [] }"#, "at least one");
    let deep = format!("{}{}{}", r#"{ none = "a[*]", where = ["#.repeat(4), r#"{ path = "a", equals = 1 }"#, "] }".repeat(4));
    refused(&deep, "4 deep");
}

#[test]
fn every_condition_of_the_list_must_hold() {
    let two = r#"{ path = "a", equals = 1 }, { path = "b", equals = 2 }"#;
    yes(two, &json!({"a": 1, "b": 2}));
    no(two, &json!({"a": 1, "b": 3}));
    missing(two, &json!({"a": 1}));
    let many = "{ path = \"a\", exists = true },\n".repeat(MAX_CONDITIONS + 1);
    refused(&many, "more than 64");
}

#[test]
fn paths_quote_index_and_start_with_a_list() {
    yes(r#"{ path = "invocation.'builder.id'", equals = "b" }"#, &json!({"invocation": {"builder.id": "b"}}));
    yes(r#"{ path = '"a b"."c"', equals = 1 }"#, &json!({"a b": {"c": 1}}));
    yes(r#"{ path = "a[1].b", equals = 1 }"#, &json!({"a": [{}, {"b": 1}]}));
    missing(r#"{ path = "a[2].b", equals = 1 }"#, &json!({"a": [{}, {"b": 1}]}));
    no(r#"{ none = "[*].level", equals = "error" }"#, &json!([{"level": "error"}]));
    yes(r#"{ all = "a[*][*]", at-most = 3 }"#, &json!({"a": [[1, 2], [], [3]]}));
    yes(r#"{ path = "@context", like = "https://openvex.dev/ns*" }"#, &json!({"@context": "https://openvex.dev/ns/v0.2.0"}));
    for (path, words) in [
        ("", "names with dots"),
        ("a..b", "names with dots"),
        ("a.", "names with dots"),
        (".a", "names with dots"),
        ("a b", "names with dots"),
        ("'a", "names with dots"),
        ("a[*", "between brackets"),
        ("a[-1]", "between brackets"),
        ("a[]", "between brackets"),
        ("a[99999999999999999999]", "between brackets"),
        ("a??", "? stands after"),
        ("a[*]?", "? stands after"),
    ] {
        refused(&format!("{{ path = \"{path}\", exists = true }}"), words);
    }
    refused(&format!("{{ path = \"{}\", exists = true }}", "a.".repeat(40) + "a"), "32 steps");
    assert_eq!(Path::parse(&"a".repeat(513)), Err(PathError::TooLong));
    assert!(Path::parse(&"a".repeat(512)).is_ok());
}

#[test]
fn one_thing_is_said_by_each_condition() {
    refused(r#"{ equals = 1 }"#, "names what it is about");
    refused(r#"{ path = "a", all = "b[*]", equals = 1 }"#, "names what it is about");
    refused(r#"{ path = "a" }"#, "has one of equals");
    refused(r#"{ path = "a", equals = 1, not-equals = 2 }"#, "has one of equals");
    refused(r#"{ path = "a[*]", equals = 1 }"#, "use all, any, none or count");
    refused(r#"{ path = "a?", equals = 1 }"#, "use all, any, none or count");
    refused(r#"{ all = "a", equals = 1 }"#, "names one field only");
    refused(r#"{ path = "a", equals = [1] }"#, "one text, number");
    refused(r#"{ path = "a", equals = { b = 1 } }"#, "one text, number");
    refused(r#"{ path = "a", equal = 1 }"#, "did you mean \"equals\"?");
    refused(r#"{ none = "a[*]", equals = 1, show = ["b"] }"#, "show goes with where");
    refused(r#"{ none = "a[*]", where = [{ path = "b", equals = 1 }], show = ["c[*]"] }"#, "show names");
}

#[test]
fn an_error_names_the_line_of_the_condition() {
    let error = read("{ path = \"a\", equals = 1 },\n{ path = \"b\",\n  like = \"*\" },").unwrap_err();
    assert_eq!(error.line, LINE + 2, "{error}");
}

#[test]
fn what_was_found_is_told_with_its_place() {
    let unmet = |condition: &str, document: &Value| Condition::check_all(&read(condition).unwrap(), document, now()).unwrap_err();
    let shown = unmet(
        r#"{ none = "Results[*].Vulnerabilities?[*]", where = [{ path = "Severity", equals = "CRITICAL" }], show = ["VulnerabilityID", "PkgName"] }"#,
        &json!({"Results": [{}, {"Vulnerabilities": [
            {"VulnerabilityID": "CVE-1", "PkgName": "a", "Severity": "LOW"},
            {"VulnerabilityID": "CVE-2", "PkgName": "b", "Severity": "CRITICAL"},
            {"VulnerabilityID": "CVE-3", "PkgName": "c", "Severity": "CRITICAL"},
        ]}]}),
    );
    assert_eq!(shown.expected, "no Results[*].Vulnerabilities?[*] where Severity is \"CRITICAL\"");
    let place = "Results[1].Vulnerabilities[1]";
    assert_eq!(shown.found, format!("{place}: VulnerabilityID \"CVE-2\", PkgName \"b\", Severity \"CRITICAL\", and 1 more"));

    let shown = unmet(
        r#"{ path = "runDetails.builder.id", like = "https://github.com/*" }"#,
        &json!({"runDetails": {"builder": {"id": "x"}}}),
    );
    assert_eq!(
        (shown.expected.as_str(), shown.found.as_str()),
        ("runDetails.builder.id is like \"https://github.com/*\"", "\"x\"")
    );
    let shown = unmet(r#"{ count = "a[*]", at-most = 1 }"#, &json!({"a": [1, 2]}));
    assert_eq!((shown.expected.as_str(), shown.found.as_str()), ("at most 1 a[*]", "2; the first is a[0]: 1"));
    let shown = unmet(r#"{ any = "a[*]", equals = 3 }"#, &json!({"a": [1, 2]}));
    assert_eq!(shown.found, "none of 2; the first is a[0]: 1");
    let shown = unmet(r#"{ path = "a.b.c", equals = 3 }"#, &json!({"a": {}}));
    assert_eq!(shown.found, "there is no a.b");
    let shown =
        unmet(r#"{ none = "a[*]", where = [{ path = "b.c", equals = 3 }] }"#, &json!({"a": [{"b": {"c": 1}}, {"b": {}}]}));
    assert_eq!(shown.found, "there is no a[1].b.c");
    let shown = unmet(r#"{ path = "a", equals = 3 }"#, &json!({"a": "3"}));
    assert_eq!(shown.found, "a is text, not a number");
    let shown = unmet(r#"{ path = "a", equals = "x" }"#, &json!({"a": "y".repeat(1000)}));
    assert!(shown.found.chars().count() < 100, "{}", shown.found);
}

#[test]
fn the_work_is_bounded() {
    let condition = read(r#"{ none = "a[*]", equals = 1 }"#).unwrap().remove(0);
    let document = json!({"a": vec![0; 1000]});
    assert_eq!(condition.check(&document, &mut Run::new(now(), 10_000)), Ok(()));
    assert_eq!(condition.check(&document, &mut Run::new(now(), 1000)).unwrap_err().code, Code::PredicateTooComplex);
    assert_eq!(Run::new(now(), 1).spend(2), Err(Spent));
}

/// Documents of the shapes that the conditions below know, and of others.
fn documents() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        "[a-c]{0,3}".prop_map(Value::from),
        Just(json!("2026-11-28T00:00:00Z")),
    ];
    leaf.prop_recursive(4, 40, 5, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            proptest::collection::btree_map("[a-c]", inner, 0..4).prop_map(|members| members.into_iter().collect()),
        ]
    })
}

const SOME: [&str; 9] = [
    r#"{ path = "a.b", equals = "a" }"#,
    r#"{ all = "a[*].b?[*]", at-most = 3 }"#,
    r#"{ any = "a[*].b", like = "a*" }"#,
    r#"{ none = "a[*]", where = [{ path = "b", equals = true }, { none = "c?[*]", not-in = [1, 2] }], show = ["c"] }"#,
    r#"{ count = "[*][*]", at-least = 1, at-most = 5 }"#,
    r#"{ path = "a[0]", exists = false }"#,
    r#"{ path = "a", max-age = "1d" }"#,
    r#"{ none = "b[*]", not-like = "a*" }"#,
    r#"{ count = "a[*]", where = [{ path = "a", exists = true }], at-most = 1 }"#,
];

proptest! {
    #[test]
    fn every_document_gets_the_same_answer_twice(document in documents(), which in 0..SOME.len()) {
        let condition = read(SOME.get(which).unwrap()).unwrap();
        let answer = Condition::check_all(&condition, &document, now());
        prop_assert_eq!(&answer, &Condition::check_all(&condition, &document, now()));
        if let Err(unmet) = answer {
            prop_assert!(!unmet.expected.is_empty() && !unmet.found.is_empty());
        }
    }

    /// Taking a field away never satisfies a condition that compares it.
    #[test]
    fn a_missing_field_satisfies_nothing_that_needs_it(document in documents()) {
        for test in ["equals = 1", "not-equals = 1", "in = [1]", "not-in = [\"x\"]", "like = \"a*\"", "not-like = \"a*\"", "at-most = 1", "max-age = \"1d\""] {
            let condition = read(&format!("{{ path = \"needed\", {test} }}")).unwrap();
            prop_assert!(Condition::check_all(&condition, &document, now()).is_err());
        }
    }

    #[test]
    fn no_text_of_a_path_panics(text in "\\PC{0,40}") {
        if let Ok(path) = Path::parse(&text) {
            prop_assert_eq!(path.to_string(), text);
        }
    }

    #[test]
    fn no_condition_panics(text in "\\PC{0,60}") {
        let _ = read(&text);
    }
}

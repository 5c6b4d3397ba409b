#![expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]
use proptest::prelude::*;

use super::*;
use crate::scheme::Thresholds;

const KEY: &str = "-----BEGIN PUBLIC KEY-----\nMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEaxfR8uEsQkf4vOblY6RA8ncDfYEt\n6zOg9KE5RdiYwpZP40Li/hp/m47n60p8D54WK84zV2sxXs7LtkBoN79R9Q==\n-----END PUBLIC KEY-----\n";

fn read(text: &str) -> Result<Policy, PolicyError> {
    let load = |path: &str| match path {
        "keys/prod.pub" => Ok(KEY.as_bytes().to_vec()),
        "root.json" => Ok(b"{}".to_vec()),
        _ => Err("no such file".to_owned()),
    };
    Policy::parse(&PolicyText { name: "policy.toml", text, load: &load })
}

/// Everything the design names, in one file.
const FULL: &str = r#"version = 1
default = "deny"

[signers.release]
scheme = "cosign"
identity = "https://github.com/acme/shop/.github/workflows/release.yml@refs/tags/*"
issuer = "https://token.actions.githubusercontent.com"
sigstore = "corp"

[sigstores.corp]
trusted-root = "root.json"

[signers.prod-key]
scheme = "cosign"
key = "keys/prod.pub"
log = "required"
annotations = { env = "prod" }

[signers.shop-dct]
scheme = "dct"
roots = ["77d38dd19065ba20dbd1f5bbd01fac526ab3eddfeb88f58f38954bb4c368a732"]
role = "targets/releases"

[[rules]]
name = "shop"
images = ["registry.example/shop/**"]
require = { at-least = 2, of = ["release", "prod-key", "shop-dct"] }
platforms = "either"
signed-repository = "same"
signed-tag = "any"
max-age = "90d"
attestations = [{ type = "slsaprovenance1", signers = ["release"] }, { type = "vuln", signers = ["release"], max-age = "7d" }]
mode = "warn"
until = 2027-01-31
revokers = ["release"]

[[deny]]
digest = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
reason = "CVE-2026-1234"

[[allow]]
images = ["docker.io/library/alpine"]
digest = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
reason = "base image reviewed by platform team"
until = 2027-01-31
"#;

#[test]
fn every_field_of_the_design_is_read() {
    let policy = read(FULL).unwrap();
    let rule = policy.rules.first().unwrap();
    assert_eq!((rule.require.at_least, rule.require.of.len()), (2, 3));
    assert_eq!(rule.max_age, Some(Duration::from_secs(90 * 86_400)));
    assert_eq!(rule.warn_until.unwrap().to_string(), "2027-01-31T23:59:59Z", "the named day still counts");
    assert_eq!(rule.line, line_of(FULL, "name = \"shop\""));
    assert_eq!(rule.attestations.len(), 2);
    assert_eq!(policy.anchors(rule).keys.len(), 1);
    assert_eq!(policy.schemes(rule).len(), 2);
    let lines = explain(&policy, &"registry.example/shop/cart".parse().unwrap(), None, "2026-11-23".parse().unwrap()).unwrap();
    assert!(lines.iter().any(|line| line.contains("at least 2 of")), "{lines:?}");
}

/// The line of `text`, from 1, on which `part` begins.
fn line_of(text: &str, part: &str) -> usize {
    text.split(part).next().unwrap().matches('\n').count() + 1
}

/// Replaces `from` by `to` in the full policy and expects an error with `words` on the line of `to`.
#[track_caller]
fn refused(from: &str, to: &str, words: &str) {
    assert!(FULL.contains(from), "{from}");
    let text = FULL.replacen(from, to, 1);
    let error = read(&text).map(|_| ()).unwrap_err();
    assert!(error.message.contains(words), "{error}");
    assert_eq!(error.line, line_of(&text, to), "{error}");
}

#[test]
fn typing_errors_are_refused_with_line_and_suggestion() {
    refused("identity = ", "identitty = ", "unknown field \"identitty\" (did you mean \"identity\"?)");
    refused("of = [\"release\"", "of = [\"relaese\"", "there is no signer \"relaese\" (did you mean \"release\"?)");
    refused("version = 1", "version = 2", "unknown version");
    refused("default = \"deny\"", "default = \"maybe\"", "\"deny\" or \"allow\"");
    refused("keys/prod.pub", "keys/gone.pub", "no such file");
    refused("keys/prod.pub", "root.json\" # not a key", "cannot be used");
    refused("at-least = 2", "at-least = 4", "not more than are listed");
    refused("at-least = 2", "at-least = 0", "at least one");
    refused("mode = \"warn\"\nuntil = 2027-01-31", "mode = \"warn\"", "needs an end");
    refused("mode = \"warn\"\nuntil = 2027-01-31", "mode = \"audit\"", "needs an end");
    refused("\"77d38dd1", "\"77D38DD1", "64 lower-case");
    refused("registry.example/shop/**", "shop/**", "registry host");
    refused("sigstore = \"corp\"", "sigstore = \"crop\"", "no [sigstores.crop]");
    refused("max-age = \"90d\"", "max-age = \"90 days\"", "not an age");
    refused("role = \"targets/releases\"", "role = \"releases\"", "targets/releases");
    refused("type = \"vuln\"", "type = \"vulns\"", "short names");
    refused("role = \"targets/releases\"", "key = \"keys/prod.pub\" # dct", "does not go with");
    refused(
        "identity = \"https://github.com/acme/shop/.github/workflows/release.yml@refs/tags/*\"",
        "identity = \"*\"",
        "names nobody",
    );
}

#[test]
fn trust_on_first_use_must_be_asked_for() {
    let without = "version = 1\n[signers.d]\nscheme = \"dct\"\n";
    assert!(read(without).unwrap_err().message.contains("tofu = true"));
    assert!(read(&format!("{without}tofu = true\n")).is_ok());
}

#[test]
fn equally_specific_rules_are_an_error_of_the_policy() {
    let rules = |one: &str, two: &str| {
        read(&format!(
            "version = 1\n[signers.k]\nscheme = \"cosign\"\nkey = \"keys/prod.pub\"\n\
             [[rules]]\nname = \"a\"\nimages = [\"{one}\"]\nrequire = {{ any = [\"k\"] }}\n\
             [[rules]]\nname = \"b\"\nimages = [\"{two}\"]\nrequire = {{ any = [\"k\"] }}\n"
        ))
    };
    assert_eq!(rules("r.example/a/*", "r.example/*/b").unwrap_err().line, 11, "the second rule's images");
    let policy = rules("r.example/**", "r.example/a/*").unwrap();
    let rule = |name: &str| policy.rule_for(&name.parse().unwrap()).unwrap().map(|rule| rule.name.clone());
    assert_eq!(rule("r.example/a/b").as_deref(), Some("b"), "the most specific pattern wins alone");
    assert_eq!(rule("r.example/c").as_deref(), Some("a"));
    assert_eq!(rule("other.example/c"), None);
}

/// The reader names the fields it knows when it meets one that it does not: they must be those of the reference.
#[test]
fn the_reference_names_exactly_the_fields_that_are_read() {
    let probes = [
        ("top level", "version = 1\nzzz = 1\n"),
        ("[signers.NAME]", "version = 1\n[signers.a]\nzzz = 1\n"),
        ("[sigstores.NAME]", "version = 1\n[sigstores.a]\nzzz = 1\n"),
        ("[[rules]]", "version = 1\n[[rules]]\nzzz = 1\n"),
        ("attestations = [{ … }]", "version = 1\n[[rules]]\nattestations = [{ zzz = 1 }]\n"),
        ("where = [{ … }]", "version = 1\n[[rules]]\nattestations = [{ where = [{ zzz = 1 }] }]\n"),
        ("[[deny]]", "version = 1\n[[deny]]\nzzz = 1\n"),
        ("[[allow]]", "version = 1\n[[allow]]\nzzz = 1\n"),
    ];
    assert_eq!(probes.len(), reference::TABLES.len());
    for (header, probe) in probes {
        let message = toml::from_str::<form::PolicyForm>(probe).map(|_| ()).unwrap_err().message().to_owned();
        let known: BTreeSet<&str> = message.split('`').skip(3).step_by(2).collect();
        let table = reference::TABLES.iter().find(|table| table.header == header).unwrap();
        let documented: BTreeSet<&str> = table.fields.iter().map(|field| field.name).collect();
        assert_eq!(documented, known, "{header}: {message}");
    }
}

proptest! {
    #[test]
    fn no_text_panics(text in "\\PC{0,200}", cut in 0..FULL.len()) {
        drop(read(&text));
        drop(FULL.get(..cut).map(read));
    }

    #[test]
    fn no_pattern_panics(text in "[a-z.*/]{0,24}", name in "[a-z]{1,3}(/[a-z]{1,3}){1,3}") {
        if let (Ok(pattern), Ok(repository)) = (Pattern::parse(&text), format!("r.example/{name}").parse()) {
            let one = pattern.matches(&repository);
            prop_assert_eq!(one, pattern.matches(&repository));
            if let Ok(exact) = Pattern::parse(&repository.to_string()) {
                prop_assert!(!one || pattern.overlaps(&exact), "what matches overlaps");
            }
        }
    }
}

#[test]
fn sigstore_instances_are_read_strictly_and_handed_to_the_signers_that_name_them() {
    let policy = read(FULL).unwrap();
    let anchors = policy.anchors(policy.rules.first().unwrap());
    let names: Vec<Option<&str>> = anchors.sigstores.iter().map(|anchor| anchor.name.as_deref()).collect();
    assert_eq!(names, [Some("corp")], "no default instance is at hand");
    let policy = policy.with_sigstore(b"{}".as_slice().into());
    assert_eq!(policy.anchors(policy.rules.first().unwrap()).sigstores.len(), 2, "the logged key belongs to the default one");

    let with = |more: &str| FULL.replace("trusted-root = \"root.json\"", &format!("trusted-root = \"root.json\"\n{more}"));
    let anchor = read(&with("logs = 2\ntimes = 2\ncertificate-logs = 0\ninclusion-proof = \"required\"")).unwrap().sigstores;
    let thresholds = Thresholds { logs: 2, times: 2, certificate_logs: 0, inclusion_proof: true };
    assert_eq!(anchor.first().unwrap().thresholds, thresholds);
    for wrong in ["logs = -1", "logs = 33", "times = 0", "certificate-logs = 33", "inclusion-proof = true", "sct = 1"] {
        let error = read(&with(wrong)).unwrap_err();
        assert_eq!(error.line, line_of(&with(wrong), wrong), "{error}");
    }
}

#[test]
fn an_instance_has_a_file_or_a_repository_and_never_both() {
    let with = |lines: &str| FULL.replace("trusted-root = \"root.json\"", lines);
    let policy = read(&with("tuf = \"https://tuf.corp.example/v1/\"\nroot = \"root.json\"\ntimes = 2")).unwrap();
    let repository = policy.repositories.first().unwrap();
    assert_eq!((repository.name.as_str(), repository.url.as_str()), ("corp", "https://tuf.corp.example/v1"));
    let rule = policy.rules.first().unwrap().clone();
    assert!(policy.anchors(&rule).sigstores.is_empty(), "nothing was fetched yet");
    assert_eq!(policy.lacking(&rule).map(|reason| reason.code), Some(Code::AnchorNotFetched));
    let ended = policy.clone().with_fetched("corp", Err(Reason::new(Code::AnchorOutdated, "it has ended")));
    assert_eq!(ended.lacking(&rule).map(|reason| reason.code), Some(Code::AnchorOutdated));
    let other = policy.with_fetched("other", Ok(b"x".as_slice().into()));
    assert!(other.lacking(&rule).is_some());
    let fetched = other.with_fetched("corp", Ok(b"y".as_slice().into()));
    assert_eq!(fetched.lacking(&rule), None);
    let anchors = fetched.anchors(&rule).sigstores;
    assert_eq!(anchors.first().map(|anchor| (&*anchor.trusted_root, anchor.thresholds.times)), Some((b"y".as_slice(), 2)));
    for (wrong, words) in [
        ("times = 2", "either trusted-root, or tuf and root"),
        ("tuf = \"https://t.example\"", "either trusted-root, or tuf and root"),
        ("root = \"root.json\"", "either trusted-root, or tuf and root"),
        ("trusted-root = \"root.json\"\ntuf = \"https://t.example\"\nroot = \"root.json\"", "either trusted-root"),
        ("tuf = \"ftp://t.example\"\nroot = \"root.json\"", "https address"),
        ("tuf = \"https://me@t.example\"\nroot = \"root.json\"", "https address"),
        ("tuf = \"https://\"\nroot = \"root.json\"", "https address"),
        ("tuf = \"https://t.example\"\nroot = \"gone.json\"", "cannot be read"),
    ] {
        let error = read(&with(wrong)).unwrap_err();
        assert!(error.message.contains(words), "{wrong}: {error}");
    }
}

#[test]
fn certificate_claims_are_known_ones_of_identities() {
    let with = |line: &str| FULL.replace("sigstore = \"corp\"", &format!("sigstore = \"corp\"\n{line}"));
    let policy = read(&with("claims = { deployment-environment = \"prod*\" }")).unwrap();
    let Some(SignerRule::CosignIdentity { demands, .. }) = policy.signers.get("release") else { unreachable!("it is one") };
    assert!(demands.claims.get("deployment-environment").unwrap().matches("production"));
    let error = read(&with("claims = { deployment-enviroment = \"prod\" }")).unwrap_err();
    assert!(error.message.contains("did you mean \"deployment-environment\"?"), "{error}");
    let key = FULL.replace("log = \"required\"", "claims = { issuer = \"x\" }");
    assert!(read(&key).unwrap_err().message.contains("a key has none"));
}

/// A policy with one signer by certificate, written with `fields`.
fn signer(fields: &str) -> Result<Policy, PolicyError> {
    let load = |path: &str| match path {
        "ca.pem" => Ok(pem::encode(&pem::Pem::new("CERTIFICATE", b"root".to_vec())).into_bytes()),
        "between.pem" => Ok(pem::encode(&pem::Pem::new("CERTIFICATE", b"between".to_vec())).into_bytes()),
        "empty.pem" => Ok(Vec::new()),
        "root.json" => Ok(b"{}".to_vec()),
        _ => Err("no such file".to_owned()),
    };
    let text = format!(
        "version = 1\n[signers.ci]\nscheme = \"cosign\"\n{fields}\n[[rules]]\nname = \"r\"\nimages = [\"r.example/**\"]\nrequire = {{ any = [\"ci\"] }}\n[sigstores.corp]\ntrusted-root = \"root.json\"\n"
    );
    Policy::parse(&PolicyText { name: "policy.toml", text: &text, load: &load })
}

#[test]
fn identities_by_regular_expression_are_read_strictly() {
    let policy = signer("identity-regex = '[a-z]+@example\\.com'\nissuer-regex = 'https://(a|b)\\.example'").unwrap();
    let Some(SignerRule::CosignIdentity { identity, issuer, demands }) = policy.signers.get("ci") else {
        unreachable!("it is one")
    };
    assert!(
        identity.matches("dev@example.com") && !identity.matches("dev@example.com.evil") && !identity.matches("dev@exampleXcom")
    );
    assert!(issuer.matches("https://b.example") && !issuer.matches("https://b.example/evil"));
    assert!(demands.log);
    let line = explain(&policy, &"r.example/a".parse().unwrap(), None, Timestamp::UNIX_EPOCH).unwrap().join("\n");
    assert!(line.contains("^(?:[a-z]+@example\\.com)$"), "{line}");
    for (fields, words) in [
        ("identity = 'a@x'\nidentity-regex = 'a@x'\nissuer = 'https://a'", "both \"identity\" and \"identity-regex\""),
        ("identity-regex = '.*'\nissuer = 'https://a'", "matches everybody"),
        ("identity-regex = 'a)|(?:b'\nissuer = 'https://a'", "cannot be used"),
        ("identity-regex = 'a@x'", "either key, or identity and issuer"),
        ("key = 'k'\nidentity-regex = 'a@x'", "either key, or identity and issuer"),
    ] {
        let error = signer(fields).unwrap_err();
        assert!(error.message.contains(words), "{fields}: {error}");
    }
}

#[test]
fn an_authority_of_ones_own_is_read_and_handed_to_its_signer() {
    let policy =
        signer("ca = \"ca.pem\"\nca-intermediates = \"between.pem\"\nidentity = 'dev@example.com'\nsigstore = 'corp'").unwrap();
    let Some(SignerRule::CosignIdentity { issuer, demands, .. }) = policy.signers.get("ci") else { unreachable!("it is one") };
    assert!(issuer.matches("") && !demands.log);
    assert_eq!(demands.sigstore.as_deref(), Some("ca:ci"));
    let anchors = policy.anchors(policy.rules.first().unwrap());
    let [own] = anchors.authorities.as_slice() else { unreachable!("there is one") };
    assert_eq!((own.name.as_str(), own.roots.len(), own.intermediates.len()), ("ca:ci", 1, 1));
    assert!(own.names.matches("dev@example.com") && !own.names.matches("other@example.com"));
    assert!(own.sigstore.as_ref().is_some_and(|instance| instance.name.as_deref() == Some("corp")));
    assert!(anchors.sigstores.is_empty(), "the instance vouches for times, not for certificates");
    for (fields, words) in [
        ("ca = \"ca.pem\"", "either key, or identity and issuer"),
        ("ca = \"ca.pem\"\nkey = 'k'", "either key, or identity and issuer"),
        ("ca = \"ca.pem\"\nidentity = '*'", "matches everybody"),
        ("ca = \"empty.pem\"\nidentity = 'a@x'", "no PEM certificate"),
        ("ca-intermediates = \"between.pem\"\nidentity = 'a@x'\nissuer = 'https://a'", "goes with ca"),
    ] {
        let error = signer(fields).unwrap_err();
        assert!(error.message.contains(words), "{fields}: {error}");
    }
    let text = "version = 1\n[sigstores.\"ca:ci\"]\ntrusted-root = \"root.json\"\n";
    assert!(read(text).unwrap_err().message.contains("must not start with"));
}

/// Images are known by their SHA-256: an entry under another digest would deny nothing.
#[test]
fn deny_and_allow_entries_name_a_sha256() {
    assert!(read(FULL).is_ok());
    let short = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
    let long = format!("sha512:{}", "0".repeat(128));
    for table in ["[[deny]]", "[[allow]]"] {
        let (before, after) = FULL.split_once(table).unwrap();
        let text = format!("{before}{table}{}", after.replacen(short, &long, 1));
        let error = read(&text).unwrap_err();
        assert_eq!((error.code, error.line), (Code::PolicyUnusable, line_of(&text, &long)), "{error}");
    }
}

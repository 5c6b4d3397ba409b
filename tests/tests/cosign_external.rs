//! Images signed by real programs, each judged as their README says. The folder is named by `TRUSTCTL_EXTERNAL_TESTDATA`.
//!
//! Every case is judged twice: as a registry with the referrers API would answer, and as a fallback tag written by cosign 3.1.1 would, which calls
//! every bundle empty.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a failure here fails the test")]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use trustctl_core::claim::Statement;
use trustctl_core::digest::Digest;
use trustctl_core::evidence::{Entry, Evidence, Locator, Origin};
use trustctl_core::memory::Memory;
use trustctl_core::public_key::PublicKey;
use trustctl_core::reason::Code;
use trustctl_core::scheme::{Anchors, Context, Findings, KeyAnchor, Scheme as _};
use trustctl_core::subject::Subject;
use trustctl_sigstore::bundle::{Bundle, Content};
use trustctl_sigstore::scheme::Cosign;
use trustctl_sigstore::statement;

const LOCAL: &str = "local-real-cosign";
const PUBLIC: &str = "public-good-legacy-layouts";
const BOTH: [Listing; 2] = [Listing::Api, Listing::Fallback];

fn folder() -> Option<PathBuf> {
    let Some(folder) = std::env::var_os("TRUSTCTL_EXTERNAL_TESTDATA") else {
        eprintln!("SKIPPED: images signed by real cosign; set TRUSTCTL_EXTERNAL_TESTDATA to their folder");
        return None;
    };
    Some(PathBuf::from(folder).join("sigstore"))
}

/// How referrers are listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Listing {
    Api,
    Fallback,
}

/// What `cosign save` wrote.
struct Layout {
    blobs: BTreeMap<Digest, Vec<u8>>,
    image: Digest,
    signatures: Option<Digest>,
    listing: Listing,
}

impl Layout {
    fn load(folder: &Path, listing: Listing) -> Self {
        let blobs = fs::read_dir(folder.join("blobs/sha256")).unwrap().map(|entry| {
            let bytes = fs::read(entry.unwrap().path()).unwrap();
            (Digest::sha256_of(&bytes), bytes)
        });
        let index: Value = serde_json::from_slice(&fs::read(folder.join("index.json")).unwrap()).unwrap();
        let of_kind = |kind: &str| {
            let mut manifests = index["manifests"].as_array().unwrap().iter();
            let kind = format!("dev.cosignproject.cosign/{kind}");
            let found = manifests.find(|manifest| manifest["annotations"]["kind"] == kind.as_str())?;
            found["digest"].as_str().unwrap().parse::<Digest>().ok()
        };
        let image = of_kind("image").or_else(|| of_kind("imageIndex")).unwrap();
        Self { blobs: blobs.collect(), image, signatures: of_kind("sigs"), listing }
    }

    fn subject(&self) -> Subject {
        Subject {
            repository: "registry.example/t/image".parse().unwrap(),
            tag: None,
            digest: self.image,
            size: self.blobs[&self.image].len().try_into().unwrap(),
            media_type: "application/vnd.oci.image.manifest.v1+json".to_owned(),
            children: Vec::new(),
        }
    }

    /// Bundles are not in `index.json`: they are the manifests whose subject is the image.
    fn referrers(&self) -> Vec<u8> {
        let referrers = self.blobs.iter().filter_map(|(digest, bytes)| {
            let manifest: Value = serde_json::from_slice(bytes).ok()?;
            (manifest["subject"]["digest"] == self.image.to_string()).then(|| {
                let mut entry = json!({"mediaType": manifest["mediaType"], "size": bytes.len(), "digest": digest});
                entry["artifactType"] = match self.listing {
                    Listing::Api => manifest["artifactType"].clone(),
                    Listing::Fallback => manifest["config"]["mediaType"].clone(),
                };
                if self.listing == Listing::Api {
                    entry["annotations"] = manifest["annotations"].clone();
                }
                entry
            })
        });
        json!({"schemaVersion": 2, "manifests": referrers.collect::<Vec<_>>()}).to_string().into_bytes()
    }

    fn answer(&self, locator: &Locator) -> Entry {
        let bytes = match locator {
            Locator::Manifest { digest, .. } | Locator::Blob { digest, .. } => self.blobs.get(digest).cloned(),
            Locator::TaggedManifest { tag, .. } if tag.as_str() == format!("sha256-{}.sig", self.image.hex()) => {
                self.signatures.and_then(|digest| self.blobs.get(&digest).cloned())
            }
            Locator::Referrers { .. } => Some(self.referrers()),
            _ => None,
        };
        bytes.map_or(Entry::Absent, |bytes| Entry::Present { bytes, origin: Origin::Layout })
    }

    fn judge(&self, key: &Path, cosign: &Cosign) -> Findings {
        let key = PublicKey::from_pem(&fs::read(key).unwrap()).unwrap();
        let anchors = Anchors { keys: vec![KeyAnchor { signer: "somebody".to_owned(), key }], ..Anchors::default() };
        let memory = Memory::new();
        let context = Context { anchors: &anchors, memory: &memory, now: "2026-11-23T00:00:00Z".parse().unwrap() };
        let subject = self.subject();
        let mut evidence = Evidence::new();
        loop {
            let wants = cosign.wants(&subject, &evidence, &context);
            if wants.is_empty() {
                break;
            }
            for want in wants {
                let entry = self.answer(&want.locator);
                evidence.insert(want.locator, entry);
            }
        }
        let findings = cosign.examine(&subject, &evidence, &context);
        assert!(findings.missing.is_empty(), "{findings:?}");
        findings
    }
}

fn signatures(findings: &Findings) -> usize {
    findings.claims.iter().filter(|claim| claim.statement == Statement::Signature).count()
}

fn problems(findings: &Findings) -> Vec<Code> {
    findings.problems.iter().map(|problem| problem.reason.code).collect()
}

#[test]
fn images_signed_by_cosign_3_are_judged_as_their_readme_says() {
    let Some(folder) = folder().map(|folder| folder.join(LOCAL)) else { return };
    use Code::{CosignAttestationOnly, CosignKeylessUnjudged, CosignWrongKey};
    let cases: [(&str, &str, usize, &[Code]); 12] = [
        ("legacy-key-3sigs", "key1.pub", 2, &[CosignWrongKey]),
        ("legacy-key-3sigs", "key2.pub", 1, &[CosignWrongKey; 2]),
        ("legacy-key-3sigs", "key3-unrelated.pub", 0, &[CosignWrongKey; 3]),
        ("bundle-key-10", "key1.pub", 1, &[]),
        ("bundle-key-10", "key3-unrelated.pub", 0, &[CosignWrongKey]),
        ("bundle-key-index-recursive", "key1.pub", 1, &[]),
        ("bundle-key-index-recursive", "key3-unrelated.pub", 0, &[CosignWrongKey]),
        ("bundle-keyless-rekorv2-tsa", "key1.pub", 0, &[CosignKeylessUnjudged]),
        ("legacy-keyless-rekorv1-tsa", "key1.pub", 0, &[CosignKeylessUnjudged]),
        ("legacy-keyless-rekorv1-tsa", "key3-unrelated.pub", 0, &[CosignKeylessUnjudged]),
        ("attestation-only-bundle", "key1.pub", 0, &[CosignAttestationOnly]),
        ("attestation-only-bundle", "key3-unrelated.pub", 0, &[CosignWrongKey]),
    ];
    for (case, key, expected, codes) in cases {
        for listing in BOTH {
            let findings = Layout::load(&folder.join(case), listing).judge(&folder.join(key), &Cosign::default());
            assert_eq!(signatures(&findings), expected, "{case} {key} {listing:?}: {findings:?}");
            assert_eq!(problems(&findings), codes, "{case} {key} {listing:?}");
        }
    }
}

#[test]
fn what_cosign_3_signed_is_carried_in_the_claims() {
    let Some(folder) = folder().map(|folder| folder.join(LOCAL)) else { return };
    let layout = Layout::load(&folder.join("legacy-key-3sigs"), Listing::Api);
    let mut findings = layout.judge(&folder.join("key2.pub"), &Cosign::default());
    let claim = findings.claims.remove(0);
    assert_eq!(claim.repository.as_deref(), Some("127.0.0.1:14100/t/b"));
    let annotations = BTreeMap::from([("build", "7"), ("team", "x")]);
    assert_eq!(
        claim.annotations.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect::<BTreeMap<_, _>>(),
        annotations
    );

    let all = Cosign { read_attestations: true, ..Cosign::default() };
    for listing in BOTH {
        let findings = Layout::load(&folder.join("bundle-key-10"), listing).judge(&folder.join("key1.pub"), &all);
        assert_eq!((signatures(&findings), findings.claims.len()), (1, 10));
    }
}

#[test]
fn images_signed_by_cosign_2_and_skopeo_are_judged_as_their_readme_says() {
    let Some(folder) = folder().map(|folder| folder.join(PUBLIC)) else { return };
    use Code::{CosignDigestMismatch, CosignKeylessUnjudged, CosignWrongKey};
    let cases: [(&str, &str, usize, &[Code]); 12] = [
        ("valid", "cosign.pub", 1, &[]),
        ("valid", "cosign2.pub", 0, &[CosignWrongKey]),
        ("valid-2", "cosign.pub", 2, &[]),
        ("valid-with-tag", "cosign.pub", 1, &[]),
        ("mixed", "cosign.pub", 1, &[CosignWrongKey]),
        ("key-rekor-valid", "cosign2.pub", 1, &[]),
        ("key-rekor-valid", "cosign.pub", 0, &[CosignWrongKey]),
        ("modified-manifest", "cosign.pub", 0, &[CosignDigestMismatch]),
        ("manifest-digest-error", "cosign.pub", 0, &[CosignDigestMismatch]),
        ("other-attachment", "cosign.pub", 0, &[]),
        ("pki-valid", "cosign.pub", 0, &[CosignKeylessUnjudged]),
        ("fulcio-rekor-valid", "cosign.pub", 0, &[CosignKeylessUnjudged]),
    ];
    for (case, key, expected, codes) in cases {
        let findings = Layout::load(&folder.join(case), Listing::Api).judge(&folder.join(key), &Cosign::default());
        assert_eq!(signatures(&findings), expected, "{case} {key}: {findings:?}");
        assert_eq!(problems(&findings), codes, "{case} {key}");
    }
}

#[test]
fn tag_annotations_and_log_entries_of_real_signatures_are_read() {
    let Some(folder) = folder().map(|folder| folder.join(PUBLIC)) else { return };
    let claim = |case: &str, key: &str| {
        Layout::load(&folder.join(case), Listing::Api).judge(&folder.join(key), &Cosign::default()).claims.remove(0)
    };
    let tagged = claim("valid-with-tag", "cosign.pub");
    assert_eq!(tagged.repository.as_deref(), Some("192.168.64.2:5000/skopeo-signed"));
    assert_eq!(tagged.tag.as_deref(), Some("tag"));
    assert_eq!(tagged.annotations["creator"], "containers/image 5.21.2-dev");
    assert_eq!(tagged.annotations["timestamp"], "1657296609");
    let logged = claim("key-rekor-valid", "cosign2.pub");
    let entry = logged.log_entries.first().unwrap().peek();
    assert_eq!((entry.index, entry.integrated_time), (11_608_800, 1_674_251_859));
    assert_eq!(entry.log_id, "c0d23d6ad406973f9559f3ba2d1ca01f84147d8ffc5b8445c224f98b9591801d");
    assert_eq!(logged.signed_at, None, "a log's word is not proven here");
}

#[test]
fn every_bundle_that_must_pass_elsewhere_is_read() {
    let Some(folder) = folder() else { return };
    let expected = fs::read_to_string(folder.join("conformance/expected.tsv")).unwrap();
    let mut read = 0;
    for line in expected.lines().skip(1) {
        let columns: Vec<&str> = line.split('\t').collect();
        let case = folder.join("conformance/bundle-verify").join(columns[0]);
        let entries = fs::read_dir(&case).unwrap();
        let bundles =
            entries.map(|entry| entry.unwrap().path()).filter(|path| path.to_string_lossy().ends_with("bundle.sigstore.json"));
        for path in bundles {
            let parsed = Bundle::parse(&fs::read(&path).unwrap());
            assert!(parsed.is_ok() || !columns[1].starts_with("pass"), "{}: {parsed:?}", path.display());
            read += usize::from(parsed.is_ok());
        }
    }
    assert!(read >= 21, "{read} bundles were read");

    let Bundle { content: Content::Envelope(envelope), timestamps, log_entries, .. } =
        Bundle::parse(&fs::read(folder.join("sigstore-rs/bundle_v03.json")).unwrap()).unwrap()
    else {
        unreachable!("it has an envelope")
    };
    assert_eq!((timestamps, log_entries[0].peek().index), (1, 1_261_105_807));
    assert_eq!(statement::Statement::parse(&envelope.payload).unwrap().predicate_type, statement::SIGN);
}

//! Certificates of an authority of one's own: what must pass beside what must fail, and by which code.

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose, SanType,
    SerialNumber, date_time_ymd,
};
use serde_json::{Value, json};
use trustctl_core::digest::Digest;
use trustctl_core::policy::NamePattern;
use trustctl_core::reason::Code;
use trustctl_core::scheme::AuthorityAnchor;

use super::super::About;
use super::super::authority::Authority;
use super::world::{SIGNED, World, image, sign, statement};
use super::{Fault, code, entry};
use crate::dsse::{IN_TOTO, pae};
use crate::format::encode;
use crate::testing::TestKey;

/// While the certificate is valid.
const THEN: &str = "2026-11-20T12:00:00Z";
/// After it has ended.
const LATER: &str = "2026-11-23T00:00:00Z";
const NAME: &str = "release@example.com";

/// A root, an authority below it, and what they issue.
struct Own {
    root: (KeyPair, CertificateParams),
    between: (KeyPair, CertificateParams),
}

impl Own {
    fn new() -> Self {
        Self::with_between(2026, 2030)
    }

    /// With an authority below the root whose certificate is valid from the first of one year to that of another.
    fn with_between(from: i32, until: i32) -> Self {
        let authority = |name: &str, serial: u8, (from, until): (i32, i32)| {
            let mut params = CertificateParams::new(Vec::<String>::new()).unwrap();
            params.distinguished_name = rcgen::DistinguishedName::new();
            params.distinguished_name.push(DnType::CommonName, name);
            params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
            params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
            params.serial_number = Some(SerialNumber::from_slice(&[serial]));
            (params.not_before, params.not_after) = (date_time_ymd(from, 1, 1), date_time_ymd(until, 1, 1));
            (KeyPair::generate().unwrap(), params)
        };
        Self { root: authority("root", 1, (2020, 2040)), between: authority("between", 2, (from, until)) }
    }

    fn root_der(&self) -> Vec<u8> {
        self.root.1.self_signed(&self.root.0).unwrap().der().to_vec()
    }

    fn between_der(&self) -> Vec<u8> {
        let issuer = Issuer::from_params(&self.root.1, &self.root.0);
        self.between.1.signed_by(&self.between.0, &issuer).unwrap().der().to_vec()
    }

    /// A certificate for `key`, valid on 2026-11-20, changed as asked.
    fn certificate(&self, key: &TestKey, change: &dyn Fn(&mut CertificateParams)) -> Vec<u8> {
        let mut params = CertificateParams::new(Vec::<String>::new()).unwrap();
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, "release team");
        params.subject_alt_names = vec![SanType::Rfc822Name(NAME.try_into().unwrap())];
        params.serial_number = Some(SerialNumber::from_slice(&[9]));
        (params.not_before, params.not_after) = (date_time_ymd(2026, 11, 20), date_time_ymd(2026, 11, 21));
        change(&mut params);
        let pair = KeyPair::try_from(key.pkcs8.as_slice()).unwrap();
        let issuer = Issuer::from_params(&self.between.1, &self.between.0);
        params.signed_by(&pair, &issuer).unwrap().der().to_vec()
    }

    fn anchor(&self, names: &str, world: Option<&World>) -> AuthorityAnchor {
        AuthorityAnchor {
            name: "ca:release".to_owned(),
            roots: vec![self.root_der()],
            intermediates: vec![self.between_der()],
            names: NamePattern::glob(names).unwrap(),
            instance: None,
            sigstore: world.map(|world| world.anchor(None)),
        }
    }

    /// A bundle about the image; with a log entry by the world's log where one is given.
    fn bundle(&self, change: &dyn Fn(&mut CertificateParams), world: Option<&World>) -> Value {
        let (key, payload) = (TestKey::new(), statement(&image()));
        let certificate = self.certificate(&key, change);
        let signature = sign(&key, &pae(IN_TOTO, &payload));
        let verifier = pem::encode(&pem::Pem::new("CERTIFICATE", certificate.as_slice()));
        let entries: Vec<Value> = world.iter().map(|world| world.entry(0, &payload, &signature, &verifier)).collect();
        json!({
            "mediaType": crate::bundle::MEDIA_TYPE,
            "verificationMaterial": {"certificate": {"rawBytes": encode(&certificate)}, "tlogEntries": entries},
            "dsseEnvelope": {"payload": encode(&payload), "payloadType": IN_TOTO, "signatures": [{"sig": encode(&signature)}]}
        })
    }
}

fn judge(anchor: &AuthorityAnchor, bundle: &Value, now: &str) -> Result<super::super::Proof, Fault> {
    Authority::new(anchor).unwrap().verify(bundle.to_string().as_bytes(), About::Digest(&image()), now.parse().unwrap())
}

fn as_it_is(_: &mut CertificateParams) {}

#[test]
fn a_certificate_of_ones_own_authority_counts_while_it_is_valid() {
    let own = Own::new();
    let (anchor, bundle) = (own.anchor(NAME, None), own.bundle(&as_it_is, None));
    let proof = judge(&anchor, &bundle, THEN).unwrap();
    assert_eq!(proof.certificate.unwrap().identity, NAME);
    assert!(proof.times.is_empty() && proof.entries.is_empty(), "nobody vouches for a time");
    assert_eq!(code(judge(&anchor, &bundle, LATER)), Some(Code::CosignCertificateExpired));
    assert_eq!(code(judge(&anchor, &bundle, "2026-11-19T00:00:00Z")), Some(Code::CosignCertificateExpired));
    assert_eq!(code(judge(&Own::new().anchor(NAME, None), &bundle, THEN)), Some(Code::CosignCertificateUntrusted));
    assert_eq!(code(judge(&own.anchor("other@example.com", None), &bundle, THEN)), Some(Code::CosignWrongIdentity));
    let mut altered = bundle.clone();
    altered["dsseEnvelope"]["signatures"] = own.bundle(&as_it_is, None)["dsseEnvelope"]["signatures"].clone();
    assert_eq!(code(judge(&anchor, &altered, THEN)), Some(Code::CosignBadSignature));
    let other = Digest::sha256_of(b"other");
    let judged =
        Authority::new(&anchor).unwrap().verify(bundle.to_string().as_bytes(), About::Digest(&other), THEN.parse().unwrap());
    assert_eq!(code(judged), Some(Code::CosignDigestMismatch));
}

#[test]
fn a_proven_time_counts_in_place_of_now_and_must_hold() {
    let (own, world) = (Own::new(), World::new());
    let (anchor, bundle) = (own.anchor(NAME, Some(&world)), own.bundle(&as_it_is, Some(&world)));
    let proof = judge(&anchor, &bundle, LATER).unwrap();
    assert_eq!(proof.times.first().unwrap().unix_seconds(), SIGNED);
    assert_eq!(proof.entries.first().unwrap().sigstore.as_deref(), Some("ca:release"));
    assert_eq!(
        code(judge(&own.anchor(NAME, None), &bundle, LATER)),
        Some(Code::CosignLogUnknown),
        "no trusted root names the log"
    );
    assert_eq!(code(judge(&own.anchor(NAME, Some(&World::new())), &bundle, LATER)), Some(Code::CosignLogUnknown));

    let mut of_another = bundle.clone();
    *entry(&mut of_another) = own.bundle(&as_it_is, Some(&world))["verificationMaterial"]["tlogEntries"][0].clone();
    assert_eq!(code(judge(&anchor, &of_another, LATER)), Some(Code::CosignLogMismatch));
    let mut late = bundle.clone();
    let body = crate::format::decode(entry(&mut late)["canonicalizedBody"].as_str().unwrap(), "it").unwrap();
    *entry(&mut late) = world.logged(0, "dsse", &body, SIGNED + 86_400);
    assert_eq!(code(judge(&anchor, &late, LATER)), Some(Code::CosignCertificateExpired));

    let mut demanding = own.anchor(NAME, Some(&world));
    demanding.sigstore.as_mut().unwrap().thresholds.logs = 1;
    assert_eq!(code(judge(&demanding, &bundle, LATER)), None);
    assert_eq!(code(judge(&demanding, &own.bundle(&as_it_is, None), THEN)), Some(Code::CosignTimeMissing));
}

/// GHSA-wfqv-66vq-46rm (CVE-2026-24122), where the chain has an authority between that has ended.
#[test]
fn every_certificate_of_the_chain_is_valid_at_every_proven_time() {
    let world = World::new();
    let judged = |own: &Own| code(judge(&own.anchor(NAME, Some(&world)), &own.bundle(&as_it_is, Some(&world)), LATER));
    assert_eq!(judged(&Own::new()), None);
    assert_eq!(judged(&Own::with_between(2020, 2026)), Some(Code::CosignCertificateExpired));
    assert_eq!(judged(&Own::with_between(2027, 2030)), Some(Code::CosignCertificateExpired));

    // The log says one time and the other log another: each must lie in the certificate.
    let own = Own::new();
    let mut bundle = own.bundle(&as_it_is, Some(&world));
    let body = crate::format::decode(entry(&mut bundle)["canonicalizedBody"].as_str().unwrap(), "it").unwrap();
    let entries = bundle["verificationMaterial"]["tlogEntries"].as_array_mut().unwrap();
    entries.push(world.logged(1, "dsse", &body, SIGNED + 86_400));
    assert_eq!(code(judge(&own.anchor(NAME, Some(&world)), &bundle, LATER)), Some(Code::CosignCertificateExpired));
}

#[test]
fn intermediates_are_the_policys_or_come_along() {
    let own = Own::new();
    let mut anchor = own.anchor(NAME, None);
    anchor.intermediates.clear();
    let mut bundle = own.bundle(&as_it_is, None);
    assert_eq!(code(judge(&anchor, &bundle, THEN)), Some(Code::CosignCertificateUntrusted));
    let leaf = bundle["verificationMaterial"]["certificate"].clone();
    bundle["mediaType"] = json!("application/vnd.dev.sigstore.bundle+json;version=0.2");
    let chain = json!([leaf, {"rawBytes": encode(&own.between_der())}]);
    bundle["verificationMaterial"] = json!({"x509CertificateChain": {"certificates": chain}});
    assert_eq!(code(judge(&anchor, &bundle, THEN)), None);
}

#[test]
fn a_certificate_for_another_use_signs_no_code() {
    let own = Own::new();
    let judged = |change: &dyn Fn(&mut CertificateParams)| code(judge(&own.anchor(NAME, None), &own.bundle(change, None), THEN));
    assert_eq!(judged(&|params| params.extended_key_usages = vec![ExtendedKeyUsagePurpose::CodeSigning]), None);
    assert_eq!(judged(&|params| params.key_usages = vec![KeyUsagePurpose::DigitalSignature]), None);
    let untrusted = Some(Code::CosignCertificateUntrusted);
    assert_eq!(judged(&|params| params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth]), untrusted);
    assert_eq!(judged(&|params| params.key_usages = vec![KeyUsagePurpose::KeyEncipherment]), untrusted);
    assert_eq!(
        judged(&|params| params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained)),
        untrusted,
        "an authority signs no code"
    );
}

#[test]
fn the_name_that_counts_is_one_of_the_certificates_whole() {
    let own = Own::new();
    let two =
        own.bundle(&|params| params.subject_alt_names.push(SanType::DnsName("build.example.com".try_into().unwrap())), None);
    let named = |names: &str, bundle: &Value| {
        judge(&own.anchor(names, None), bundle, THEN).map(|proof| proof.certificate.unwrap().identity).map_err(|fault| fault.code)
    };
    assert_eq!(named(NAME, &two).as_deref(), Ok(NAME));
    assert_eq!(named("build.example.com", &two).as_deref(), Ok("build.example.com"));
    assert_eq!(named("build.example", &two), Err(Code::CosignWrongIdentity));
    assert_eq!(
        named("CN=release team", &two),
        Err(Code::CosignWrongIdentity),
        "where there are names, the subject does not count"
    );
    let none = own.bundle(&|params| params.subject_alt_names.clear(), None);
    assert_eq!(named("CN=release team", &none).as_deref(), Ok("CN=release team"));
}

#[test]
fn what_is_no_authority_is_no_anchor() {
    let own = Own::new();
    let leaf = own.certificate(&TestKey::new(), &as_it_is);
    for wrong in [leaf, b"no certificate".to_vec()] {
        let anchor = AuthorityAnchor { roots: vec![wrong], ..own.anchor(NAME, None) };
        assert_eq!(Authority::new(&anchor).err().map(|fault| fault.code), Some(Code::AnchorUnusable));
    }
}

#[test]
fn a_key_of_any_curve_may_be_in_the_certificate() {
    let own = Own::new();
    let (key, payload) = (TestKey::ecdsa(crate::testing::Ecdsa::P384), statement(&image()));
    let signature = {
        use trustctl_core::public_key::{Hash, SignatureScheme};
        use trustctl_core::signer::Signer as _;
        key.sign(SignatureScheme::EcdsaDer(Hash::Sha384), &pae(IN_TOTO, &payload)).unwrap()
    };
    let bundle = json!({
        "mediaType": crate::bundle::MEDIA_TYPE,
        "verificationMaterial": {"certificate": {"rawBytes": encode(&own.certificate(&key, &as_it_is))}},
        "dsseEnvelope": {"payload": encode(&payload), "payloadType": IN_TOTO, "signatures": [{"sig": encode(&signature)}]}
    });
    assert_eq!(code(judge(&own.anchor(NAME, None), &bundle, THEN)), None);
}

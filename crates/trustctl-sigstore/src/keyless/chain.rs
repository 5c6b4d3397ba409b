//! Certificate chains: from the certificate that signed to an authority that counts, at every proven time. Source: RFC 5280, section 6.
//!
//! The builder is `webpki`, which checks signatures, validity, basic constraints, name constraints and extended key usage. Where the
//! certificate was issued by a trusted one directly, as Sigstore's are, the path is built once: it holds at another time too while that
//! time lies in the certificate's validity and in the authority's window. Any other path is built again for each time.

use der::Encode as _;
use jiff::Timestamp;
use rustls_pki_types::{CertificateDer, Der, SignatureVerificationAlgorithm, TrustAnchor, UnixTime};
use sigstore_types::TimeRange;
use trustctl_core::reason::Code;
use webpki::{ALL_VERIFICATION_ALGS, EndEntityCert, Error, KeyUsage, anchor_from_trusted_cert};
use x509_cert::Certificate;

use super::fault::Fault;
use super::prepared::{P256_SHA256, P384_SHA384};

/// `id-kp-codeSigning`, 1.3.6.1.5.5.7.3.3, as the content of its DER.
const CODE_SIGNING: &[u8] = &[0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x03, 0x03];

/// The authorities that count.
pub(super) struct Chains {
    anchors: Vec<(TrustAnchor<'static>, Option<TimeRange>)>,
    between: Vec<CertificateDer<'static>>,
    algorithms: Vec<&'static dyn SignatureVerificationAlgorithm>,
    usage: Usage,
}

/// What the certificate that signed must say it is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Usage {
    /// Code signing, and it must say so: Sigstore's profile.
    CodeSigning,
    /// Code signing where it says anything (RFC 5280, section 4.2.1.12).
    NothingElse,
}

/// The certificate that signed, and those that came along with it.
#[derive(Clone, Copy)]
pub(super) struct Brought<'a> {
    pub(super) der: &'a [u8],
    pub(super) leaf: &'a Certificate,
    pub(super) between: &'a [&'a [u8]],
}

impl Chains {
    pub(super) fn new(usage: Usage) -> Self {
        let prepared: [&'static dyn SignatureVerificationAlgorithm; 2] = [&P256_SHA256, &P384_SHA384];
        let algorithms = prepared.into_iter().chain(ALL_VERIFICATION_ALGS.iter().copied()).collect();
        Self { anchors: Vec::new(), between: Vec::new(), algorithms, usage }
    }

    /// Adds a certificate that counts in `window`.
    pub(super) fn trust(&mut self, der: &[u8], window: Option<TimeRange>) -> Result<(), Fault> {
        let certificate = CertificateDer::from(der);
        let anchor = anchor_from_trusted_cert(&certificate).map_err(|error| Fault::root(&error))?;
        self.anchors.push((anchor.to_owned(), window));
        Ok(())
    }

    /// Adds certificates that may lie between.
    pub(super) fn between(&mut self, certificates: &[Vec<u8>]) {
        self.between.extend(certificates.iter().map(|der| CertificateDer::from(der.clone())));
    }

    /// The DER SubjectPublicKeyInfo of whoever issued the certificate, which leads to a trusted one at each of `times`, at least one.
    pub(super) fn verify(&self, brought: Brought<'_>, times: &[Timestamp]) -> Result<Vec<u8>, Fault> {
        let der = CertificateDer::from(brought.der);
        let end = EndEntityCert::try_from(&der).map_err(|error| Fault::malformed(format!("the certificate: {error}")))?;
        let between: Vec<CertificateDer<'_>> =
            brought.between.iter().map(|der| CertificateDer::from(*der)).chain(self.between.iter().cloned()).collect();
        let mut issuer: Option<Vec<u8>> = None;
        let mut holds: Option<TimeRange> = None;
        for time in times {
            if holds.is_some_and(|range| range.contains(*time)) {
                continue;
            }
            let (spki, range) = self.path(&end, brought.leaf, &between, *time)?;
            issuer.get_or_insert(spki);
            holds = range;
        }
        issuer.ok_or_else(|| Fault::new(Code::CosignTimeMissing, "there is no time to judge the certificate at"))
    }

    /// One path at one time: the issuer's key, and the range of times in which the very same path holds, where that is known.
    fn path(
        &self,
        end: &EndEntityCert<'_>,
        leaf: &Certificate,
        between: &[CertificateDer<'_>],
        time: Timestamp,
    ) -> Result<(Vec<u8>, Option<TimeRange>), Fault> {
        let counts = |window: &Option<TimeRange>| window.is_none_or(|range| range.contains(time));
        let counting = || self.anchors.iter().filter(|(_, window)| counts(window));
        let anchors: Vec<TrustAnchor<'_>> = counting().map(|(anchor, _)| borrowed(anchor)).collect();
        if anchors.is_empty() {
            let words = format!("no authority of the trusted root counts at {time}");
            return Err(Fault::new(Code::CosignCertificateUntrusted, words));
        }
        let usage = match self.usage {
            Usage::CodeSigning => KeyUsage::required(CODE_SIGNING),
            Usage::NothingElse => KeyUsage::required_if_present(CODE_SIGNING),
        };
        let seconds = u64::try_from(time.as_second()).map_err(|_| Fault::malformed("a time before 1970"))?;
        let at = UnixTime::since_unix_epoch(std::time::Duration::from_secs(seconds));
        let path =
            end.verify_for_usage(&self.algorithms, &anchors, between, at, usage, None, None).map_err(|error| refused(&error))?;
        let issuer = path.issuer_spki().as_ref().to_vec();
        if path.intermediate_certificates().next().is_some() {
            return Ok((issuer, None));
        }
        let window = counting().find(|(anchor, _)| anchor == path.anchor()).and_then(|(_, window)| *window);
        Ok((issuer, validity(leaf).map(|valid| window.map_or(valid, |window| within(valid, window)))))
    }
}

/// The same without copying it.
fn borrowed<'a>(anchor: &'a TrustAnchor<'static>) -> TrustAnchor<'a> {
    TrustAnchor {
        subject: Der::from_slice(&anchor.subject),
        subject_public_key_info: Der::from_slice(&anchor.subject_public_key_info),
        name_constraints: anchor.name_constraints.as_deref().map(Der::from_slice),
    }
}

/// The part of both ranges; both hold the time that was asked about.
fn within(one: TimeRange, two: TimeRange) -> TimeRange {
    let end = match (one.end, two.end) {
        (Some(one), Some(two)) => Some(one.min(two)),
        (one, two) => one.or(two),
    };
    TimeRange::new(one.start.max(two.start), end)
}

/// When a certificate is valid, both ends included; `None` for an end beyond every time that can be written.
pub(super) fn validity(certificate: &Certificate) -> Option<TimeRange> {
    let validity = certificate.tbs_certificate.validity;
    let at = |time: x509_cert::time::Time| Timestamp::from_second(i64::try_from(time.to_unix_duration().as_secs()).ok()?).ok();
    Some(TimeRange::new(at(validity.not_before)?, Some(at(validity.not_after)?)))
}

fn refused(error: &Error) -> Fault {
    let code = match error {
        Error::CertExpired { .. } | Error::CertNotValidYet { .. } => Code::CosignCertificateExpired,
        _ => Code::CosignCertificateUntrusted,
    };
    let words = match code {
        Code::CosignCertificateExpired => {
            "the certificate, or one above it, was not valid at a time that is proven for the signature".to_owned()
        }
        _ => format!("the certificate does not lead to a trusted authority ({error})"),
    };
    Fault::new(code, words)
}

/// The DER SubjectPublicKeyInfo of a certificate.
pub(super) fn spki(certificate: &Certificate) -> Result<Vec<u8>, Fault> {
    let key = &certificate.tbs_certificate.subject_public_key_info;
    key.to_der().map_err(|error| Fault::malformed(format!("the key in the certificate: {error}")))
}

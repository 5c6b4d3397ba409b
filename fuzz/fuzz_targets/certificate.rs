#![no_main]
//! Certificates: names and Fulcio's extensions of one that signed, and one as the anchor of an authority of one's own.

use libfuzzer_sys::fuzz_target;
use trustctl_core::policy::NamePattern;
use trustctl_core::scheme::AuthorityAnchor;
use trustctl_core::time::Timestamp;
use trustctl_sigstore::keyless::About;
use trustctl_sigstore::keyless::authority::Authority;
use trustctl_sigstore::keyless::certificate::Certificate;

fuzz_target!(|der: &[u8]| {
    if let Ok(certificate) = Certificate::from_der(der) {
        assert!(!certificate.identity.is_empty());
    }
    let anchor = AuthorityAnchor {
        name: "ca:fuzz".to_owned(),
        roots: vec![der.to_vec()],
        intermediates: vec![der.to_vec()],
        names: NamePattern::any(),
        instance: None,
        sigstore: None,
    };
    if let Ok(authority) = Authority::new(&anchor) {
        let encoded = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, der);
        let bundle = format!(
            r#"{{"mediaType":"application/vnd.dev.sigstore.bundle.v0.3+json","verificationMaterial":{{"certificate":{{"rawBytes":"{encoded}"}}}},"messageSignature":{{"signature":"AA=="}}}}"#
        );
        assert!(authority.verify(bundle.as_bytes(), About::Bytes(b"file"), Timestamp::UNIX_EPOCH).is_err());
    }
});

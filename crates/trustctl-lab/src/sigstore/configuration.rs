//! What clients are told of a lab: whom to trust (protobuf-specs, `sigstore_trustroot.proto`) and whom to ask.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use der::Encode as _;
use serde_json::{Value, json};
use trustctl_core::public_key::{KeyKind, PublicKey};
use trustctl_core::time::Timestamp;
use x509_cert::certificate::Certificate;

use crate::error::LabError;

/// A log in a trusted root.
#[derive(Debug)]
pub(crate) struct TrustedLog<'a> {
    pub(crate) url: String,
    pub(crate) key: &'a PublicKey,
    pub(crate) id: &'a [u8],
}

/// An authority in a trusted root.
#[derive(Debug)]
pub(crate) struct TrustedAuthority<'a> {
    pub(crate) name: &'static str,
    pub(crate) url: String,
    /// The certificate that signs first.
    pub(crate) chain: [&'a Certificate; 2],
}

/// Everybody in a trusted root.
#[derive(Debug)]
pub(crate) struct Trusted<'a> {
    pub(crate) logs: Vec<TrustedLog<'a>>,
    pub(crate) certificate_log: TrustedLog<'a>,
    pub(crate) fulcio: TrustedAuthority<'a>,
    pub(crate) timestamps: TrustedAuthority<'a>,
    pub(crate) since: Timestamp,
}

/// Everybody in a signing configuration.
#[derive(Debug)]
pub(crate) struct Asked {
    pub(crate) fulcio: String,
    pub(crate) issuer: String,
    pub(crate) log: String,
    pub(crate) log_version: u8,
    pub(crate) timestamps: String,
    pub(crate) since: Timestamp,
}

impl Trusted<'_> {
    /// Version 0.1, the one that every client reads.
    pub(crate) fn to_json(&self) -> Result<Value, LabError> {
        let start = self.since.to_string();
        let log = |log: &TrustedLog<'_>| {
            json!({
                "baseUrl": log.url,
                "hashAlgorithm": "SHA2_256",
                "publicKey": {
                    "rawBytes": STANDARD.encode(log.key.spki_der()),
                    "keyDetails": key_details(log.key),
                    "validFor": {"start": start},
                },
                "logId": {"keyId": STANDARD.encode(log.id)},
            })
        };
        let authority = |authority: &TrustedAuthority<'_>| -> Result<Value, LabError> {
            let der = |one: &&Certificate| -> Result<Value, LabError> { Ok(json!({"rawBytes": STANDARD.encode(one.to_der()?)})) };
            let chain = authority.chain.iter().map(der).collect::<Result<Vec<_>, _>>()?;
            Ok(json!({
                "subject": {"organization": "trustctl-lab", "commonName": authority.name},
                "uri": authority.url,
                "certChain": {"certificates": chain},
                "validFor": {"start": start},
            }))
        };
        Ok(json!({
            "mediaType": "application/vnd.dev.sigstore.trustedroot+json;version=0.1",
            "tlogs": self.logs.iter().map(log).collect::<Vec<_>>(),
            "certificateAuthorities": [authority(&self.fulcio)?],
            "ctlogs": [log(&self.certificate_log)],
            "timestampAuthorities": [authority(&self.timestamps)?],
        }))
    }
}

impl Asked {
    /// Version 0.2.
    pub(crate) fn to_json(&self) -> Value {
        let start = self.since.to_string();
        let service = |url: &str, version: u8| json!([{"url": url, "majorApiVersion": version, "operator": "trustctl-lab", "validFor": {"start": start}}]);
        json!({
            "mediaType": "application/vnd.dev.sigstore.signingconfig.v0.2+json",
            "caUrls": service(&self.fulcio, 1),
            "oidcUrls": service(&self.issuer, 1),
            "rekorTlogUrls": service(&self.log, self.log_version),
            "rekorTlogConfig": {"selector": "ANY"},
            "tsaUrls": service(&self.timestamps, 1),
            "tsaConfig": {"selector": "ANY"},
        })
    }
}

fn key_details(key: &PublicKey) -> &'static str {
    if key.kind() == KeyKind::Ed25519 { "PKIX_ED25519" } else { "PKIX_ECDSA_P256_SHA_256" }
}

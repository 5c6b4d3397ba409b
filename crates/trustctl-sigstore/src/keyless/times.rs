//! Proven times: none later than `now`, and enough distinct operators behind them.

use std::collections::BTreeSet;

use sigstore_types::{Bundle, SignatureContent, TsaAuthority};
use trustctl_core::claim::ProvenEntry;
use trustctl_core::reason::Code;
use trustctl_core::time::Timestamp;

use super::fault::Fault;
use super::root::Root;

/// Refuses a proven time after `now`.
pub(super) fn not_after(proven: &[jiff::Timestamp], now: Timestamp) -> Result<(), Fault> {
    match proven.iter().find(|time| time.as_second() > now.unix_seconds()) {
        Some(late) => {
            let words = format!("the proven time {} is after {now}, as of which is judged", of(*late)?);
            Err(Fault::new(Code::CosignTimeInFuture, words))
        }
        None => Ok(()),
    }
}

/// A time as this program writes it, in whole seconds.
pub(super) fn of(time: jiff::Timestamp) -> Result<Timestamp, Fault> {
    Timestamp::from_unix_seconds(time.as_second()).map_err(|error| Fault::malformed(error.to_string()))
}

/// Demands times by `least` distinct operators, and refuses a timestamp that is there twice. The library has verified every timestamp
/// and found at least one time; which authority made which is asked again only where more than one is demanded.
pub(super) fn enough(bundle: &Bundle, entries: &[ProvenEntry], root: &Root, least: usize) -> Result<(), Fault> {
    let stamps = &bundle.verification_material.timestamp_verification_data.rfc3161_timestamps;
    let distinct: BTreeSet<&[u8]> = stamps.iter().map(|stamp| stamp.signed_timestamp.as_bytes()).collect();
    if distinct.len() != stamps.len() {
        return Err(Fault::malformed("the same timestamp is there twice"));
    }
    if least <= 1 {
        return Ok(());
    }
    let mut operators: BTreeSet<&str> =
        entries.iter().filter(|entry| entry.integrated.is_some()).map(|entry| entry.operator.as_str()).collect();
    let signature = match &bundle.content {
        SignatureContent::MessageSignature(message) => &message.signature,
        SignatureContent::DsseEnvelope(envelope) => &envelope.signature.sig,
        _ => return Err(Fault::malformed("the bundle holds neither a message signature nor an envelope")),
    };
    for stamp in stamps {
        let made = root.library.timestamp_authorities.iter().zip(&root.timestamp_operators).find(|(authority, _)| {
            authority_of(authority).is_some_and(|authority| {
                sigstore_tsa::verify_timestamp_for_authority(&stamp.signed_timestamp, signature, &authority).is_ok()
            })
        });
        operators.extend(made.map(|(_, operator)| operator.as_str()));
    }
    if operators.len() < least {
        let words = format!("times by {} operator(s), {least} are demanded", operators.len());
        return Err(Fault::new(Code::CosignThreshold, words));
    }
    Ok(())
}

/// The chain of an authority as the library wants it: leaf, what lies between, root.
fn authority_of(authority: &sigstore_trust_root::TimestampAuthority) -> Option<TsaAuthority> {
    let chain: Vec<_> = authority.cert_chain.certificates.iter().map(|entry| entry.raw_bytes.clone()).collect();
    let (leaf, above) = chain.split_first()?;
    let (root, between) = above.split_last().unwrap_or((leaf, &[]));
    Some(TsaAuthority::new(leaf.clone(), between.to_vec(), root.clone(), authority.valid_for))
}

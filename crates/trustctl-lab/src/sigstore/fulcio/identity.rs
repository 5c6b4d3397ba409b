//! From the claims of a token to the names and extensions of a certificate (Fulcio, `docs/oid-info.md`).

use der::Encode as _;
use der::asn1::{Ia5String, ObjectIdentifier, OctetString, Utf8StringRef};
use serde_json::{Map, Value};
use x509_cert::ext::Extension;
use x509_cert::ext::pkix::name::GeneralName;

use crate::error::LabError;

/// Who a certificate is for.
#[derive(Debug)]
pub(crate) struct Identity {
    /// The subject alternative name.
    pub(crate) name: GeneralName,
    /// What is signed to prove possession of the key: the address, or the subject of the token.
    pub(crate) challenge: String,
    /// The last number of each extension's identifier, and its text.
    texts: Vec<(u8, String)>,
}

/// Why a token names nobody.
#[derive(Clone, Debug, thiserror::Error)]
pub(crate) enum Nameless {
    #[error("the token has no subject")]
    NoSubject,
    #[error("\"{0}\" is not an e-mail address")]
    NoAddress(String),
    #[error("the token's e-mail address is not verified")]
    NotVerified,
    #[error("\"{0}\" cannot be written into a certificate")]
    NotAscii(String),
}

impl Identity {
    /// The identity that a token of `issuer` gives: an address, a workflow, or any URI.
    pub(crate) fn of(claims: &Map<String, Value>, issuer: &str) -> Result<Self, Nameless> {
        let subject = text(claims, "sub").ok_or(Nameless::NoSubject)?;
        let ascii = |text: &str| Ia5String::new(text).map_err(|_| Nameless::NotAscii(text.to_owned()));
        // The old form and the one that replaced it; Fulcio writes both.
        let mut texts = vec![(1, issuer.to_owned()), (8, issuer.to_owned())];
        if let Some(email) = text(claims, "email") {
            if claims.get("email_verified") != Some(&Value::Bool(true)) {
                return Err(Nameless::NotVerified);
            }
            if !is_address(&email) {
                return Err(Nameless::NoAddress(email));
            }
            return Ok(Self { name: GeneralName::Rfc822Name(ascii(&email)?), challenge: email, texts });
        }
        let uri = match text(claims, "job_workflow_ref") {
            Some(workflow) => {
                texts.extend(workflow_texts(claims));
                format!("{GITHUB}/{workflow}")
            }
            None => subject.clone(),
        };
        Ok(Self { name: GeneralName::UniformResourceIdentifier(ascii(&uri)?), challenge: subject, texts })
    }

    pub(crate) fn extensions(&self) -> Result<Vec<Extension>, LabError> {
        self.texts.iter().map(|(number, text)| fulcio_extension(*number, text)).collect()
    }
}

/// What a workflow's token says, by the number of the extension; claims that are missing or empty have none.
fn workflow_texts(claims: &Map<String, Value>) -> Vec<(u8, String)> {
    let claim = |name: &str| text(claims, name);
    let linked = |path: Option<String>| path.map(|path| format!("{GITHUB}/{path}"));
    let run = claim("repository").zip(claim("run_id")).zip(claim("run_attempt"));
    let run = run.map(|((repository, run), attempt)| format!("{repository}/actions/runs/{run}/attempts/{attempt}"));
    let all = [
        (2, claim("event_name")),
        (3, claim("sha")),
        (4, claim("workflow")),
        (5, claim("repository")),
        (6, claim("ref")),
        (9, linked(claim("job_workflow_ref"))),
        (10, claim("job_workflow_sha")),
        (11, claim("runner_environment")),
        (12, linked(claim("repository"))),
        (13, claim("sha")),
        (14, claim("ref")),
        (15, claim("repository_id")),
        (16, linked(claim("repository_owner"))),
        (17, claim("repository_owner_id")),
        (18, linked(claim("workflow_ref"))),
        (19, claim("workflow_sha")),
        (20, claim("event_name")),
        (21, linked(run)),
        (22, claim("repository_visibility")),
        (23, claim("environment")),
        (24, claim("sub")),
    ];
    all.into_iter().filter_map(|(number, text)| Some((number, text?))).collect()
}

/// Something, an at sign, and something with a dot within.
fn is_address(text: &str) -> bool {
    let parts = text.split_once('@').and_then(|(name, host)| Some((name, host.rsplit_once('.')?)));
    parts.is_some_and(|(name, (host, top))| !name.is_empty() && !host.is_empty() && !top.is_empty())
}

fn text(claims: &Map<String, Value>, name: &str) -> Option<String> {
    claims.get(name)?.as_str().filter(|text| !text.is_empty()).map(str::to_owned)
}

/// The first six hold bare bytes, the later ones a DER UTF8String.
fn fulcio_extension(number: u8, text: &str) -> Result<Extension, LabError> {
    let value = if number <= LAST_BARE { text.as_bytes().to_vec() } else { Utf8StringRef::new(text)?.to_der()? };
    let extn_id = ObjectIdentifier::new(&format!("{FULCIO}.{number}")).map_err(der::Error::from)?;
    Ok(Extension { extn_id, critical: false, extn_value: OctetString::new(value)? })
}

const FULCIO: &str = "1.3.6.1.4.1.57264.1";
const LAST_BARE: u8 = 6;
/// Where the lab's workflows live, as in GitHub's tokens, which name no host.
pub(crate) const GITHUB: &str = "https://github.com";

//! Fulcio: short-lived certificates for who holds an identity token (its API v2, and v1 for cosign 2 and skopeo).

mod identity;
mod request;
mod timestamps;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use hyper::header::AUTHORIZATION;
use hyper::{Method, Request, StatusCode};
use serde_json::{Value, json};
use trustctl_core::public_key::PublicKey;
use x509_cert::certificate::Certificate;
use x509_cert::ext::pkix::{ExtendedKeyUsage, KeyUsage, KeyUsages, SubjectAltName};

use super::certificate::{Authority, Draft, Window, extension, pem, sign};
use super::issuer::Issuer;
use super::keys::Key;
use super::refusal::Refusal;
use super::service::{ServiceTime, failed_grpc};
use crate::answer::{self, Answer};
use crate::error::LabError;
use crate::faults::Part;
use crate::server::Site;
pub(crate) use identity::GITHUB;
use identity::Identity;
use request::Proven;

/// The certificate authorities and the certificate transparency log of a Fulcio.
#[derive(Debug)]
pub(crate) struct FulcioKeys {
    root: Authority,
    intermediate: Authority,
    log: Key,
    /// A log that nobody trusts.
    wrong_log: Key,
}

#[derive(Debug)]
pub(crate) struct FulcioSite {
    pub(crate) keys: Arc<FulcioKeys>,
    pub(crate) issuer: Arc<Issuer>,
    pub(crate) time: ServiceTime,
}

impl FulcioKeys {
    pub(crate) fn create(window: Window) -> Result<Self, LabError> {
        let root = Authority::root("CN=lab-fulcio-root,O=trustctl-lab", window, 1)?;
        let usage = extension(false, &ExtendedKeyUsage(vec![CODE_SIGNING]))?;
        let intermediate = root.intermediate("CN=lab-fulcio-intermediate,O=trustctl-lab", window, vec![usage])?;
        Ok(Self { root, intermediate, log: Key::p256()?, wrong_log: Key::p256()? })
    }

    /// The authorities, the issuing one first.
    pub(crate) fn chain(&self) -> [&Certificate; 2] {
        [&self.intermediate.certificate, &self.root.certificate]
    }

    /// The key of the certificate transparency log.
    pub(crate) fn log(&self) -> &PublicKey {
        self.log.public()
    }
}

impl Site for FulcioSite {
    fn answer(&self, request: &Request<Bytes>) -> Answer {
        self.route(request).unwrap_or_else(|refusal| refusal.grpc())
    }

    fn body_limit(&self) -> usize {
        MAX_REQUEST
    }

    fn failure(&self, status: StatusCode) -> Answer {
        failed_grpc(status)
    }
}

impl FulcioSite {
    fn route(&self, request: &Request<Bytes>) -> Result<Answer, Refusal> {
        match (request.method(), request.uri().path()) {
            (&Method::POST, "/api/v2/signingCert") => {
                let chain = self.certify(request)?;
                let chain = json!({"chain": {"certificates": chain}});
                Ok(answer::json_value(StatusCode::OK, &json!({"signedCertificateEmbeddedSct": chain})))
            }
            (&Method::POST, "/api/v1/signingCert") => {
                Ok(answer::bytes(StatusCode::CREATED, PEM_CHAIN, self.certify(request)?.concat()))
            }
            (&Method::GET, "/api/v2/trustBundle") => {
                let chain = self.keys.chain().map(|one| pem([one]));
                let [intermediate, root] = chain;
                let bundle = json!({"chains": [{"certificates": [intermediate?, root?]}]});
                Ok(answer::json_value(StatusCode::OK, &bundle))
            }
            (&Method::GET, "/api/v1/rootCert") => Ok(answer::bytes(StatusCode::OK, PEM_CHAIN, pem(self.keys.chain())?)),
            (&Method::GET, "/api/v2/configuration") => Ok(answer::json_value(StatusCode::OK, &self.configuration())),
            (&Method::GET, "/healthz") => Ok(answer::json_value(StatusCode::OK, &json!({"status": "SERVING"}))),
            _ => Err(Refusal::not_found()),
        }
    }

    /// Whose tokens are taken.
    fn configuration(&self) -> Value {
        json!({"issuers": [{
            "issuerUrl": self.issuer.url(),
            "audience": Issuer::AUDIENCE,
            "challengeClaim": "email",
            "spiffeTrustDomain": "",
            "issuerType": "email",
            "subjectDomain": "",
        }]})
    }

    /// The new certificate and its chain, each as PEM: when the token is good and its holder has the key.
    fn certify(&self, request: &Request<Bytes>) -> Result<Vec<String>, Refusal> {
        let body: Value = serde_json::from_slice(request.body()).map_err(Refusal::bad)?;
        let token = token(request, &body).ok_or_else(bad_token)?;
        let claims = self.issuer.verify(&token, self.time.now()).map_err(|_| bad_token())?;
        let identity = Identity::of(&claims, &self.issuer.url()).map_err(|_| bad_token())?;
        let proven = Proven::of(&body, &identity.challenge).map_err(Refusal::bad)?;
        let wrong = request.extensions().get::<Part>() == Some(&Part::CertificateTimestamp);
        let leaf = self.issue(&proven.key, &identity, wrong)?;
        let [intermediate, root] = self.keys.chain();
        Ok([&leaf, intermediate, root].into_iter().map(|one| pem([one])).collect::<Result<_, _>>()?)
    }

    /// A certificate for `key` that says who `identity` is, with the promise of the transparency log in it.
    fn issue(&self, key: &PublicKey, identity: &Identity, wrong_log: bool) -> Result<Certificate, LabError> {
        let now = self.time.now();
        let window = Window { from: now, until: now.saturating_add(LIFE) };
        let mut extensions = vec![
            extension(true, &KeyUsage(KeyUsages::DigitalSignature.into()))?,
            extension(false, &ExtendedKeyUsage(vec![CODE_SIGNING]))?,
            extension(true, &SubjectAltName(vec![identity.name.clone()]))?,
        ];
        extensions.extend(identity.extensions()?);
        let draft = Draft { subject: "", key, window, extensions };
        let issuer = &self.keys.intermediate;
        let mut to_be_signed = issuer.to_be_signed(&draft)?;
        let log = if wrong_log { &self.keys.wrong_log } else { &self.keys.log };
        let promise = timestamps::promised(&to_be_signed, issuer.key.public(), log, now)?;
        // Behind all others: what the log saw is the certificate without it.
        to_be_signed.extensions.get_or_insert_default().push(promise);
        sign(to_be_signed, &issuer.key)
    }
}

/// Fulcio says no more of any bad token, and answers 400, not 401: what is wrong with it is for the client to find out.
fn bad_token() -> Refusal {
    Refusal::bad("the identity token could not be processed")
}

/// The token in the body or, as sigstore-python sends it, in the header.
fn token(request: &Request<Bytes>, body: &Value) -> Option<String> {
    let in_body = body.pointer("/credentials/oidcIdentityToken").and_then(Value::as_str);
    let header = request.headers().get(AUTHORIZATION).and_then(|value| value.to_str().ok());
    let in_header = header.and_then(|value| value.strip_prefix("Bearer "));
    in_body.or(in_header).map(str::to_owned)
}

/// How long a certificate is valid, as Fulcio's.
const LIFE: Duration = Duration::from_secs(600);
const CODE_SIGNING: der::asn1::ObjectIdentifier = const_oid::db::rfc5280::ID_KP_CODE_SIGNING;
const PEM_CHAIN: &str = "application/pem-certificate-chain";
/// The largest request, in bytes; a token takes a few thousand.
const MAX_REQUEST: usize = 256 << 10;

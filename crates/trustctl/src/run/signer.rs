//! What signs in one run: a key, or an identity, and the services that vouch for it. One seam for images, attestations and files.
//!
//! [`With`] signs, has the services vouch, judges the finished bundle as any verifier would, and only then hands it out as a [`Sealed`].
//! Nothing is published here. With a key and no signing config nobody is asked, and the bundle is the signature alone.
//!
//! - One key pair a run for an identity, kept in memory and made anew when its certificate ends.
//! - The token is fetched when the certificate is asked for, and dropped right after.
//! - Timestamps come first, log entries last: what is in a log stays there.

pub(super) mod token;
mod who;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::Mutex;
use trustctl_core::claim::Principal;
use trustctl_core::digest::Digest;
use trustctl_core::hashes::Hashes;
use trustctl_core::public_key::{KeyKind, PublicKey};
use trustctl_core::reason::{Code, Reason, Step};
use trustctl_core::scheme::SigstoreAnchor;
use trustctl_core::signer::Signer;
use trustctl_keys::private_key::PrivateKey;
use trustctl_remote::http::Http;
use trustctl_remote::limits::Deadline;
use trustctl_remote::oidc::token::IdentityToken;
use trustctl_remote::sigstore::{Logged, ServiceError, Services};
use trustctl_sigstore::keyless::{About, Fault, Instance};
use trustctl_sigstore::make::MakeError;
use trustctl_sigstore::seal::authority::{self, Chain};
use trustctl_sigstore::seal::kept::Kept;
use trustctl_sigstore::seal::log::Entry;
use trustctl_sigstore::seal::timestamp::{NONCE, Query};
use trustctl_sigstore::seal::{Sealed, Signed};
use trustctl_sigstore::signing_config::{LogApi, Service, SigningConfig};

use super::{Session, clock, sigstore};
use crate::cli::VouchingArgs;
use crate::failure::Failure;
pub(super) use who::Who;

/// How much of its life a certificate must have left to be used again: one signature with all its services takes less.
const LIFE_LEFT: Duration = Duration::from_secs(60);
/// How far the clocks of services may be ahead of this machine's: that long is waited before what they say is called the future.
const CLOCK_AHEAD: u32 = 5;
/// How often a log may say that it has a signature already that it does not hand out, before it is given up: each time is signed anew.
pub(super) const MOST_DUPLICATES: u32 = 3;

/// What signs, and who vouches for it.
pub(super) struct With<'a> {
    session: &'a Session,
    args: VouchingArgs,
    key: Option<Arc<PrivateKey>>,
    vouching: Option<Vouching>,
    certified: Mutex<Option<Arc<Certified>>>,
    /// A token that was fetched to know who will sign, until the certificate is asked for.
    token: Mutex<Option<IdentityToken>>,
}

/// The services of an instance, and how their answers are judged.
struct Vouching {
    config: SigningConfig,
    services: Services,
    http: Http,
    instance: Instance,
    anchor: SigstoreAnchor,
}

/// A key pair of this run, and the certificate for it.
struct Certified {
    key: PrivateKey,
    chain: Chain,
    identity: String,
    issuer: String,
}

/// Where a signature is going to be kept: the annotations of a `.sig` tag hold less than a bundle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Keeping {
    /// A bundle.
    Bundle,
    /// The annotations of a layer under a `.sig` or `.att` tag.
    Annotations,
}

/// What is signed.
#[derive(Clone, Copy)]
pub(super) enum What<'w> {
    /// A DSSE envelope around a payload of a type.
    Envelope { payload_type: &'w str, payload: &'w [u8] },
    /// The bytes as they are.
    Message(&'w [u8]),
    /// A file of which only hashes are known.
    File(&'w Hashes),
}

impl<'a> With<'a> {
    /// The key, or without one an identity; with the services of `--signing-config` or `--sigstore`, which an identity always needs.
    ///
    /// # Errors
    /// [`Code::SigningConfigUnusable`], [`Code::AnchorUnusable`], [`Code::LocalFile`] for the files; [`Code::ServiceMissing`] where the
    /// config lacks what an identity needs. Nobody is asked yet.
    pub(super) fn new(session: &'a Session, args: &VouchingArgs, key: Option<PrivateKey>) -> Result<Self, Failure> {
        let vouching = match &key {
            Some(_) if args.signing_config.is_none() && args.sigstore.is_none() => None,
            _ => Some(Vouching::new(session, args)?),
        };
        if let (None, Some(vouching)) = (&key, &vouching) {
            vouching.check_for_identity()?;
        }
        Ok(Self {
            session,
            args: args.clone(),
            key: key.map(Arc::new),
            vouching,
            certified: Mutex::new(None),
            token: Mutex::new(None),
        })
    }

    /// A sealed DSSE envelope around `payload`, whose statement names `about`.
    ///
    /// # Errors
    /// A [`Failure`], by the first thing that went wrong; then nothing is to be published.
    pub(super) async fn envelope(
        &self,
        (payload_type, payload): (&str, &[u8]),
        about: &Digest,
        keeping: Keeping,
    ) -> Result<Sealed, Failure> {
        self.seal(What::Envelope { payload_type, payload }, About::Digest(about), keeping).await
    }

    /// A sealed signature over `message`: the payload of a `.sig` layer, or a file.
    ///
    /// # Errors
    /// As [`With::envelope`].
    pub(super) async fn message(&self, message: &[u8], keeping: Keeping) -> Result<Sealed, Failure> {
        self.seal(What::Message(message), About::Bytes(message), keeping).await
    }

    /// A sealed signature over a file of which only hashes are known, as a bundle.
    ///
    /// # Errors
    /// As [`With::envelope`].
    pub(super) async fn file(&self, file: &Hashes) -> Result<Sealed, Failure> {
        self.seal(What::File(file), About::File { hashes: file, bytes: None }, Keeping::Bundle).await
    }

    /// Who signs, as verifiers will see it. For an identity this asks for the certificate.
    ///
    /// # Errors
    /// As [`With::envelope`].
    pub(super) async fn principal(&self) -> Result<Principal, Failure> {
        Ok(self.who().await?.principal())
    }

    /// The key, where one signs.
    #[must_use]
    pub(super) fn key(&self) -> Option<&PublicKey> {
        self.key.as_ref().map(|key| key.public_key())
    }

    /// Whether services vouch for what is signed.
    #[must_use]
    pub(super) fn is_vouched_for(&self) -> bool {
        self.vouching.is_some()
    }

    /// Whether signatures are logged.
    #[must_use]
    pub(super) fn logs(&self) -> bool {
        self.vouching
            .as_ref()
            .is_some_and(|vouching| vouching.config.logs(&[LogApi::V1, LogApi::V2], clock()).is_ok_and(|logs| !logs.is_empty()))
    }

    async fn seal(&self, what: What<'_>, about: About<'_>, keeping: Keeping) -> Result<Sealed, Failure> {
        if self.vouching.is_none() {
            let Some(key) = &self.key else { return Err(no_signer()) };
            return Ok(what.sign(key.as_ref(), None).map_err(failed)?.sealed(Vec::new(), Vec::new()));
        }
        for _ in 0..MOST_DUPLICATES {
            let mut kept = self.stamped(what, keeping).await?;
            // Without one, the answer to an earlier request was lost on its way.
            if let Some(sealed) = self.logged(&mut kept, (what, about), keeping).await? {
                return Ok(sealed);
            }
            tell_second_entry(self.session);
        }
        Err(too_many_duplicates())
    }

    /// A signature with its certificate and timestamps, of which no log knows yet. For those who keep it until a log can be asked.
    ///
    /// # Errors
    /// As [`With::envelope`].
    pub(super) async fn stamped(&self, what: What<'_>, keeping: Keeping) -> Result<Kept, Failure> {
        let Some(vouching) = &self.vouching else { return Err(no_signer()) };
        let logs = vouching.logs(keeping)?;
        let signed = match &self.key {
            Some(key) => what.sign(key.as_ref(), None).map_err(failed)?,
            None => {
                let certified = self.certified().await?;
                what.sign(&certified.key, Some(certified.chain.clone())).map_err(failed)?
            }
        };
        // Nobody is asked about a signature that a log cannot take.
        for api in logs.into_iter().filter_map(|log| LogApi::of_version(log.version)) {
            signed.log_request(api).map_err(unmet)?;
        }
        let timestamps = vouching.timestamps(signed.signature(), self.session.deadline()?).await?;
        Ok(Kept::new(signed, timestamps))
    }

    /// The finished signature, judged, with the entries of all logs, which `kept` then holds. `None` where a log says that it has the
    /// signature already, and does not hand the entry out.
    ///
    /// # Errors
    /// As [`With::envelope`].
    pub(super) async fn logged(
        &self,
        kept: &mut Kept,
        (what, about): (What<'_>, About<'_>),
        keeping: Keeping,
    ) -> Result<Option<Sealed>, Failure> {
        let Some(vouching) = &self.vouching else { return Err(no_signer()) };
        if !kept.is_logged() && !vouching.enter_all(kept, keeping, self.session.deadline()?).await? {
            return Ok(None);
        }
        let sealed = kept.sealed().map_err(|fault| untrue(&fault))?;
        vouching.judge(&sealed, (what, about), keeping).await?;
        Ok(Some(sealed))
    }

    /// Whether a signature that was kept can still become one that verifies: its certificate may have ended meanwhile.
    pub(super) fn is_in_time(&self, kept: &Kept, keeping: Keeping) -> Result<bool, Failure> {
        let Some(vouching) = &self.vouching else { return Ok(false) };
        let apis = vouching.logs(keeping)?.into_iter().filter_map(|log| LogApi::of_version(log.version));
        Ok(kept.is_logged() || apis.into_iter().all(|api| kept.is_in_time(api, clock())))
    }

    /// The key pair of this run and its certificate; asked for once, and anew when it is about to end.
    async fn certified(&self) -> Result<Arc<Certified>, Failure> {
        let Some(vouching) = &self.vouching else { return Err(no_signer()) };
        let mut held = self.certified.lock().await;
        if let Some(certified) = held.as_ref().filter(|certified| certified.chain.until().since(clock()) > LIFE_LEFT) {
            return Ok(Arc::clone(certified));
        }
        let key = PrivateKey::generate(KeyKind::EcdsaP256)?;
        let authority = vouching.config.authority(clock()).map_err(unmet)?;
        let token = self.token(vouching).await?;
        let request = authority::request(&key, token.identity()).map_err(failed)?;
        let asking = vouching.services.certificate(&authority.url, request, &token, self.session.deadline()?);
        let answer = self.session.ui.progress(&format!("asking {} for a certificate", authority.url), asking).await;
        drop(token);
        let chain = Chain::parse(&answer.map_err(Reason::from)?, key.public_key()).map_err(|fault| untrue(&fault))?;
        let names = chain.names().map_err(|fault| untrue(&fault))?;
        let certified = Arc::new(Certified { key, chain, identity: names.identity, issuer: names.issuer });
        *held = Some(Arc::clone(&certified));
        Ok(certified)
    }
}

impl What<'_> {
    fn sign(self, signer: &dyn Signer, chain: Option<Chain>) -> Result<Signed, MakeError> {
        match self {
            Self::Envelope { payload_type, payload } => Signed::envelope(signer, chain, payload_type, payload.to_vec()),
            Self::Message(message) => Signed::message(signer, chain, message),
            Self::File(file) => Signed::file(signer, chain, file),
        }
    }
}

impl Vouching {
    fn new(session: &Session, args: &VouchingArgs) -> Result<Self, Failure> {
        let config = SigningConfig::parse(&sigstore::signing_config(session, args)?).map_err(unmet)?;
        let (instance, anchor) = sigstore::for_signing(session, args)?;
        let http = session.http();
        Ok(Self { config, services: Services::new(http.clone()), http, instance, anchor })
    }

    /// An identity needs a certificate, and somebody who says when it was used.
    fn check_for_identity(&self) -> Result<(), Failure> {
        let now = clock();
        self.config.authority(now).map_err(unmet)?;
        let logs = self.config.logs(&[LogApi::V1, LogApi::V2], now).map_err(unmet)?;
        let stamped = !self.config.timestamp_authorities(now).map_err(unmet)?.is_empty();
        if stamped || logs.iter().any(|log| log.version == 1) {
            return Ok(());
        }
        let words = "the signing config names neither a timestamp authority nor a log that says the time (Rekor v1), and a certificate is \
                     valid for minutes";
        Err(Failure::new(Reason::new(Code::ServiceMissing, words)))
    }

    /// The logs to ask.
    fn logs(&self, keeping: Keeping) -> Result<Vec<&Service>, Failure> {
        let apis: &[LogApi] = match keeping {
            Keeping::Bundle => &[LogApi::V1, LogApi::V2],
            Keeping::Annotations => &[LogApi::V1],
        };
        self.config.logs(apis, clock()).map_err(|fault| unmet_in(fault, keeping))
    }

    async fn timestamps(&self, signature: &[u8], deadline: Deadline) -> Result<Vec<Vec<u8>>, Failure> {
        let mut timestamps = Vec::new();
        for authority in self.config.timestamp_authorities(clock()).map_err(unmet)? {
            timestamps.push(self.timestamp(authority, signature, deadline).await?);
        }
        Ok(timestamps)
    }

    /// Has every log enter it; false for an entry that a log has and does not hand out.
    async fn enter_all(&self, kept: &mut Kept, keeping: Keeping, deadline: Deadline) -> Result<bool, Failure> {
        let mut answers = Vec::new();
        for log in self.logs(keeping)? {
            let api = LogApi::of_version(log.version).ok_or_else(no_signer)?;
            match self.enter((log, api), kept.signed(), deadline).await? {
                Some(answer) => answers.push((api, answer)),
                None => return Ok(false),
            }
        }
        // All or none: whoever finds one takes the signature for logged.
        for (api, answer) in answers {
            kept.add(api, &answer).map_err(|fault| untrue(&fault))?;
        }
        Ok(true)
    }

    async fn timestamp(&self, authority: &Service, signature: &[u8], deadline: Deadline) -> Result<Vec<u8>, Failure> {
        let mut nonce = [0_u8; NONCE];
        trustctl_remote::random::fill(&mut nonce).map_err(Reason::from)?;
        let query = Query::new(signature, nonce);
        let answer = self.services.timestamp(&authority.url, query.der(), deadline).await.map_err(Reason::from)?;
        query.answered(&answer).map_err(|fault| untrue(&fault))
    }

    /// What the log answered about its entry for the signature; `None` when it has it already and does not hand it out.
    async fn enter(&self, (log, api): (&Service, LogApi), signed: &Signed, deadline: Deadline) -> Result<Option<Bytes>, Failure> {
        let request = signed.log_request(api).map_err(unmet)?;
        let logged = match api {
            LogApi::V1 => self.services.enter_first(&log.url, request, deadline).await,
            LogApi::V2 => self.services.enter_second(&log.url, request, deadline).await,
        };
        match logged {
            Ok(Logged::New(answer)) => Ok(Some(answer)),
            // The answer to an earlier request was lost on its way, or somebody names another's entry.
            Ok(Logged::There(answer)) => {
                match Entry::parse(&answer, api).map_err(|fault| untrue(&fault))?.is_of(signed.signature()) {
                    true => Ok(Some(answer)),
                    false => Err(untrue(&Fault {
                        code: Code::NotOurs,
                        detail: format!("{} has an entry already, it says, and hands out another signature's", log.url),
                    })),
                }
            }
            Err(ServiceError::Duplicate { .. }) => Ok(None),
            Err(error) => Err(Failure::new(error.reason())),
        }
    }

    /// Judges the finished signature as any verifier would. Clocks of services may be a little ahead: then a moment is waited.
    async fn judge(&self, sealed: &Sealed, (what, about): (What<'_>, About<'_>), keeping: Keeping) -> Result<(), Failure> {
        // A key that nobody was asked to vouch for proves itself.
        if sealed.chain().is_none() && sealed.entries().is_empty() && sealed.timestamps() == 0 {
            return Ok(());
        }
        let mut waited = 0;
        loop {
            let judged = match (keeping, what) {
                (Keeping::Annotations, What::Message(message)) => sealed.judge_layer(&self.instance, message, clock()),
                _ => sealed.judge(&self.instance, about, clock()),
            };
            match judged {
                Ok(_) => return Ok(()),
                Err(fault) if fault.code == Code::CosignTimeInFuture && waited < CLOCK_AHEAD => {
                    waited += 1;
                    tokio::time::sleep(Duration::from_secs(1)).await;
                }
                Err(fault) => return Err(untrue(&fault)),
            }
        }
    }
}

/// What a service answered does not hold.
fn untrue(fault: &Fault) -> Failure {
    let reason =
        Reason::new(fault.code, format!("what a signing service answered does not hold: {fault}; nothing was published"));
    let foreign = [
        Code::CosignCertificateUntrusted,
        Code::CosignCertificateUnlogged,
        Code::CosignLogUnknown,
        Code::CosignTimestampInvalid,
        Code::CosignTimeMissing,
    ];
    Failure::new(match foreign.contains(&fault.code) {
        true => reason.step(Step::words(
            "for a private instance give its trusted root and its signing config together: --trusted-root, --signing-config; or pin it, and name it: --sigstore",
        )),
        false => reason,
    })
}

/// A config that lacks something, or a key that cannot be logged.
fn unmet(fault: Fault) -> Failure {
    Failure::new(Reason::new(fault.code, fault.detail))
}

/// The same, where the storage is why.
fn unmet_in(fault: Fault, keeping: Keeping) -> Failure {
    match (fault.code, keeping) {
        (Code::ServiceMissing, Keeping::Annotations) => {
            let words = format!("a .sig tag holds entries of Rekor v1 alone, and {}", fault.detail);
            Failure::new(Reason::new(Code::LegacyNotPossible, words))
        }
        _ => unmet(fault),
    }
}

fn failed(error: MakeError) -> Failure {
    Failure::new(error.reason())
}

/// Says that a log gets a second entry of one signature.
pub(super) fn tell_second_entry(session: &Session) {
    let words = "the log says that it has the signature, and does not hand its entry out: a new signature is made and logged";
    crate::render::warning(&session.ui, &Reason::new(Code::SecondLogEntry, words));
}

/// A log that has whatever it is given.
pub(super) fn too_many_duplicates() -> Failure {
    let words = "the log says each time that it has the signature already; nothing was published";
    Failure::new(Reason::new(Code::NotOurs, words))
}

/// A state that [`With::new`] does not make.
fn no_signer() -> Failure {
    Failure::new(Reason::new(Code::NoSigningKey, "there is neither a key nor an identity to sign with"))
}

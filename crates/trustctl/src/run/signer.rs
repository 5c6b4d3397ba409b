//! What signs in one run: a key, or an identity, and the services that vouch for it. One seam for images, attestations and files.
//!
//! [`With`] signs, has the services vouch, judges the finished bundle as any verifier would, and only then hands it out as a [`Sealed`].
//! Nothing is published here. With a key and no signing config nobody is asked, and the bundle is the signature alone.
//!
//! - One key pair a run for an identity, kept in memory and made anew when its certificate ends.
//! - The token is fetched when the certificate is asked for, and dropped right after.
//! - Timestamps come first, log entries last: what is in a log stays there.

mod journal;
pub(super) mod token;
mod vouching;
mod who;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Mutex;
use trustctl_core::claim::Principal;
use trustctl_core::digest::Digest;
use trustctl_core::hashes::Hashes;
use trustctl_core::public_key::{KeyKind, PublicKey};
use trustctl_core::reason::{Code, Reason};
use trustctl_core::signer::Signer;
use trustctl_keys::private_key::PrivateKey;
use trustctl_remote::oidc::token::IdentityToken;
use trustctl_sigstore::keyless::About;
use trustctl_sigstore::make::MakeError;
use trustctl_sigstore::seal::authority::{self, Chain};
use trustctl_sigstore::seal::kept::Kept;
use trustctl_sigstore::seal::{Sealed, Signed};
use trustctl_sigstore::signing_config::LogApi;

use super::{Session, clock};
use crate::cli::VouchingArgs;
use crate::failure::Failure;
pub(super) use journal::Intent;
use journal::{Journal, Page};
use vouching::{Vouching, unmet, untrue};
pub(super) use who::Who;

/// How much of its life a certificate must have left to be used again: one signature with all its services takes less.
const LIFE_LEFT: Duration = Duration::from_secs(60);
/// How far the clocks of services may be ahead of this machine's: that long is waited before what they say is called the future.
const CLOCK_AHEAD: u32 = 5;
/// How often a log may say that it has a signature already that it does not hand out, before it is given up: each time is signed anew.
const MOST_DUPLICATES: u32 = 3;

/// What signs, and who vouches for it.
pub(super) struct With<'a> {
    session: &'a Session,
    args: VouchingArgs,
    key: Option<Arc<PrivateKey>>,
    vouching: Option<Vouching>,
    certified: Mutex<Option<Arc<Certified>>>,
    /// A token that was fetched to know who will sign, until the certificate is asked for.
    token: Mutex<Option<IdentityToken>>,
    /// Where signatures are written down before a log is asked; nowhere without a state folder.
    journal: Option<Journal>,
    /// What was written there by this run.
    pages: Mutex<Vec<Arc<Page>>>,
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
            journal: Journal::new(session),
            pages: Mutex::default(),
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
        intent: Intent<'_>,
    ) -> Result<Sealed, Failure> {
        self.seal((What::Envelope { payload_type, payload }, About::Digest(about)), keeping, intent).await
    }

    /// A sealed signature over `message`: the payload of a `.sig` layer.
    ///
    /// # Errors
    /// As [`With::envelope`].
    pub(super) async fn message(&self, message: &[u8], keeping: Keeping, intent: Intent<'_>) -> Result<Sealed, Failure> {
        self.seal((What::Message(message), About::Bytes(message)), keeping, intent).await
    }

    /// A sealed signature over a file of which only hashes are known, as a bundle.
    ///
    /// # Errors
    /// As [`With::envelope`].
    pub(super) async fn file(&self, file: &Hashes, intent: Intent<'_>) -> Result<Sealed, Failure> {
        self.seal((What::File(file), About::File { hashes: file, bytes: None }), Keeping::Bundle, intent).await
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

    async fn seal(&self, (what, about): (What<'_>, About<'_>), keeping: Keeping, intent: Intent<'_>) -> Result<Sealed, Failure> {
        if self.vouching.is_none() {
            let Some(key) = &self.key else { return Err(no_signer()) };
            return Ok(what.sign(key.as_ref(), None).map_err(failed)?.sealed(Vec::new(), Vec::new()));
        }
        let page = self.page(&intent.name).await;
        let kept = match self.left(&intent.name).filter(|kept| (intent.is_in)(kept)) {
            Some(kept) if self.expected().await?.contains(&Who::of(&kept)?) => self.usable(kept, keeping).await?,
            _ => None,
        };
        let write = |kept: &Kept| {
            self.write(page.as_ref(), kept);
            Ok(())
        };
        self.through((what, about), keeping, kept, &write).await
    }

    /// The finished signature: of `kept`, which an earlier run has left, else a new one. `write` writes down what there is before a log is
    /// asked, and again with what the logs have answered.
    ///
    /// # Errors
    /// As [`With::envelope`], and what `write` says.
    pub(super) async fn through(
        &self,
        (what, about): (What<'_>, About<'_>),
        keeping: Keeping,
        kept: Option<Kept>,
        write: &dyn Fn(&Kept) -> Result<(), Failure>,
    ) -> Result<Sealed, Failure> {
        let mut left = kept;
        for _ in 0..MOST_DUPLICATES {
            let (mut kept, is_left) = match left.take() {
                Some(kept) => (kept, true),
                None => {
                    let kept = self.stamped(what, keeping).await?;
                    write(&kept)?;
                    (kept, false)
                }
            };
            match self.logged(&mut kept, (what, about), keeping).await {
                Ok(Some(sealed)) => {
                    write(&kept)?;
                    return Ok(sealed);
                }
                // The answer to an earlier request was lost on its way.
                Ok(None) => {
                    tell_second_entry(self.session, "the log says that it has the signature, and does not hand its entry out")
                }
                Err(failure) if is_left && !failure.is_outage() => {
                    tell_second_entry(
                        self.session,
                        &format!("what an earlier run has left does not hold: {}", failure.reason.message),
                    );
                }
                Err(failure) => return Err(failure),
            }
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

    /// What an earlier run has left, where it can still become a signature that verifies. When its certificate has ended, only a log that
    /// has entered it by then can say so: it is looked up, and nobody is asked to enter it now.
    ///
    /// # Errors
    /// As [`With::envelope`].
    pub(super) async fn usable(&self, mut kept: Kept, keeping: Keeping) -> Result<Option<Kept>, Failure> {
        let Some(vouching) = &self.vouching else { return Ok(None) };
        let apis = vouching.logs(keeping)?.into_iter().filter_map(|log| LogApi::of_version(log.version));
        let is_in_time = kept.is_logged() || apis.into_iter().all(|api| kept.is_in_time(api, clock()));
        let is_usable = is_in_time || vouching.find_all(&mut kept, keeping, self.session.deadline()?).await?;
        Ok(is_usable.then_some(kept))
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

fn failed(error: MakeError) -> Failure {
    Failure::new(error.reason())
}

/// Says that a log gets a second entry of one signature, and why.
fn tell_second_entry(session: &Session, why: &str) {
    let words = format!("{why}; a new signature is made and logged");
    crate::render::warning(&session.ui, &Reason::new(Code::SecondLogEntry, words));
}

/// A log that has whatever it is given.
fn too_many_duplicates() -> Failure {
    let words = "the log says each time that it has the signature already; nothing was published";
    Failure::new(Reason::new(Code::NotOurs, words))
}

/// A state that [`With::new`] does not make.
fn no_signer() -> Failure {
    Failure::new(Reason::new(Code::NoSigningKey, "there is neither a key nor an identity to sign with"))
}

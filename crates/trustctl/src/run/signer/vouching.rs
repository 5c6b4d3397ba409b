//! The services that vouch for signatures, as one seam: what is asked, and what is made of the answers.

use std::time::Duration;

use bytes::Bytes;
use trustctl_core::reason::{Code, Reason, Step};
use trustctl_core::scheme::SigstoreAnchor;
use trustctl_remote::http::Http;
use trustctl_remote::limits::Deadline;
use trustctl_remote::sigstore::{Logged, ServiceError, Services};
use trustctl_sigstore::keyless::{About, Fault, Instance};
use trustctl_sigstore::seal::kept::Kept;
use trustctl_sigstore::seal::log::Entry;
use trustctl_sigstore::seal::timestamp::{NONCE, Query};
use trustctl_sigstore::seal::{Sealed, Signed};
use trustctl_sigstore::signing_config::{LogApi, Service, SigningConfig};

use super::super::{Session, clock, sigstore};
use super::{CLOCK_AHEAD, Keeping, What, no_signer};
use crate::cli::VouchingArgs;
use crate::failure::Failure;

/// The services of an instance, and how their answers are judged.
pub(super) struct Vouching {
    pub(super) config: SigningConfig,
    pub(super) services: Services,
    pub(super) http: Http,
    pub(super) instance: Instance,
    pub(super) anchor: SigstoreAnchor,
}

impl Vouching {
    pub(super) fn new(session: &Session, args: &VouchingArgs) -> Result<Self, Failure> {
        let config = SigningConfig::parse(&sigstore::signing_config(session, args)?).map_err(unmet)?;
        let (instance, anchor) = sigstore::for_signing(session, args)?;
        let http = session.http();
        Ok(Self { config, services: Services::new(http.clone()), http, instance, anchor })
    }

    /// An identity needs a certificate, and somebody who says when it was used.
    pub(super) fn check_for_identity(&self) -> Result<(), Failure> {
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
    pub(super) fn logs(&self, keeping: Keeping) -> Result<Vec<&Service>, Failure> {
        let apis: &[LogApi] = match keeping {
            Keeping::Bundle => &[LogApi::V1, LogApi::V2],
            Keeping::Annotations => &[LogApi::V1],
        };
        self.config.logs(apis, clock()).map_err(|fault| unmet_in(fault, keeping))
    }

    pub(super) async fn timestamps(&self, signature: &[u8], deadline: Deadline) -> Result<Vec<Vec<u8>>, Failure> {
        let mut timestamps = Vec::new();
        for authority in self.config.timestamp_authorities(clock()).map_err(unmet)? {
            timestamps.push(self.timestamp(authority, signature, deadline).await?);
        }
        Ok(timestamps)
    }

    /// Has every log enter it; false for an entry that a log has and does not hand out.
    pub(super) async fn enter_all(&self, kept: &mut Kept, keeping: Keeping, deadline: Deadline) -> Result<bool, Failure> {
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

    /// Has every log say that it has entered it; false where one has not, or does not hand out what it has (Rekor v2).
    pub(super) async fn find_all(&self, kept: &mut Kept, keeping: Keeping, deadline: Deadline) -> Result<bool, Failure> {
        let mut answers = Vec::new();
        for log in self.logs(keeping)? {
            if log.version != 1 {
                return Ok(false);
            }
            let request = kept.signed().log_request(LogApi::V1).map_err(unmet)?;
            let found = self.services.find_first(&log.url, &request, deadline).await;
            let Some(answer) = found.map_err(|error| Failure::new(error.reason()))? else { return Ok(false) };
            if !Entry::parse(&answer, LogApi::V1).is_ok_and(|entry| entry.is_of(kept.signed().signature())) {
                return Ok(false);
            }
            answers.push(answer);
        }
        for answer in &answers {
            kept.add(LogApi::V1, answer).map_err(|fault| untrue(&fault))?;
        }
        Ok(!answers.is_empty())
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
                    false => {
                        let words = format!("{} has an entry already, it says, and hands out another signature's", log.url);
                        Err(untrue(&Fault { code: Code::NotOurs, detail: words, compared: None }))
                    }
                }
            }
            Err(ServiceError::Duplicate { .. }) => Ok(None),
            Err(error) => Err(Failure::new(error.reason())),
        }
    }

    /// Judges the finished signature as any verifier would. Clocks of services may be a little ahead: then a moment is waited.
    pub(super) async fn judge(
        &self,
        sealed: &Sealed,
        (what, about): (What<'_>, About<'_>),
        keeping: Keeping,
    ) -> Result<(), Failure> {
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
pub(super) fn untrue(fault: &Fault) -> Failure {
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
        false => reason.step(Step::words("run it again; if it happens again, tell whoever runs the service")),
    })
}

/// A config that lacks something, or a key that cannot be logged.
pub(super) fn unmet(fault: Fault) -> Failure {
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
